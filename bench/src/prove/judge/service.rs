//! V1: whether the server is well afterwards.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::log::{UNFINISHED, sent};
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Micros, Phase, Role};

/// V1: what must work again works.
pub fn alive(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    for (at, process, how) in &evidence.fallen {
        outcome.look();
        outcome.broken(|| Violation {
            found: format!("{process} {how}"),
            expected: "every process runs until the tool kills it or asks it to end, and then ends well"
                .to_owned(),
            events: vec![(*at, "it was seen".to_owned())],
        });
    }
    // What was under way when a run was given up says nothing.
    if evidence.probes.is_empty() {
        outcome.not_judged = Some(UNFINISHED.to_owned());
        return outcome;
    }
    for (at, what, ok, said) in &evidence.probes {
        outcome.look();
        if !ok {
            outcome.broken(|| Violation {
                found: format!("{what}: {said}"),
                expected: "it works at once, once T is over".to_owned(),
                events: vec![
                    (evidence.at(Phase::Settle), "the wait of T begins".to_owned()),
                    (*at, (*what).to_owned()),
                ],
            });
        }
    }
    missing(evidence, &mut outcome);
    unanswered(evidence, &mut outcome);
    outcome
}

/// Readers that once had a session and have none when T is over.
fn missing(evidence: &Evidence, outcome: &mut Outcome) {
    let at = evidence.at(Phase::Final);
    let mut clients: BTreeMap<u32, (Option<Micros>, u32)> = BTreeMap::new();
    for session in
        evidence.sessions.values().filter(|session| matches!(session.role, Role::Hinted | Role::Polling))
    {
        if session.opened > at {
            continue;
        }
        // In the order of their numbers: the last one counts.
        let closed = session.closed.filter(|closed| *closed <= at);
        clients.insert(session.client, (closed, session.user));
    }
    for (client, (closed, user)) in clients {
        outcome.look();
        if let Some(closed) = closed {
            outcome.broken(|| Violation {
                found: format!("client {client} ({}) has no session", evidence.user(user)),
                expected: "every client is back once T is over".to_owned(),
                events: vec![(closed, "its last session ended".to_owned()), (at, "T is over".to_owned())],
            });
        }
    }
}

/// Sends that were asked about until the end, and nobody said what became of them.
fn unanswered(evidence: &Evidence, outcome: &mut Outcome) {
    for (key, sending) in &evidence.sends {
        if sending.acked.is_empty() && sending.refused.is_none() {
            outcome.broken(|| Violation {
                found: format!("nobody knows what became of key {key}, sent {} times", sending.times),
                expected: "an answer, once faults are over".to_owned(),
                events: vec![(sending.invoked, sent(evidence, *key, sending))],
            });
        }
    }
}
