//! L4: all pulls show parts of one sequence.

use std::collections::HashMap;

use super::evidence::{Evidence, Pulling};
use super::log::{deletes, described};
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Entry, Micros};

/// What was first seen at a place, by whom, and since when it is known to be without content.
struct Seen {
    entry: Entry,
    at: Micros,
    session: u32,
    redacted: Option<Micros>,
}

/// L4: no two pulls disagree on a version, versions are gapless, and what was seen stays.
pub fn one_order(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let deletes = deletes(evidence);
    let mut seen: HashMap<(u32, u64), Seen> = HashMap::new();
    // In the order of their answers, so that "once seen" means something.
    for pull in &evidence.pulls {
        outcome.look();
        if let Some(violation) = gap(evidence, pull) {
            outcome.broken(|| violation);
            continue;
        }
        for entry in pull.entries {
            let place = (pull.conversation, entry.version);
            let allowed = || may_be_redacted(&deletes, pull, entry);
            match seen.get_mut(&place) {
                None => {
                    let redacted = entry.deleted.then_some(pull.answered);
                    if entry.deleted && !allowed() {
                        outcome.broken(|| changed(evidence, pull, entry, None));
                    }
                    seen.insert(
                        place,
                        Seen { entry: *entry, at: pull.answered, session: pull.session, redacted },
                    );
                }
                Some(first) => {
                    let stale = !entry.deleted && first.redacted.is_some_and(|since| since < pull.invoked);
                    if !agree(&first.entry, entry) || stale || (entry.deleted && !allowed()) {
                        outcome.broken(|| changed(evidence, pull, entry, Some(first)));
                    }
                    if entry.deleted {
                        first.redacted.get_or_insert(pull.answered);
                    } else if first.entry.deleted {
                        // Asked before the delete was seen: now its content is known.
                        first.entry = *entry;
                    }
                }
            }
        }
    }
    if evidence.logs.is_empty() {
        outcome.not_judged =
            Some("no final log is there: nobody knows whether what was seen stayed".to_owned());
    }
    for (conversation, log) in &evidence.logs {
        vanished(evidence, *conversation, log.keys().next_back().copied().unwrap_or(0), &seen, &mut outcome);
    }
    outcome.or_unknown("nobody pulled anything")
}

/// Content may be missing once a delete of the message was sent; of an edit, once one of what it edits was.
fn may_be_redacted(deletes: &HashMap<(u32, u64), Micros>, pull: &Pulling, entry: &Entry) -> bool {
    let of = entry.of.unwrap_or(entry.version);
    deletes.get(&(pull.conversation, of)).is_some_and(|asked| *asked <= pull.answered)
}

/// The same entry, or the same without its content.
fn agree(a: &Entry, b: &Entry) -> bool {
    let content = a.deleted || b.deleted || (a.text == b.text && a.key == b.key);
    a.id == b.id && a.user == b.user && a.kind == b.kind && a.of == b.of && content
}

fn gap(evidence: &Evidence, pull: &Pulling) -> Option<Violation> {
    for (wanted, entry) in (pull.after + 1..).zip(pull.entries) {
        if entry.version != wanted {
            return Some(Violation {
                found: format!(
                    "a page of {} after {} has version {} where {wanted} belongs",
                    evidence.conversation(pull.conversation),
                    pull.after,
                    entry.version
                ),
                expected: "versions in ascending order without a gap, from the one after the version asked"
                    .to_owned(),
                events: vec![
                    asked(evidence, pull),
                    (pull.answered, format!("the page: {}", versions(pull.entries))),
                ],
            });
        }
    }
    None
}

fn changed(evidence: &Evidence, pull: &Pulling, entry: &Entry, first: Option<&Seen>) -> Violation {
    let mut events = Vec::new();
    if let Some(first) = first {
        events.push((first.at, format!("session {} first saw {}", first.session, described(&first.entry))));
        if let Some(since) = first.redacted {
            events.push((since, "seen without its content".to_owned()));
        }
    }
    events.push(asked(evidence, pull));
    events.push((pull.answered, format!("it got {}", described(entry))));
    Violation {
        found: format!(
            "version {} of {} is not what it was",
            entry.version,
            evidence.conversation(pull.conversation)
        ),
        expected: "the same entry at each pull; only a delete takes content away, and for good".to_owned(),
        events,
    }
}

/// What was once seen beyond the end of the final log.
fn vanished(
    evidence: &Evidence,
    conversation: u32,
    head: u64,
    seen: &HashMap<(u32, u64), Seen>,
    outcome: &mut Outcome,
) {
    let beyond = seen.iter().filter(|((of, version), _)| *of == conversation && *version > head);
    for ((_, version), first) in beyond {
        outcome.broken(|| Violation {
            found: format!(
                "version {version} of {} was seen and is gone: the final log ends at {head}",
                evidence.conversation(conversation)
            ),
            expected: "what a reader saw stays".to_owned(),
            events: vec![(first.at, format!("session {} saw {}", first.session, described(&first.entry)))],
        });
    }
}

/// A pull for people.
pub(super) fn asked(evidence: &Evidence, pull: &Pulling) -> (Micros, String) {
    let who = evidence.sessions.get(&pull.session).map_or("?", |open| evidence.user(open.user));
    (
        pull.invoked,
        format!(
            "session {} ({who}) pulls {} after {}",
            pull.session,
            evidence.conversation(pull.conversation),
            pull.after
        ),
    )
}

/// The versions of a page, in short.
pub(super) fn versions(entries: &[Entry]) -> String {
    match entries {
        [] => "empty".to_owned(),
        _ if entries.len() <= 12 => {
            entries.iter().map(|entry| entry.version.to_string()).collect::<Vec<_>>().join(", ")
        }
        [first, .., last] => format!("{} entries from {} to {}", entries.len(), first.version, last.version),
        [one] => one.version.to_string(),
    }
}
