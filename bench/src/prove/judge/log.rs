//! L1, L2, L3: the final logs against what was sent.

use std::collections::HashMap;

use super::evidence::{Evidence, Sending};
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Entry, Kind, Micros, Phase};

/// Answers that are shown where a log could not be read.
const REFUSALS_SHOWN: usize = 5;
/// Why nothing can be said of an end that was not reached.
pub(super) const UNFINISHED: &str = "the run did not come to its end";

/// L1: every acknowledged send is in the final log.
pub fn kept(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    if evidence.whole() {
        missing(evidence, &mut outcome);
    } else {
        outcome.not_judged = Some(UNFINISHED.to_owned());
    }
    for (key, sending) in &evidence.sends {
        let (Some((at, version, id)), Some(log)) =
            (sending.acked.first(), evidence.logs.get(&sending.conversation))
        else {
            continue;
        };
        outcome.look();
        let kept = log.get(version).is_some_and(|entry| entry.id == *id);
        if !kept {
            outcome.broken(|| Violation {
                found: match log.get(version) {
                    None => format!(
                        "the final log of {} has no version {version}",
                        evidence.conversation(sending.conversation)
                    ),
                    Some(other) => {
                        format!("version {version} of the final log is another entry, {}", described(other))
                    }
                },
                expected: format!("the entry of key {key}, which was acknowledged as version {version}"),
                events: vec![
                    (sending.invoked, sent(evidence, *key, sending)),
                    (*at, format!("acknowledged as version {version}")),
                ],
            });
        }
    }
    outcome.or_unknown("no send was acknowledged")
}

/// Logs that nobody could read to the end: what is in them nobody knows, so that nothing in them counts as kept.
fn missing(evidence: &Evidence, outcome: &mut Outcome) {
    let conversations = (0..).zip(&evidence.run.conversations).map(|(number, _)| number);
    let nobody = conversations.filter(|number| !evidence.logs.contains_key(number));
    let nobody = nobody.map(|conversation| ("nobody could read".to_owned(), conversation));
    let readers =
        evidence.unread_logs.iter().filter(|(_, conversation)| evidence.logs.contains_key(conversation));
    let readers = readers
        .map(|(user, conversation)| (format!("{} could not read", evidence.user(*user)), *conversation));
    for (who, conversation) in nobody.chain(readers) {
        outcome.look();
        outcome.broken(|| {
            let mut events = vec![(evidence.at(Phase::Final), "fresh connections pull every log".to_owned())];
            let refused = evidence
                .refused_pulls
                .iter()
                .filter(|(at, _, of, _)| *of == conversation && *at >= events[0].0);
            let refused = refused
                .map(|(at, session, _, code)| (*at, format!("session {session} is answered `{code}`")));
            let refused: Vec<(Micros, String)> = refused.take(REFUSALS_SHOWN).collect();
            events.extend(refused);
            Violation {
                found: format!("{who} the final log of {} to its end", evidence.conversation(conversation)),
                expected: "each of its auditors, members all the time, pulls it whole".to_owned(),
                events,
            }
        });
    }
}

/// L2: one entry a key, and one answer.
pub fn once(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let mut entries: HashMap<u64, Vec<(u32, u64)>> = HashMap::new();
    for (conversation, log) in &evidence.logs {
        for entry in log.values() {
            if let Some(key) = entry.key {
                entries.entry(key).or_default().push((*conversation, entry.version));
            }
        }
    }
    for (key, sending) in &evidence.sends {
        let first = sending.acked.first();
        let differs = sending
            .acked
            .iter()
            .find(|(_, version, id)| first.is_some_and(|f| (f.1, f.2) != (*version, *id)));
        // Without the log nobody knows how many entries there are; two answers break it all the same.
        if differs.is_none() && !evidence.logs.contains_key(&sending.conversation) {
            continue;
        }
        outcome.look();
        if let (Some(first), Some(other)) = (first, differs) {
            outcome.broken(|| Violation {
                found: format!(
                    "key {key} was answered with version {} and with version {}",
                    first.1, other.1
                ),
                expected: "the same version and id at each repetition".to_owned(),
                events: vec![
                    (sending.invoked, sent(evidence, *key, sending)),
                    (first.0, format!("acknowledged as version {}", first.1)),
                    (other.0, format!("acknowledged as version {}", other.1)),
                ],
            });
            continue;
        }
        let places = entries.get(key).map_or(&[][..], Vec::as_slice);
        if places.len() > 1 {
            let mut versions: Vec<u64> = places.iter().map(|(_, version)| *version).collect();
            versions.sort_unstable();
            outcome.broken(|| Violation {
                found: format!("key {key} has {} entries, versions {versions:?}", places.len()),
                expected: "one entry, however often it was sent".to_owned(),
                events: vec![(sending.invoked, sent(evidence, *key, sending))],
            });
        }
    }
    outcome.or_unknown("no send went to a conversation whose final log is there")
}

