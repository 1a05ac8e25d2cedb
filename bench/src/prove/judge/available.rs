//! V3: whether the server was there meanwhile.

use std::collections::HashMap;

use super::evidence::{Evidence, Sending, Session, Window};
use super::log::UNFINISHED;
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Harmed, Phase, Role};

/// Fewer sends in a window say nothing about one in a hundred.
const SENDS_MIN: usize = 100;

/// V3: while a fault spares who answers sends, they are acknowledged; and nobody is without a session because a gateway is asked to end.
pub fn available(evidence: &Evidence) -> Outcome {
    if !evidence.phases.contains_key(&Phase::Heal) {
        return Outcome::unknown(UNFINISHED);
    }
    let mut outcome = Outcome::default();
    for fault in evidence.faults.iter().filter(|fault| alone(evidence, fault)) {
        if fault.spares_sends {
            acknowledged(evidence, fault, &mut outcome);
        }
        if fault.elsewhere && fault.effective && fault.harmed.as_ref().is_some_and(Harmed::is_drain) {
            moved(evidence, fault, &mut outcome);
        }
    }
    if outcome.checked == 0 {
        outcome.not_judged = Some(format!(
            "no fault stood alone and spared who answers {SENDS_MIN} sends that did not go by way of what it harmed"
        ));
    }
    outcome
}

/// The sends of a fault, but those that went by way of a gateway that it killed or stopped.
fn acknowledged(evidence: &Evidence, fault: &Window, outcome: &mut Outcome) {
    let spared = |sending: &&Sending| {
        let lost = |target| fault.harmed.as_ref().is_some_and(|harmed| harmed.harms_sends_by(target));
        (fault.begin..fault.end).contains(&sending.invoked) && !sending.target.is_some_and(lost)
    };
    let (mut sent, mut kept) = (0_usize, 0_usize);
    for sending in evidence.sends.values().filter(spared) {
        sent += 1;
        kept += usize::from(sending.unsure == 0 && !sending.acked.is_empty());
    }
    if sent < SENDS_MIN {
        return;
    }
    outcome.look();
    if kept * 100 < sent * 99 {
        outcome.broken(|| Violation {
            found: format!("{kept} of {sent} sends were acknowledged at once"),
            expected: "99 of 100, because the fault spares who answers them and who passes them on"
                .to_owned(),
            events: vec![(fault.begin, format!("begins: {}", fault.what)), (fault.end, "ends".to_owned())],
        });
    }
}

/// Who had a session at a gateway that is asked to end has another one before that one is over.
fn moved(evidence: &Evidence, fault: &Window, outcome: &mut Outcome) {
    let mut clients: HashMap<u32, Vec<&Session>> = HashMap::new();
    for session in evidence.sessions.values() {
        clients.entry(session.client).or_default().push(session);
    }
    let at = fault.harmed.as_ref().map_or(&[][..], |harmed| &harmed.targets);
    for (number, session) in &evidence.sessions {
        let is_there =
            session.opened < fault.begin && session.target.is_some_and(|target| at.contains(&target));
        // Hostile ones are thrown out for what they do.
        let Some(closed) = session.closed.filter(|closed| {
            is_there && session.role != Role::Hostile && (fault.begin..=fault.end).contains(closed)
        }) else {
            continue;
        };
        outcome.look();
        let holds =
            |other: &&Session| other.opened <= closed && other.closed.is_none_or(|ends| ends > closed);
        if !clients.get(&session.client).is_some_and(|sessions| sessions.iter().any(holds)) {
            outcome.broken(|| Violation {
                found: format!(
                    "session {number} ({}) ended, and its client had no other one",
                    evidence.user(session.user)
                ),
                expected: "a new session elsewhere, and then the end of the old one".to_owned(),
                events: vec![
                    (session.opened, format!("session {number} has its welcome")),
                    (fault.begin, format!("begins: {}", fault.what)),
                    (closed, format!("session {number} ends")),
                ],
            });
        }
    }
}

fn alone(evidence: &Evidence, fault: &Window) -> bool {
    let overlapping = |other: &&Window| other.begin < fault.end && fault.begin < other.end;
    evidence.faults.iter().filter(overlapping).count() == 1
}
