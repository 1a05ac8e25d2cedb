//! `doorbell bench connect`: how many sessions a second, and how long each takes from its beginning to its `welcome`.

use super::args::{Asked, ConnectArgs};
use super::findings::{Findings, Unit, cpu_each, rate};
use super::fleet::Together;
use super::measurement::Measurement;
use super::target::Target;
use super::trial::{Side, Trial};

/// Of one side.
pub struct Connected {
    seen: Together,
    cpu_us: Option<f64>,
}

impl Measurement for ConnectArgs {
    type Came = Connected;
    const NAME: &'static str = "connect";

    fn asked(&self) -> &Asked {
        &self.asked
    }

    async fn one(&self, trial: &mut Trial<'_>, target: &Target, side: Side) -> anyhow::Result<Connected> {
        let mut opened = trial.open(target, side).await?;
        let seen = opened.fleet.seen(0).await?;
        opened.fleet.leave().await;
        Ok(Connected { cpu_us: cpu_each(opened.before, opened.after, seen.tally.welcomed), seen })
    }

    fn told(&self, findings: &mut Findings, doorbell: &Connected, bare: Option<&Connected>) {
        let sessions = self.asked.size.sessions.get();
        let a_second = |of: &Connected| {
            let took = of.seen.last_welcome.saturating_sub(of.seen.began);
            rate(of.seen.tally.welcomed, took)
        };
        let name = ("sessions_per_second", "sessions a second, to welcome");
        findings.figure(name, Unit::PerSecond, a_second(doorbell), bare.map(a_second));
        let cpu = (doorbell.cpu_us, bare.and_then(|bare| bare.cpu_us));
        findings.cpu(("cpu_per_session", "server CPU a session"), Unit::Micros, cpu);
        if doorbell.seen.secured.quantile(0.5).is_some() {
            findings.times(("secured", "connect to secured"), &doorbell.seen.secured, None);
        }
        let upgrade = ("upgrade", "connect to upgraded");
        findings.times(upgrade, &doorbell.seen.upgrade, bare.map(|bare| &bare.seen.upgrade));
        let welcome = ("welcome", "connect to welcome");
        findings.times(welcome, &doorbell.seen.welcome, bare.map(|bare| &bare.seen.welcome));
        findings.sessions(sessions, &doorbell.seen);
        if let Some(bare) = bare {
            findings.bare(sessions, &bare.seen);
        }
    }
}
