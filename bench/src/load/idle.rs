//! `doorbell bench idle`: what a session costs that does nothing: memory of the server and of the kernel, and CPU at rest.

use std::time::Duration;

use tokio::time::Instant;

use super::args::{Asked, IdleArgs};
use super::findings::{Findings, Unit};
use super::fleet::Together;
use super::measurement::Measurement;
use super::target::Target;
use super::tool::Of;
use super::trial::{Bench, Side};
use super::usage::{self, Usage};

/// What was there.
pub struct Rested {
    seen: Together,
    before: Option<Usage>,
    settled: Option<Usage>,
    after: Option<Usage>,
    kernel: (u64, u64),
    rested: Duration,
}

impl Measurement for IdleArgs {
    type Came = Rested;
    const NAME: &'static str = "idle";
    // There is nothing to compare with: a bare loop keeps nothing of a session.
    const REFERRED: bool = false;

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("at rest for", format!("{} s", self.duration.as_secs_f64()))]
    }

    async fn one(&self, bench: &mut Bench<'_>, target: &Target, side: Side) -> anyhow::Result<Rested> {
        let mut opened = bench.open(target, side).await?;
        opened.fleet.rest("settling", self.settle, &mut bench.line).await?;
        let (settled, kernel, begun) = (target.meter.read().await?, usage::kernel_bytes()?, Instant::now());
        opened.fleet.mark(Of::Time);
        opened.fleet.rest("at rest", self.duration, &mut bench.line).await?;
        let (after, rested) = (target.meter.read().await?, begun.elapsed());
        let seen = opened.fleet.seen(0).await?;
        opened.fleet.leave().await;
        let kernel = (opened.kernel_before, kernel);
        Ok(Rested { seen, before: opened.before, settled, after, kernel, rested })
    }

    fn told(&self, findings: &mut Findings, doorbell: &Rested, _: Option<&Rested>) {
        told(findings, self.asked.size.sessions.get(), doorbell);
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes and counts far below 2^53")]
fn told(findings: &mut Findings, sessions: u32, rested: &Rested) {
    let open = rested.seen.tally.open.max(1) as f64;
    let each = |before: u64, after: u64| (after as f64 - before as f64) / open;
    if let (Some(before), Some(settled), Some(after)) = (rested.before, rested.settled, rested.after) {
        if let (Some(before), Some(settled)) = (before.private, settled.private) {
            let name = ("private_bytes", "server memory a session, private");
            findings.figure(name, Unit::Bytes, each(before, settled), None);
        }
        let name = ("resident_bytes", "server memory a session, resident");
        findings.figure(name, Unit::Bytes, each(before.resident, settled.resident), None);
        let used = after.cpu_seconds - settled.cpu_seconds;
        let percent = used * 100.0 / rested.rested.as_secs_f64();
        findings.figure(
            ("cpu_at_rest", "server CPU at rest, of one core"),
            Unit::PercentOfACore,
            percent,
            None,
        );
    } else {
        findings.cpu(("cpu_at_rest", ""), Unit::PercentOfACore, (None, None));
    }
    let (before, settled) = rested.kernel;
    let name = ("kernel_bytes", "kernel memory a connection, both ends here");
    findings.figure(name, Unit::Bytes, each(before, settled), None);
    findings.notes.push("kernel memory is that of the whole machine: whatever else runs is in it".to_owned());
    if u128::from(rested.seen.heartbeat_ms) > rested.rested.as_millis() {
        let heartbeat = rested.seen.heartbeat_ms;
        findings.notes.push(format!(
            "at rest for less than a heartbeat ({heartbeat} ms): not every session was pinged"
        ));
    }
    findings.sessions(sessions, &rested.seen);
}
