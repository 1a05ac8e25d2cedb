//! U1: read marks and unread counts.

use std::collections::HashMap;

use super::evidence::Evidence;
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Kind, Micros};

/// U1: the count is that of the log, and marks never go back.
pub fn counted(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    // Of each user and conversation the marks so far: when answered, and the greatest up to it.
    let mut before: HashMap<(u32, u32), Vec<(Micros, u64)>> = HashMap::new();
    for mark in &evidence.marks {
        outcome.look();
        let marks = before.entry((mark.user, mark.conversation)).or_default();
        // Two sessions of a user may mark at once: only what was answered before this one was asked binds it.
        let bound =
            marks[..marks.partition_point(|(at, _)| *at < mark.asked)].last().copied().unwrap_or((0, 0));
        let wanted = bound.1.max(mark.version);
        if mark.read < wanted {
            outcome.broken(|| Violation {
                found: format!(
                    "a read mark of {} at {} in {} was answered with {}",
                    evidence.user(mark.user),
                    mark.version,
                    evidence.conversation(mark.conversation),
                    mark.read
                ),
                expected: format!("at least {wanted}: the greatest mark wins"),
                events: vec![
                    (bound.0, format!("the mark before: {}", bound.1)),
                    (mark.asked, "it goes out".to_owned()),
                    (mark.answered, format!("the answer: {}", mark.read)),
                ],
            });
        }
        let greatest = marks.last().map_or(0, |last| last.1).max(mark.read);
        marks.push((mark.answered, greatest));
    }
    for (at, user, conversation, read, unread) in &evidence.unread {
        let Some(log) = evidence.logs.get(conversation) else { continue };
        outcome.look();
        let after = log.range(read + 1..).map(|(_, entry)| entry);
        let others =
            after.filter(|entry| entry.kind == Kind::Message && entry.user != Some(*user)).count() as u64;
        let marks = before.get(&(*user, *conversation));
        let mark = marks.and_then(|marks| marks.last()).copied().unwrap_or((0, 0));
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
