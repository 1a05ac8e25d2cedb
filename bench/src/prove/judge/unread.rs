//! U1: read marks and unread counts.

use std::collections::HashMap;

use super::evidence::Evidence;
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Kind, Micros};

/// U1: the count is that of the log, and marks never go back.
pub fn counted(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let mut greatest: HashMap<(u32, u32), (Micros, u64)> = HashMap::new();
    for (at, user, conversation, version, read) in &evidence.marks {
        outcome.look();
        let before = greatest.get(&(*user, *conversation)).copied().unwrap_or((0, 0));
        let wanted = before.1.max(*version);
        if *read < wanted {
            outcome.broken(|| Violation {
                found: format!(
                    "a read mark of {} at {version} in {} was answered with {read}",
                    evidence.user(*user),
                    evidence.conversation(*conversation)
                ),
                expected: format!("at least {wanted}: the greatest mark wins"),
                events: vec![
                    (before.0, format!("the mark before: {}", before.1)),
                    (*at, format!("the answer: {read}")),
                ],
            });
        }
        greatest.insert((*user, *conversation), (*at, wanted.max(*read)));
    }
    for (at, user, conversation, read, unread) in &evidence.unread {
        let Some(log) = evidence.logs.get(conversation) else { continue };
        outcome.look();
        let after = log.range(read + 1..).map(|(_, entry)| entry);
        let others =
            after.filter(|entry| entry.kind == Kind::Message && entry.user != Some(*user)).count() as u64;
        let mark = greatest.get(&(*user, *conversation)).copied().unwrap_or((0, 0));
        if u64::try_from(*unread) != Ok(others) || *read < mark.1 {
            outcome.broken(|| Violation {
                found: format!(
                    "{} has {unread} unread after version {read} of {}",
                    evidence.user(*user),
                    evidence.conversation(*conversation)
                ),
                expected: format!(
                    "{others} unread, the messages of others after {read} in the final log, and a mark of at least {}",
                    mark.1
                ),
                events: vec![(mark.0, format!("the last mark: {}", mark.1)), (*at, "the answer".to_owned())],
            });
        }
    }
    outcome
}
