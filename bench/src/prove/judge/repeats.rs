//! H4: hints that say nothing new.

use std::collections::HashMap;

use super::evidence::{Evidence, Session};
use super::verdict::{Outcome, Violation};
use crate::prove::history::Micros;

/// Repeats that any run may have, however short.
const REPEATS_FREE: u64 = 5;
/// Hints of one conversation that a session may have beyond its changes: when it is followed, and once for a change whose
/// send began before the session did.
const EXTRA: u64 = 3;
/// Further ones for each fault: registered again, delivered again, announced again, looked up.
const EXTRA_EACH_FAULT: u64 = 4;

/// H4: without faults one repeat in a hundred; and no session has more hints of a conversation than there were changes and
/// reasons to say it again.
pub fn bounded(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    let changes = Changes::of(evidence);
    let (mut calm, mut repeats, mut example) = (0_u64, 0_u64, None);
    for (number, session) in &evidence.sessions {
        let faults = faults_of(evidence, session);
        for (conversation, hints) in &session.hints {
            let until = session.closed.unwrap_or(evidence.end);
            let joins = evidence.stays_of(session.user, *conversation).len() as u64;
            let bound = changes.between(*conversation, session.opened, until)
                + EXTRA
                + joins
                + EXTRA_EACH_FAULT * faults;
            let had = hints.len() as u64;
            outcome.look();
            if had > bound {
                outcome.broken(|| Violation {
                    found: format!(
                        "session {number} ({}) had {had} hints of {}",
                        evidence.user(session.user),
                        evidence.conversation(*conversation)
                    ),
                    expected: format!("at most {bound}: the changes while it was open, and a few for each of {faults} faults"),
                    events: vec![(session.opened, "its welcome".to_owned()), (until, "the last moment counted".to_owned())],
                });
            }
            let mut greatest = 0;
            for (at, version) in hints {
                let repeat = *version <= greatest;
                greatest = greatest.max(*version);
                if !evidence.troubled(*at) {
                    calm += 1;
                    repeats += u64::from(repeat);
                    if repeat && example.is_none() {
                        example = Some((*at, *number, *conversation, *version));
                    }
                }
            }
        }
    }
    let allowed = (calm / 100).max(REPEATS_FREE);
    if let Some((at, number, conversation, version)) = example.filter(|_| repeats > allowed) {
        outcome.broken(|| Violation {
            found: format!("{repeats} of {calm} hints without a fault said nothing new"),
            expected: format!("at most {allowed}"),
            events: vec![(
                at,
                format!(
                    "for example: session {number} is hinted of version {version} of {} once more",
                    evidence.conversation(conversation)
                ),
            )],
        });
    }
    outcome
}

fn faults_of(evidence: &Evidence, session: &Session) -> u64 {
    let until = session.closed.unwrap_or(evidence.end);
    let on = |fault: &&super::evidence::Window| fault.begin <= until && fault.calm >= session.opened;
    evidence.faults.iter().filter(on).count() as u64
}

/// When changes of each conversation were sent, and when they were there.
struct Changes(HashMap<u32, (Vec<Micros>, Vec<Micros>)>);

impl Changes {
    fn of(evidence: &Evidence) -> Self {
        let mut changes: HashMap<u32, (Vec<Micros>, Vec<Micros>)> = HashMap::new();
        for sending in evidence.sends.values() {
            let (sent, there) = changes.entry(sending.conversation).or_default();
            sent.push(sending.invoked);
            there.extend(sending.acked.first().map(|(at, ..)| *at));
        }
        for (sent, there) in changes.values_mut() {
            sent.sort_unstable();
            there.sort_unstable();
        }
        Self(changes)
    }

    /// The most that can have happened while a session was open.
    fn between(&self, conversation: u32, from: Micros, to: Micros) -> u64 {
        let Some((sent, there)) = self.0.get(&conversation) else { return 0 };
        let begun = sent.partition_point(|at| *at <= to);
        let over = there.partition_point(|at| *at < from);
        begun.saturating_sub(over) as u64
    }
}
