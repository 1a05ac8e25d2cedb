//! H1: whether hints came.

use std::collections::{BTreeMap, HashMap};

use super::evidence::{Evidence, Sending, Session};
use super::log::sent;
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Micros, Phase, Role};

/// Of so many sends that must be acknowledged (`--acked-min`), one must have been judged: sessions that came and went all the
/// time would leave none.
const ACKED_EACH_JUDGED: u64 = 10;

/// H1: each change is hinted to each session that is there for it, or known by a pull, within T. Who came back meanwhile knows it
/// by then as well: from its questions.
pub fn hinted(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let heard = Heard::of(evidence);
    let readers = readers(evidence);
    let (mut sends, mut in_load) = (0, 0);
    for (key, sending) in &evidence.sends {
        let Some((acked, version, _)) = sending.acked.first() else { continue };
        let change =
            Change { key: *key, sending, acked: *acked, version: *version, due: evidence.due(*acked) };
        if change.due > evidence.end {
            continue;
        }
        let before = outcome.checked;
        for reader in readers.get(&sending.conversation).map_or(&[][..], Vec::as_slice) {
            if evidence.stayed(reader.user, sending.conversation, sending.invoked, change.due) {
                told(evidence, &mut outcome, &heard, (&change, reader));
            }
        }
        if outcome.checked > before {
            sends += 1;
            in_load += u64::from(change.due < evidence.at(Phase::Heal));
        }
    }
    let least = (evidence.run.bounds.acked_min / ACKED_EACH_JUDGED).max(1);
    if sends < least {
        outcome.not_judged = Some(format!(
            "{sends} sends had a reader who was there before them, until their time was over: at least {least} are needed"
        ));
    } else {
        outcome.note = Some(format!("of {sends} sends, {in_load} of them due before the load ended"));
    }
    outcome
}

/// A change, and until when readers may not know of it.
struct Change<'a> {
    key: u64,
    sending: &'a Sending,
    acked: Micros,
    version: u64,
    due: Micros,
}

/// A hint-driven client, with its sessions in their order.
#[derive(Clone)]
struct Reader<'a> {
    user: u32,
    sessions: Vec<(u32, &'a Session)>,
}

/// Looks whether each session that was there all the time was told of a change, or whether the client knows it by another one.
fn told(evidence: &Evidence, outcome: &mut Outcome, heard: &Heard, (change, reader): (&Change, &Reader)) {
    let Change { sending, version, due, .. } = *change;
    let knows = |(number, session): &(u32, &Session)| {
        heard.knows((*number, session), sending.conversation, version, (sending.invoked, due))
    };
    let before = |session: &Session| session.opened <= sending.invoked;
    let all_the_time =
        |session: &Session| before(session) && session.closed.is_none_or(|closed| closed > due);
    let mut is_there = false;
    for (number, session) in reader.sessions.iter().filter(|(_, session)| all_the_time(session)) {
        is_there = true;
        outcome.look();
        if !knows(&(*number, session)) {
            let opened = (session.opened, format!("session {number} has its welcome"));
            outcome.broken(|| {
                untold(evidence, change, format!("session {number}"), (reader.user, vec![opened]))
            });
        }
    }
    // Who had a session before and comes back asks what it missed. At the very end all leave. Where somebody else makes the faults
    // nobody knows for how long there was nobody to ask.
    if is_there
        || !evidence.run.nemesis
        || due > evidence.at(Phase::Final)
        || !reader.sessions.first().is_some_and(|(_, first)| before(first))
    {
        return;
    }
    outcome.look();
    if !reader.sessions.iter().any(knows) {
        let moves = reader.sessions.iter().filter(|(_, session)| session.opened <= due).rev().take(2);
        let moves = moves.flat_map(|(number, session)| {
            let closed = session.closed.map(|at| (at, format!("session {number} ends")));
            [Some((session.opened, format!("session {number} has its welcome"))), closed]
                .into_iter()
                .flatten()
        });
        let client = reader.sessions.first().map_or(0, |(_, session)| session.client);
        outcome
            .broken(|| untold(evidence, change, format!("client {client}"), (reader.user, moves.collect())));
    }
}

