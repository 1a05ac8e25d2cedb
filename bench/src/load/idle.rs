//! `doorbell bench idle`: what a session costs that does nothing: memory of the server and of the kernel, and CPU at rest.

use std::time::Duration;

use tokio::time::Instant;

use super::args::IdleArgs;
use super::fleet::Together;
use super::outcome::{Outcome, Unit};
use super::target::Target;
use super::trial::{Bench, Side};
use super::usage::{self, Usage};

/// What was there.
struct Rested {
    seen: Together,
    before: Option<Usage>,
    settled: Option<Usage>,
    after: Option<Usage>,
    kernel: (u64, u64),
    rested: Duration,
}

/// Measures the server. There is nothing to compare it with: a bare loop keeps nothing of a session.
///
/// # Errors
/// It cannot be measured.
pub async fn run(args: &IdleArgs, mut bench: Bench<'_>) -> anyhow::Result<Outcome> {
    let target = bench.doorbell(None).await?;
    let mut outcome = bench.outcome("idle", &target);
    outcome.parameters.insert("at rest for", format!("{} s", args.duration.as_secs_f64()));
    let rested =
        bench.alone(target, &mut outcome, async |bench, target| one(bench, args, target).await).await?;
    told(&mut outcome, args.asked.size.sessions.get(), &rested);
    Ok(outcome)
}

async fn one(bench: &mut Bench<'_>, args: &IdleArgs, target: &Target) -> anyhow::Result<Rested> {
    let mut opened = bench.open(target, Side::Doorbell).await?;
    opened.fleet.watch("settling", args.settle, &mut bench.line).await?;
    let (settled, kernel, begun) = (target.meter.read().await?, usage::kernel_bytes()?, Instant::now());
    opened.fleet.watch("at rest", args.duration, &mut bench.line).await?;
    let (after, rested) = (target.meter.read().await?, begun.elapsed());
    let seen = opened.fleet.seen(0).await?;
    opened.fleet.leave().await;
    let kernel = (opened.kernel_before, kernel);
    Ok(Rested { seen, before: opened.before, settled, after, kernel, rested })
}

#[expect(clippy::cast_precision_loss, reason = "bytes and counts far below 2^53")]
fn told(outcome: &mut Outcome, sessions: u32, rested: &Rested) {
    let open = rested.seen.tally.open.max(1) as f64;
    let each = |before: u64, after: u64| (after as f64 - before as f64) / open;
    if let (Some(before), Some(settled), Some(after)) = (rested.before, rested.settled, rested.after) {
        if let (Some(before), Some(settled)) = (before.private, settled.private) {
            let name = ("private_bytes", "server memory a session, private");
            outcome.figure(name, Unit::Bytes, each(before, settled), None);
        }
        let name = ("resident_bytes", "server memory a session, resident");
        outcome.figure(name, Unit::Bytes, each(before.resident, settled.resident), None);
        let used = after.cpu_seconds - settled.cpu_seconds;
        let percent = used * 100.0 / rested.rested.as_secs_f64();
        outcome.figure(
            ("cpu_at_rest", "server CPU at rest, of one core"),
            Unit::PercentOfACore,
            percent,
            None,
        );
    } else {
        outcome.cpu(("cpu_at_rest", ""), (None, None));
    }
    let (before, settled) = rested.kernel;
    let name = ("kernel_bytes", "kernel memory a connection, both ends here");
    outcome.figure(name, Unit::Bytes, each(before, settled), None);
    outcome.notes.push("kernel memory is that of the whole machine: whatever else runs is in it".to_owned());
    if u128::from(rested.seen.heartbeat_ms) > rested.rested.as_millis() {
        let heartbeat = rested.seen.heartbeat_ms;
        outcome.notes.push(format!(
            "at rest for less than a heartbeat ({heartbeat} ms): not every session was pinged"
        ));
    }
    outcome.sessions(sessions, &rested.seen);
}
