//! How long hints took: from the moment a send went out to the first hint of its version at each hint-driven session.

use std::collections::HashMap;

use super::evidence::Evidence;
use super::verdict::Latency;
use crate::prove::history::{Micros, Role};

/// Outside and inside of faults.
pub fn of(evidence: &Evidence) -> Latency {
    let mut latency = Latency::default();
    for (sent, took) in each(evidence) {
        let troubled = evidence.troubled_between(sent, sent.saturating_add(took.into()));
        let spread = if troubled { &mut latency.faulty } else { &mut latency.calm };
        spread.sorted.push(took);
    }
    latency.calm.sorted.sort_unstable();
    latency.faulty.sorted.sort_unstable();
    latency
}

/// Each hint that said something new: when its send went out, and how long it took, in microseconds.
pub fn each(evidence: &Evidence) -> Vec<(Micros, u32)> {
    let sent: HashMap<(u32, u64), Micros> = evidence
        .sends
        .values()
        .filter_map(|sending| Some(((sending.conversation, sending.acked.first()?.1), sending.invoked)))
        .collect();
    let mut all = Vec::new();
    for session in evidence.sessions.values().filter(|session| session.role == Role::Hinted) {
        for (conversation, hints) in &session.hints {
            let mut greatest = 0;
            for (at, version) in hints.iter().filter(|hint| {
                let new = hint.1 > greatest;
                greatest = greatest.max(hint.1);
                new
            }) {
                // What was sent before the session began, it learns when it follows: that says nothing of hints.
                if let Some(begun) =
                    sent.get(&(*conversation, *version)).filter(|begun| **begun >= session.opened)
                {
                    all.push((*begun, u32::try_from(at.saturating_sub(*begun)).unwrap_or(u32::MAX)));
                }
            }
        }
    }
    all
}
