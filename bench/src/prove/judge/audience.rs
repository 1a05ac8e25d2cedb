//! H3: who is told, and who may read.

use std::collections::HashMap;

use super::evidence::{Evidence, Session, Window};
use super::verdict::{Outcome, Violation};
use crate::prove::history::Micros;

/// H3: each hint and each page went to somebody who was a member, or had been moments before; nothing of a message
/// went with a hint.
pub fn authorised(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome { checked: evidence.denied, ..Outcome::default() };
    for (number, session) in &evidence.sessions {
        for (conversation, hints) in &session.hints {
            for (at, version) in hints {
                outcome.look();
                if !in_time(evidence, session.user, *conversation, *at) {
                    outcome.broken(|| Violation {
                        found: format!(
                            "session {number} ({}) was hinted of version {version} of {}",
                            evidence.user(session.user),
                            evidence.conversation(*conversation)
                        ),
                        expected: "no hint to who is no member, nor was one moments before".to_owned(),
                        events: stay(evidence, session.user, *conversation, (*at, "the hint")),
                    });
                }
            }
        }
    }
    for pull in &evidence.pulls {
        let Some(session) = evidence.sessions.get(&pull.session) else { continue };
        outcome.look();
        if !evidence.may_have_been(session.user, pull.conversation, pull.invoked, pull.answered) {
            outcome.broken(|| Violation {
                found: format!(
                    "{} pulled {} and got a page",
                    evidence.user(session.user),
                    evidence.conversation(pull.conversation)
                ),
                expected: "`not_found`, as for a conversation that is not there".to_owned(),
                events: stay(evidence, session.user, pull.conversation, (pull.invoked, "the pull goes out")),
            });
        }
    }
    for (at, session, what) in &evidence.foreign {
        let who = evidence.sessions.get(session).map_or("?", |open| evidence.user(open.user));
        outcome.broken(|| Violation {
            found: format!("session {session} ({who}) {what}"),
            expected: "to be told of its own topics alone, by name and version".to_owned(),
            events: vec![(*at, "it came".to_owned())],
        });
    }
    outcome.note = Some(format!("{} removals judged", removals(evidence)));
    outcome
}

/// Removals that a late hint would have shown: after their time was over and before the user was let in again, something
/// changed while a session of the user was open.
fn removals(evidence: &Evidence) -> usize {
    let mut changes: HashMap<u32, Vec<Micros>> = HashMap::new();
    for sending in evidence.sends.values().filter(|sending| !sending.acked.is_empty()) {
        changes.entry(sending.conversation).or_default().push(sending.invoked);
    }
    changes.values_mut().for_each(|sent| sent.sort_unstable());
    let mut sessions: HashMap<u32, Vec<&Session>> = HashMap::new();
    for session in evidence.sessions.values() {
        sessions.entry(session.user).or_default().push(session);
    }
    let open = |user: u32, at: Micros| {
        let of_user = sessions.get(&user).map_or(&[][..], Vec::as_slice);
        of_user.iter().any(|session| session.opened <= at && session.closed.is_none_or(|closed| closed > at))
    };
    let mut judged = 0;
    for ((user, conversation), stays) in &evidence.stays {
        let sent = changes.get(conversation).map_or(&[][..], Vec::as_slice);
        for (number, stay) in stays.iter().enumerate() {
            let Some(removed) = stay.removed else { continue };
            let (from, until) = (due(evidence, removed), stays.get(number + 1).map(|next| next.adding));
            let first = sent.partition_point(|at| *at <= from);
            let away = sent[first..].iter().take_while(|at| until.is_none_or(|until| **at < until));
            judged += usize::from(away.copied().any(|at| open(*user, at)));
        }
    }
    judged
}

/// Until when a hint may come after a removal: the stated bound, and not a moment more where no fault was near. What a fault
/// falls into, or comes within T of one, has until T after that fault. Faults that come later excuse nothing.
fn due(evidence: &Evidence, removed: Micros) -> Micros {
    let due = removed.saturating_add(evidence.run.bounds.revoke);
    let on = |fault: &&Window| fault.begin <= due && fault.calm >= removed;
    let excused = evidence.faults.iter().filter(on).map(|fault| fault.calm).max();
    due.max(excused.unwrap_or(0))
}

/// Whether a hint came while its user may have been a member, or not too late after.
fn in_time(evidence: &Evidence, user: u32, conversation: u32, at: Micros) -> bool {
    evidence.stays_of(user, conversation).iter().filter(|stay| stay.adding <= at).any(|stay| {
        let Some(removed) = stay.removed.filter(|removed| *removed < at) else { return true };
        at <= due(evidence, removed)
    })
}

fn stay(evidence: &Evidence, user: u32, conversation: u32, last: (Micros, &str)) -> Vec<(Micros, String)> {
    let mut events = Vec::new();
    // The last one that had begun: a later one is another story.
    let mut begun = evidence.stays_of(user, conversation).iter().filter(|stay| stay.adding <= last.0);
    if let Some(stay) = begun.next_back() {
        events.push((stay.adding, "its user is being added".to_owned()));
        events.extend(stay.removing.map(|at| (at, "its user is being removed".to_owned())));
        events.extend(stay.removed.map(|at| (at, "its user was removed".to_owned())));
    } else {
        events.push((0, "its user had never been a member".to_owned()));
    }
    events.push((last.0, last.1.to_owned()));
    events
}
