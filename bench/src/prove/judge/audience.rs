//! H3: who is told, and who may read.

use super::evidence::Evidence;
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
                if !evidence.may_have_been(session.user, *conversation, allowed_from(evidence, *at), *at) {
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
    outcome
}

/// Since when its user may have been removed: what a stopped process had written comes when it goes on.
fn allowed_from(evidence: &Evidence, at: Micros) -> Micros {
    let revoke = evidence.run.bounds.revoke;
    let from = at.saturating_sub(revoke);
    let begun = evidence.faults.iter().filter(|fault| fault.begin <= at && fault.end >= from);
    begun.map(|fault| fault.begin.saturating_sub(revoke)).min().unwrap_or(from).min(from)
}

fn stay(evidence: &Evidence, user: u32, conversation: u32, last: (Micros, &str)) -> Vec<(Micros, String)> {
    let mut events = Vec::new();
    if let Some(stay) = evidence.stays_of(user, conversation).last() {
        events.push((stay.adding, "its user is being added".to_owned()));
        events.extend(stay.removing.map(|at| (at, "its user is being removed".to_owned())));
        events.extend(stay.removed.map(|at| (at, "its user was removed".to_owned())));
    } else {
        events.push((0, "its user was never a member".to_owned()));
    }
    events.push((last.0, last.1.to_owned()));
    events
}
