//! `doorbell bench connect`: how many sessions a second, and how long each takes from its beginning to its `welcome`.

use super::args::ConnectArgs;
use super::fleet::Together;
use super::outcome::{Outcome, Unit};
use super::target::Target;
use super::trial::{Bench, Side, cpu_each, ended, rate};

/// Of one side.
struct Connected {
    seen: Together,
    cpu_us: Option<f64>,
}

/// Measures the server, and the bare loop where that is asked for.
///
/// # Errors
/// It cannot be measured.
pub async fn run(args: &ConnectArgs, mut bench: Bench<'_>) -> anyhow::Result<Outcome> {
    let target = bench.doorbell(None).await?;
    let (mut outcome, refers) = (bench.outcome("connect", &target), bench.refers(&target));
    let doorbell = one(&mut bench, &target, Side::Doorbell).await;
    let doorbell = ended(target, doorbell).await?;
    let bare = if refers {
        let target = bench.bare().await?;
        let bare = one(&mut bench, &target, Side::Bare).await;
        Some(ended(target, bare).await?)
    } else {
        None
    };
    bench.line.end();
    told(&mut outcome, args.asked.size.sessions.get(), &doorbell, bare.as_ref());
    Ok(outcome)
}

async fn one(bench: &mut Bench<'_>, target: &Target, side: Side) -> anyhow::Result<Connected> {
    let mut opened = bench.open(target, side).await?;
    let seen = opened.fleet.seen().await?;
    opened.fleet.leave().await;
    Ok(Connected { cpu_us: cpu_each(opened.before, opened.after, seen.tally.welcomed), seen })
}

fn told(outcome: &mut Outcome, sessions: u32, doorbell: &Connected, bare: Option<&Connected>) {
    let a_second = |of: &Connected| {
        let took = of.seen.last_welcome.saturating_sub(of.seen.began);
        rate(of.seen.tally.welcomed, took)
    };
    outcome.figure(
        ("sessions_per_second", "sessions a second, to welcome"),
        Unit::PerSecond,
        a_second(doorbell),
        bare.map(a_second),
    );
    outcome.cpu(
        ("cpu_per_session", "server CPU a session"),
        (doorbell.cpu_us, bare.and_then(|bare| bare.cpu_us)),
    );
    let upgrade = [
        ("upgrade_p50", "connect to upgraded: half within"),
        ("upgrade_p99", "connect to upgraded: 99 of 100 within"),
        ("upgrade_max", "connect to upgraded: all within"),
    ];
    outcome.times(upgrade, "upgrade", &doorbell.seen.upgrade, bare.map(|bare| &bare.seen.upgrade));
    let welcome = [
        ("welcome_p50", "connect to welcome: half within"),
        ("welcome_p99", "connect to welcome: 99 of 100 within"),
        ("welcome_max", "connect to welcome: all within"),
    ];
    outcome.times(welcome, "welcome", &doorbell.seen.welcome, bare.map(|bare| &bare.seen.welcome));
    outcome.sessions(sessions, &doorbell.seen);
}
