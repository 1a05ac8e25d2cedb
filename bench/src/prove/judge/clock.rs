//! L5, L6: the order of the log against the order of time.

use std::collections::HashMap;

use super::evidence::Evidence;
use super::log::sent;
use super::order::{asked, versions};
use super::verdict::{Outcome, Violation};
use crate::prove::history::Micros;

/// L5: what was acknowledged before another was sent stands before it.
pub fn real_time(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let heads = Heads::of(evidence);
    for (key, sending) in &evidence.sends {
        let Some((at, version, _)) = sending.acked.first() else { continue };
        let Some((acked, before, other)) = heads.before(sending.conversation, sending.invoked) else {
            continue;
        };
        outcome.look();
        if before >= *version {
            outcome.broken(|| Violation {
                found: format!("key {key} is version {version}, below {before}, which was acknowledged before it was sent"),
                expected: format!("a version above {before}"),
                events: vec![
                    (acked, format!("key {other} acknowledged as version {before}")),
                    (sending.invoked, sent(evidence, *key, sending)),
                    (*at, format!("acknowledged as version {version}")),
                ],
            });
        }
    }
    outcome
}

/// L6: a pull shows what was acknowledged before it was asked. A page that has more after it is judged with the next.
pub fn fresh(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let heads = Heads::of(evidence);
    for pull in evidence.pulls.iter().filter(|pull| !pull.more) {
        let Some((acked, head, key)) = heads.before(pull.conversation, pull.invoked) else { continue };
        let wanted = pull.to.map_or(head, |to| to.min(head));
        outcome.look();
        let reached = pull.entries.iter().map(|entry| entry.version).max().unwrap_or(pull.after);
        if reached < wanted {
            outcome.broken(|| Violation {
                found: format!("a pull of {} ends at {reached}", evidence.conversation(pull.conversation)),
                expected: format!("it reaches version {wanted}, which was acknowledged before it was asked"),
                events: vec![
                    (acked, format!("key {key} acknowledged as version {head}")),
                    asked(evidence, pull),
                    (pull.answered, format!("the last page: {}", versions(pull.entries))),
                ],
            });
        }
    }
    outcome
}

/// Of each conversation the greatest version acknowledged up to each moment: when, version, key.
struct Heads(HashMap<u32, Vec<(Micros, u64, u64)>>);

impl Heads {
    fn of(evidence: &Evidence) -> Self {
        let mut heads: HashMap<u32, Vec<(Micros, u64, u64)>> = HashMap::new();
        for (key, sending) in &evidence.sends {
            if let Some((at, version, _)) = sending.acked.first() {
                heads.entry(sending.conversation).or_default().push((*at, *version, *key));
            }
        }
        for acked in heads.values_mut() {
            acked.sort_unstable();
            let mut greatest = (0, 0);
            for (_, version, key) in acked.iter_mut() {
                greatest = greatest.max((*version, *key));
                (*version, *key) = greatest;
            }
        }
        Self(heads)
    }

    /// The greatest version acknowledged strictly before a moment.
    fn before(&self, conversation: u32, moment: Micros) -> Option<(Micros, u64, u64)> {
        let acked = self.0.get(&conversation)?;
        let after = acked.partition_point(|(at, ..)| *at < moment);
        acked.get(after.checked_sub(1)?).copied()
    }
}
