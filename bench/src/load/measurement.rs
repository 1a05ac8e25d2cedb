//! One kind of measurement, and how all of them run: round by round, each side after the other, which of them first by turns.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::args::{Asked, BackEnd};
use super::findings::Findings;
use super::fleet::Interrupted;
use super::orders::{Audience, Lost};
use super::outcome::Outcome;
use super::rounds::{Round, together};
use super::target::Target;
use super::trial::{Ended, Side, Trial, ended};

/// What each side does in a round, and what is told of it.
pub trait Measurement {
    /// What a side came to.
    type Came;
    /// How it is called on the command line.
    const NAME: &'static str;
    /// Who is rung.
    const AUDIENCE: Audience = Audience::Nobody;
    /// Whether the bare loop can do the same.
    const HAS_BARE_LOOP: bool = true;
    /// What becomes of a session that is lost. Where they come back, they come to a door that is set as by default.
    const LOST: Lost = Lost::Gone;

    /// Where, how many, how often.
    fn asked(&self) -> &Asked;

    /// Who rings, where somebody does.
    fn back_end(&self) -> Option<&BackEnd> {
        None
    }

    /// What is drawn is drawn from this.
    fn seed(&self) -> u64 {
        1
    }

    /// From which session on what they hear does not count: all of it does.
    fn steady(&self) -> u64 {
        u64::MAX
    }

    /// From which session on they will read nothing for a while: none of them.
    fn slow(&self) -> u64 {
        u64::MAX
    }

    /// What else was asked for.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Measures one side.
    ///
    /// # Errors
    /// It cannot be measured. Sessions and hints that are missing are no error: `told` tells of them.
    async fn one(&self, trial: &mut Trial<'_>, target: &Target, side: Side) -> anyhow::Result<Self::Came>;

    /// Tells of both.
    fn told(&self, findings: &mut Findings, doorbell: &Self::Came, bare: Option<&Self::Came>);
}

/// Measures all rounds. Once there is one, what goes wrong with another takes nothing from it.
///
/// # Errors
/// The server cannot be measured, or the tool was asked to end.
pub async fn run<M: Measurement>(what: &M, mut trial: Trial<'_>) -> anyhow::Result<Outcome> {
    if let Some(back_end) = what.back_end() {
        ensure!(
            what.asked().place.url.is_empty() || back_end.api_key_file.is_some(),
            "--url needs --api-key-file: who publishes is a back end (`doorbell api-key NAME --hints` makes a key)"
        );
    }
    ensure!(
        M::HAS_BARE_LOOP || what.asked().bare_loops.is_none(),
        "--bare-loops: there is no bare loop beside {}: leave it out",
        M::NAME
    );
    let (wanted, mut rounds, mut lost) = (what.asked().rounds.get(), Vec::new(), None);
    while rounds.len() < usize::from(wanted) && lost.is_none() {
        if wanted > 1 {
            trial.line.say(&format!("round {} of {wanted}", rounds.len() + 1));
        }
        trial.round = rounds.len();
        match round(what, &mut trial).await {
            Ok(round) => rounds.push(round),
            Err(error) if rounds.is_empty() || error.is::<Interrupted>() => return Err(error),
            Err(error) => lost = Some(format!("round {} of {wanted}: {error:#}", rounds.len() + 1)),
        }
    }
    let mut findings = together(&rounds);
    findings.notes.splice(0..0, trial.notes());
    findings.wrong.extend(lost);
    if rounds.len() == 1 {
        rounds.clear();
    }
    let mut parameters = trial.parameters();
    parameters.extend(what.parameters());
    parameters.extend((wanted > 1).then(|| ("rounds", wanted.to_string())));
    Ok(Outcome {
        what: M::NAME,
        build: trial.host.build.clone(),
        optimised: !cfg!(debug_assertions),
        command: trial.host.command.clone(),
        started_ms: trial.host.now_ms,
        machine: trial.machine.iter().cloned().collect::<BTreeMap<_, _>>(),
        parameters,
        findings,
        rounds,
    })
}

/// Measures both sides once: the server first, and the bare loop first in each second round.
async fn round<M: Measurement>(what: &M, trial: &mut Trial<'_>) -> anyhow::Result<Round> {
    let mut findings = Findings::default();
    let first = if trial.round % 2 == 1 && trial.has_bare_loop { Side::Bare } else { Side::Doorbell };
    let mut bare = None;
    if first == Side::Bare {
        bare = bare_loop(what, trial, &mut findings).await?;
    }
    let doorbell = doorbell(what, trial, &mut findings).await?;
    if first == Side::Doorbell && trial.has_bare_loop {
        bare = bare_loop(what, trial, &mut findings).await?;
    }
    what.told(&mut findings, &doorbell, bare.as_ref());
    Ok(Round { first, findings })
}

/// Measures the server, and ends it whatever comes of it. How it ended is told beside the figures, which it takes nothing from.
async fn doorbell<M: Measurement>(
    what: &M,
    trial: &mut Trial<'_>,
    findings: &mut Findings,
) -> anyhow::Result<M::Came> {
    let target = trial.doorbell(what.back_end()).await?;
    // Only a server on this machine shares with the bare loop what the machine can do.
    let is_wanted = M::HAS_BARE_LOOP && !trial.asked.no_reference && !trial.asked.place.is_secure();
    if M::HAS_BARE_LOOP && trial.asked.place.is_secure() {
        trial.note("no figures of the bare loop: it speaks no TLS".to_owned());
    }
    trial.has_bare_loop = is_wanted && target.is_loopback();
    if is_wanted && !trial.has_bare_loop {
        trial.note("no figures of the bare loop: what this machine can do says nothing of a server that is not on its IPv4 loopback".to_owned());
    }
    let measured = match trial.check_bare_loops() {
        Ok(()) => what.one(trial, &target, Side::Doorbell).await,
        Err(error) => Err(error),
    };
    findings.timelines.extend(trial.line.pulse.end());
    let ended = ended(target, measured).await;
    trial.line.end();
    let Ended { measured, end, log } = ended?;
    findings.log = log;
    if let Err(error) = end {
        findings.wrong.push(format!("the server, when it was to end: {error:#}"));
    }
    Ok(measured)
}

/// Measures the bare loop in the same way. What goes wrong with it is a note: the figures of the server are what was asked for.
async fn bare_loop<M: Measurement>(
    what: &M,
    trial: &mut Trial<'_>,
    findings: &mut Findings,
) -> anyhow::Result<Option<M::Came>> {
    let bare = match trial.bare().await {
        Ok(target) => {
            let measured = what.one(trial, &target, Side::Bare).await;
            findings.timelines.extend(trial.line.pulse.end());
            ended(target, measured).await
        }
        Err(error) => Err(error),
    };
    trial.line.end();
    match bare {
        Ok(Ended { measured, end, .. }) => {
            findings.notes.extend(end.err().map(|error| format!("the bare loop, at its end: {error:#}")));
            Ok(Some(measured))
        }
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            findings.notes.push(format!("no figures of the bare loop: {error:#}"));
            Ok(None)
        }
    }
}
