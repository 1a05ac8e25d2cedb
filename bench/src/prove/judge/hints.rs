//! H1, H2: whether hints came, and whether they were enough.

use std::collections::{BTreeSet, HashMap};

use super::evidence::{Evidence, Session};
use super::log::{UNFINISHED, sent};
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Micros, Phase, Role};

/// Of so many sends that must be acknowledged (`--acked-min`), one must have been judged: sessions that came and went all the
/// time would leave none.
const ACKED_EACH_JUDGED: u64 = 10;

/// H1: each change is hinted to each session that is there for it, or known by a pull, within T.
pub fn hinted(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let heard = Heard::of(evidence);
    let present = present(evidence);
    let (mut sends, mut in_load) = (0, 0);
    for (key, sending) in &evidence.sends {
        let Some((acked, version, _)) = sending.acked.first() else { continue };
        let due = evidence.due(*acked);
        let before = outcome.checked;
        for (number, session) in present.get(&sending.conversation).map_or(&[][..], Vec::as_slice) {
            let there = session.opened <= sending.invoked && session.closed.is_none_or(|closed| closed > due);
            let until = due.min(evidence.end);
            if !there
                || due > evidence.end
                || !evidence.stayed(session.user, sending.conversation, sending.invoked, until)
            {
                continue;
            }
            outcome.look();
            let times = (sending.invoked, due);
            if !heard.knows((*number, session), sending.conversation, *version, times) {
                outcome.broken(|| Violation {
                    found: format!(
                        "session {number} ({}) was not hinted of version {version} of {}",
                        evidence.user(session.user),
                        evidence.conversation(sending.conversation)
                    ),
                    expected: format!(
                        "a hint of that version or a later one, or an answer that shows it, within {:.1} s",
                        seconds(due - acked)
                    ),
                    events: vec![
                        (session.opened, format!("session {number} has its welcome")),
                        (sending.invoked, sent(evidence, *key, sending)),
                        (*acked, format!("acknowledged as version {version}")),
                        (due, "the time is over".to_owned()),
                    ],
                });
            }
        }
        if outcome.checked > before {
            sends += 1;
            in_load += u64::from(due < evidence.at(Phase::Heal));
        }
    }
    let least = (evidence.run.bounds.acked_min / ACKED_EACH_JUDGED).max(1);
    if sends < least {
        outcome.not_judged = Some(format!(
            "{sends} sends had a session that was there from before them until their time was over: at least {least} are needed"
        ));
    } else {
        outcome.note = Some(format!("of {sends} sends, {in_load} of them due before the load ended"));
    }
    outcome
}

/// H2: at the end each hint-driven reader knows the head of each of its logs.
pub fn end_state(evidence: &Evidence) -> Outcome {
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

/// The hint-driven sessions of each conversation's members.
fn present<'a>(evidence: &'a Evidence) -> HashMap<u32, Vec<(u32, &'a Session)>> {
    let mut conversations: HashMap<u32, Vec<u32>> = HashMap::new();
    for (user, conversation) in evidence.stays.keys() {
        conversations.entry(*user).or_default().push(*conversation);
    }
    let mut present: HashMap<u32, Vec<(u32, &Session)>> = HashMap::new();
    for (number, session) in evidence.sessions.iter().filter(|(_, session)| session.role == Role::Hinted) {
        for conversation in conversations.get(&session.user).map_or(&[][..], Vec::as_slice) {
            present.entry(*conversation).or_default().push((*number, session));
        }
    }
    present
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
    /// never from the question; or it was told, after it was sent, that anything may have changed.
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
            || within(&session.wide, sent, due)
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
