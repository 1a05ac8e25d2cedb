//! `doorbell bench connect`: how many sessions a second, and how long each takes from its beginning to its `welcome`.

use super::args::ConnectArgs;
use super::fleet::Together;
use super::outcome::{Outcome, Unit};
use super::target::Target;
use super::trial::{Bench, Pair, Side, cpu_each, rate};

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
    let mut outcome = bench.outcome("connect", &target);
    let pair = bench.paired(target, &mut outcome, one).await?;
    told(&mut outcome, args.asked.size.sessions.get(), &pair);
    Ok(outcome)
}

async fn one(bench: &mut Bench<'_>, target: &Target, side: Side) -> anyhow::Result<Connected> {
    let mut opened = bench.open(target, side).await?;
    let seen = opened.fleet.seen(0).await?;
    opened.fleet.leave().await;
    Ok(Connected { cpu_us: cpu_each(opened.before, opened.after, seen.tally.welcomed), seen })
}

fn told(outcome: &mut Outcome, sessions: u32, pair: &Pair<Connected>) {
    let (doorbell, bare) = (&pair.doorbell, pair.bare.as_ref());
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
    let upgrade = ("upgrade", "connect to upgraded");
    outcome.times(upgrade, &doorbell.seen.upgrade, bare.map(|bare| &bare.seen.upgrade));
    let welcome = ("welcome", "connect to welcome");
    outcome.times(welcome, &doorbell.seen.welcome, bare.map(|bare| &bare.seen.welcome));
    outcome.sessions(sessions, &doorbell.seen);
    if let Some(bare) = bare {
        outcome.bare(sessions, &bare.seen);
    }
}