fn untold(
    evidence: &Evidence,
    change: &Change,
    who: String,
    (user, mut events): (u32, Vec<(Micros, String)>),
) -> Violation {
    let Change { key, sending, acked, version, due } = *change;
    events.extend([
        (sending.invoked, sent(evidence, key, sending)),
        (acked, format!("acknowledged as version {version}")),
        (due, "the time is over".to_owned()),
    ]);
    events.sort();
    Violation {
        found: format!(
            "{who} ({}) was not told of version {version} of {}",
            evidence.user(user),
            evidence.conversation(sending.conversation)
        ),
        expected: format!(
            "a hint of that version or a later one, or an answer that shows it, within {:.1} s",
            seconds(due - acked)
        ),
        events,
    }
}

/// The hint-driven readers of each conversation's members.
fn readers<'a>(evidence: &'a Evidence) -> HashMap<u32, Vec<Reader<'a>>> {
    let mut clients: BTreeMap<u32, Reader> = BTreeMap::new();
    for (number, session) in evidence.sessions.iter().filter(|(_, session)| session.role == Role::Hinted) {
        let new = || Reader { user: session.user, sessions: Vec::new() };
        clients.entry(session.client).or_insert_with(new).sessions.push((*number, session));
    }
    let mut conversations: HashMap<u32, Vec<u32>> = HashMap::new();
    for (user, conversation) in evidence.stays.keys() {
        conversations.entry(*user).or_default().push(*conversation);
    }
    let mut readers: HashMap<u32, Vec<Reader>> = HashMap::new();
    for reader in clients.into_values() {
        for conversation in conversations.get(&reader.user).map_or(&[][..], Vec::as_slice) {
            readers.entry(*conversation).or_default().push(reader.clone());
        }
    }
    readers
}

/// The greatest version known so far, at each hint and each answer of a session about a conversation.
struct Heard(HashMap<(u32, u32), Vec<(Micros, u64)>>);

impl Heard {
    fn of(evidence: &Evidence) -> Self {
        let mut heard = HashMap::new();
        for (number, session) in &evidence.sessions {
            for (conversation, told) in session.hints.iter().chain(&session.answers) {
                let all: &mut Vec<(Micros, u64)> = heard.entry((*number, *conversation)).or_default();
                all.extend(told);
            }
        }
        for told in heard.values_mut() {
            told.sort_unstable();
            let mut greatest = 0;
            for (_, version) in told {
                greatest = greatest.max(*version);
                *version = greatest;
            }
        }
        Self(heard)
    }

    /// Whether a session knew a version by `due`: from a hint of it or a later one; from an answer that names or shows it,
    /// never from the question; or it was told, after it was sent, that anything may have changed, and was still there to ask.
    fn knows(
        &self,
        (number, session): (u32, &Session),
        conversation: u32,
        version: u64,
        (sent, due): (Micros, Micros),
    ) -> bool {
        let told = self.0.get(&(number, conversation)).map_or(&[][..], Vec::as_slice);
        let last = told.partition_point(|(at, _)| *at <= due).checked_sub(1);
        last.and_then(|last| told.get(last)).is_some_and(|(_, greatest)| *greatest >= version)
            || session.closed.is_none_or(|closed| closed > due) && within(&session.wide, sent, due)
    }
}

fn within(moments: &[Micros], from: Micros, to: Micros) -> bool {
    let first = moments.partition_point(|at| *at < from);
    moments.get(first).is_some_and(|at| *at <= to)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn that_anything_may_have_changed_counts_for_who_was_there_to_ask() {
        let heard = Heard(HashMap::new());
        let session = |closed| Session {
            client: 0,
            user: 0,
            role: Role::Hinted,
            target: None,
            opened: 0,
            closed,
            hints: HashMap::new(),
            wide: vec![20],
            pulled: HashSet::new(),
            answers: HashMap::new(),
        };
        let knows = |closed| heard.knows((0, &session(closed)), 0, 1, (10, 100));
        assert!(knows(None) && knows(Some(101)));
        assert!(!knows(Some(30)), "it ended before the limit: an answer that it had would be in the history");
    }
}