/// L3: every entry is what somebody sent.
pub fn no_phantom(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let by_place = acknowledged(evidence);
    let deletes = deletes(evidence);
    for (conversation, log) in &evidence.logs {
        for entry in log.values() {
            outcome.look();
            let known = match (entry.kind, entry.key) {
                (Kind::Delete, _) => entry.of.is_some_and(|of| deletes.contains_key(&(*conversation, of))),
                // Its text is gone, so its acknowledgement is all that names it; without one nobody can say.
                (_, None) if entry.deleted => {
                    by_place.get(&(*conversation, entry.version)).is_none_or(|(_, id)| *id == entry.id)
                }
                (_, None) => false,
                (_, Some(key)) => {
                    evidence.sends.get(&key).is_some_and(|sending| same(*conversation, entry, sending))
                }
            };
            let refused = entry.key.and_then(|key| evidence.sends.get(&key)).and_then(|sending| {
                sending.refused.as_ref().filter(|_| sending.acked.is_empty() && sending.unsure == 0)
            });
            if let Some((at, code)) = refused {
                outcome.broken(|| Violation {
                    found: format!(
                        "version {} of {} was refused as `{code}` and is there",
                        entry.version,
                        evidence.conversation(*conversation)
                    ),
                    expected: "no entry of a send that was refused for good".to_owned(),
                    events: vec![(*at, format!("key {} refused", entry.key.unwrap_or_default()))],
                });
            } else if !known {
                outcome.broken(|| Violation {
                    found: format!(
                        "version {} of {} is {}",
                        entry.version,
                        evidence.conversation(*conversation),
                        described(entry)
                    ),
                    expected: "an entry that a writer of this run sent, with its text, kind and sender"
                        .to_owned(),
                    events: origin(evidence, entry),
                });
            }
        }
    }
    outcome.or_unknown("no final log with an entry is there")
}

fn same(conversation: u32, entry: &Entry, sending: &Sending) -> bool {
    let content = entry.deleted || entry.text == sending.text;
    sending.conversation == conversation
        && entry.user == Some(sending.user)
        && entry.kind == sending.kind
        && entry.of == sending.of
        && content
}

/// The acknowledged entry of each place: its key and id.
fn acknowledged(evidence: &Evidence) -> HashMap<(u32, u64), (u64, u64)> {
    let acked = evidence.sends.iter().filter_map(|(key, sending)| {
        let (_, version, id) = sending.acked.first()?;
        Some(((sending.conversation, *version), (*key, *id)))
    });
    acked.collect()
}

/// What was asked to be deleted, and when first.
pub(super) fn deletes(evidence: &Evidence) -> HashMap<(u32, u64), Micros> {
    let mut deletes = HashMap::new();
    for sending in evidence.sends.values().filter(|sending| sending.kind == Kind::Delete) {
        if let Some(of) = sending.of {
            let first = deletes.entry((sending.conversation, of)).or_insert(sending.invoked);
            *first = (*first).min(sending.invoked);
        }
    }
    deletes
}

fn origin(evidence: &Evidence, entry: &Entry) -> Vec<(Micros, String)> {
    let sending = entry.key.and_then(|key| Some((key, evidence.sends.get(&key)?)));
    sending.map(|(key, sending)| (sending.invoked, sent(evidence, key, sending))).into_iter().collect()
}

/// A send for people.
pub(super) fn sent(evidence: &Evidence, key: u64, sending: &Sending) -> String {
    let kind = kind_of(sending.kind);
    format!(
        "{} sends {kind} {key} to {}",
        evidence.user(sending.user),
        evidence.conversation(sending.conversation)
    )
}

/// An entry for people.
pub(super) fn described(entry: &Entry) -> String {
    let key = entry.key.map_or_else(|| "without a key of this run".to_owned(), |key| format!("of key {key}"));
    let deleted = if entry.deleted { ", deleted" } else { "" };
    format!("{} {key} (id {:x}, text {:x}{deleted})", kind_of(entry.kind), entry.id, entry.text)
}

const fn kind_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "a message",
        Kind::Edit => "an edit",
        Kind::Delete => "a delete",
        Kind::Other => "another entry",
    }
}
