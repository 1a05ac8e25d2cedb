//! `doorbell bench idle`: what a session costs that does nothing: memory of the server and of the kernel, and CPU at rest.

use std::time::Duration;

use tokio::time::Instant;

use super::args::{Asked, IdleArgs};
use super::findings::{Findings, Unit};
use super::fleet::Together;
use super::measurement::Measurement;
use super::target::Target;
use super::tool::Measured;
use super::trial::{Side, Trial};
use super::usage::{self, Usage};

/// What was there.
pub struct Rested {
    seen: Together,
    before: Option<Usage>,
    settled: Option<Usage>,
    after: Option<Usage>,
    kernel: (u64, u64),
    machine: Option<u64>,
    rested: Duration,
}

impl Measurement for IdleArgs {
    type Came = Rested;
    const NAME: &'static str = "idle";

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("at rest for", format!("{} s", self.duration.as_secs_f64()))]
    }

    async fn one(&self, trial: &mut Trial<'_>, target: &Target, side: Side) -> anyhow::Result<Rested> {
        let mut opened = trial.open(target, side).await?;
        opened.fleet.rest("settling", self.settle, &mut trial.line).await?;
        let (settled, kernel, begun) = (target.meter.read().await?, usage::kernel_bytes()?, Instant::now());
        opened.fleet.mark(Measured::Time);
        opened.fleet.rest("at rest", self.duration, &mut trial.line).await?;
        let (after, rested) = (target.meter.read().await?, begun.elapsed());
        let seen = opened.fleet.seen(0).await?;
        let machine = trial.line.pulse.machine_bytes();
        opened.fleet.leave().await;
        let kernel = (opened.kernel_before, kernel);
        Ok(Rested { seen, before: opened.before, settled, after, kernel, machine, rested })
    }

    fn told(&self, findings: &mut Findings, doorbell: &Rested, bare: Option<&Rested>) {
        let sessions = self.asked.size.sessions.get();
        let mut memory = |name, of: fn(&Rested) -> Option<f64>| {
            if let Some(bytes) = of(doorbell) {
                findings.figure(name, Unit::Bytes, bytes, bare.and_then(of));
            }
        };
        memory(("private_bytes", "server memory a session, private"), Rested::private);
        memory(("resident_bytes", "server memory a session, resident"), Rested::resident);
        let cpu = (doorbell.cpu_percent(), bare.and_then(Rested::cpu_percent));
        findings.cpu(("cpu_at_rest", "server CPU at rest, of one core"), Unit::PercentOfACore, cpu);
        let name = ("kernel_bytes", "kernel memory a connection, both ends here");
        findings.figure(name, Unit::Bytes, doorbell.kernel(), bare.map(Rested::kernel));
        findings.machine(doorbell.machine, bare.and_then(|bare| bare.machine));
        findings.note(
            "memory of the kernel and of the machine is in all: whatever else runs is in it".to_owned(),
        );
        let heartbeat = doorbell.seen.heartbeat_ms;
        if u128::from(heartbeat) > doorbell.rested.as_millis() {
            findings.note(format!(
                "at rest for less than a heartbeat ({heartbeat} ms): not every session was pinged"
            ));
        }
        findings.sessions(sessions, &doorbell.seen);
        if let Some(bare) = bare {
            findings.bare(sessions, &bare.seen);
        }
    }
}

impl Rested {
    /// What was added, by the sessions open.
    #[expect(clippy::cast_precision_loss, reason = "bytes and counts far below 2^53")]
    fn each(&self, before: u64, after: u64) -> f64 {
        (after as f64 - before as f64) / self.seen.tally.open.max(1) as f64
    }

    fn private(&self) -> Option<f64> {
        Some(self.each(self.before?.private?, self.settled?.private?))
    }

    fn resident(&self) -> Option<f64> {
        Some(self.each(self.before?.resident, self.settled?.resident))
    }

    /// CPU at rest, in hundredths of one core.
    fn cpu_percent(&self) -> Option<f64> {
        let used = self.after?.cpu_seconds - self.settled?.cpu_seconds;
        Some(used * 100.0 / self.rested.as_secs_f64())
    }

    fn kernel(&self) -> f64 {
        let (before, settled) = self.kernel;
        self.each(before, settled)
    }
}
