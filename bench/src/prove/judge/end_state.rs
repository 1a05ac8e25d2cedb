//! H2: whether hints were enough.

use std::collections::{BTreeSet, HashMap};

use super::evidence::{Evidence, Session};
use super::log::UNFINISHED;
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Micros, Phase, Role};

/// H2: at the end each hint-driven reader knows the head of each of its logs.
pub fn hinted_enough(evidence: &Evidence) -> Outcome {
    let Some(at) = evidence.phases.get(&Phase::Final).copied() else {
        return Outcome::unknown(UNFINISHED);
    };
    let mut outcome = Outcome::default();
    let known: HashMap<(u32, u32), (Micros, u64)> = evidence
        .known
        .iter()
        .map(|(at, client, _, conversation, version)| ((*client, *conversation), (*at, *version)))
        .collect();
    let open = evidence.sessions.iter().filter(|(_, session)| {
        session.role == Role::Hinted
            && session.opened <= at
            && session.closed.is_none_or(|closed| closed > at)
    });
    let members = evidence.members_at(at);
    let mut seen = BTreeSet::new();
    for (number, session) in open {
        for conversation in members.get(&session.user).map_or(&[][..], Vec::as_slice) {
            let Some(head) = evidence.head(*conversation) else { continue };
            // Two sessions of one client, while it moves from one gateway to another, know the same.
            if !seen.insert((session.client, *conversation)) {
                continue;
            }
            outcome.look();
            let knows = known.get(&(session.client, *conversation)).map_or((at, 0), |known| *known);
            if knows.1 != head {
                outcome.broken(|| Violation {
                    found: format!(
                        "{} (session {number}) knows version {} of {}",
                        evidence.user(session.user),
                        knows.1,
                        evidence.conversation(*conversation)
                    ),
                    expected: format!("version {head}, the head of the final log, by hints alone"),
                    events: trail(evidence, session, *conversation, head, knows),
                });
            }
        }
    }
    outcome.or_unknown(
        "no hint-driven reader of a conversation whose final log is there was connected at the end",
    )
}

/// What led to a reader that is behind: the first change that it does not know, and the last hint that it had.
fn trail(
    evidence: &Evidence,
    session: &Session,
    conversation: u32,
    head: u64,
    knows: (Micros, u64),
) -> Vec<(Micros, String)> {
    let mut events = vec![(session.opened, "its session has its welcome".to_owned())];
    if let Some((at, version)) = session.hints.get(&conversation).and_then(|hints| hints.last()) {
        events.push((*at, format!("its last hint of it, version {version}")));
    }
    let missed = evidence.sends.iter().filter(|(_, sending)| sending.conversation == conversation);
    let missed = missed.filter_map(|(key, sending)| Some((key, sending.acked.first()?)));
    let first =
        missed.filter(|(_, acked)| acked.1 > knows.1 && acked.1 <= head).min_by_key(|(_, acked)| acked.1);
    if let Some((key, (at, version, _))) = first {
        events.push((
            *at,
            format!("key {key} acknowledged as version {version}: the first that it does not know"),
        ));
    }
    events.push((knows.0, format!("it knows version {}", knows.1)));
    events.sort();
    events
}
