//! What each step does to the world.

use std::collections::BTreeSet;

use super::world::{Align, Cast, Move, Run, Step, Task, Without, World};
use super::*;

fn version(number: u8) -> Version {
    Version::new(number.into()).unwrap()
}

fn number(version: Version) -> u8 {
    u8::try_from(version.get()).unwrap()
}

impl World {
    /// The world after a step.
    pub fn after(&self, cast: &Cast, step: Move) -> Self {
        // The sessions are the same in all worlds: their lists are made what they are in this one.
        for ((_, session), listed) in cast.sessions.iter().zip(self.plain.lists) {
            if session.follows(&cast.topic) != listed {
                set_list(cast, session, listed);
            }
        }
        let mut next = self.clone();
        match step {
            Move::Publish => {
                next.plain.versions_left -= 1;
                next.plain.stored += 1;
                next.plain.stream.insert(next.plain.stored);
            }
            Move::Arrive(version) => next.arrive(cast, version),
            Move::Lose(version) => {
                next.plain.losses_left -= 1;
                next.plain.stream.remove(&version);
            }
            Move::Align(at) => {
                let align = next.plain.aligns[at];
                next.plain.aligns[at] = next.align(cast, align);
            }
            Move::Task => next.task(cast),
            Move::Look => next.look(cast),
            Move::Begin(at) => {
                let stay = next.due.remove(at);
                if let Some(begun) = next.topics.begin(&stay, cast.now) {
                    let (version, offers) = (number(begun.version), BTreeSet::new());
                    next.runs.push(Run {
                        stay: Some(stay),
                        begun: Some(begun),
                        version,
                        next_row: 0,
                        offers,
                    });
                }
            }
            Move::Row(at) => next.take_row(cast, at),
            Move::Offer(at, session) => {
                let present = next.runs[at].stay.as_ref().and_then(|stay| next.topics.present(stay));
                let version = present.map_or(next.runs[at].version, number);
                next.runs[at].offers.remove(&session);
                next.offer(cast, session, version);
                if next.runs[at].stay.is_none() && next.runs[at].offers.is_empty() {
                    next.runs.remove(at);
                }
            }
        }
        next
    }

    /// As `Session::offer`: only what the session's list names is written.
    fn offer(&mut self, cast: &Cast, session: usize, version: u8) {
        let listed = cast.sessions[session].1.follows(&cast.topic);
        if listed || self.without == Without::ListAtWrite {
            self.plain.told[session] = version.max(self.plain.told[session]);
            self.plain.unlisted |= !listed;
        }
    }

    fn arrive(&mut self, cast: &Cast, version: u8) {
        self.plain.stream.remove(&version);
        if self.without == Without::RaiseBeforeSnapshot {
            let offers = self.followers(cast);
            self.runs.push(Run { stay: None, begun: None, version, next_row: 0, offers });
        } else {
            self.raise(cast, version);
        }
    }

    /// As `Gateway::raise`: a fan-out that is due is queued.
    fn raise(&mut self, cast: &Cast, to: u8) {
        let hint = Hint { topic: cast.topic.clone(), version: version(to) };
        if let Ok((Raised::Due(_), stay)) = self.topics.raise(&hint, cast.now) {
            self.due.push(stay);
        }
    }

    /// The next step of a fan-out that has told its last row.
    fn take_row(&mut self, cast: &Cast, at: usize) {
        let Run { stay, begun, version, next_row, .. } = self.runs[at].clone();
        let Some((stay, begun)) = stay.zip(begun) else {
            // The followers were taken; only now the version is raised, without a fan-out of its own.
            self.runs[at].next_row = 1;
            self.raise(cast, version);
            for stay in std::mem::take(&mut self.due) {
                self.topics.begin(&stay, cast.now);
                self.topics.end(&stay, cast.now);
            }
            if self.runs[at].offers.is_empty() {
                self.runs.remove(at);
            }
            return;
        };
        let goes_on = self.topics.with(&stay, |_| ()).is_some();
        if goes_on && next_row < begun.rows_count() {
            self.runs[at].offers = self.row(cast, &stay, &begun, next_row).into_iter().collect();
            self.runs[at].next_row += 1;
            return;
        }
        self.runs.remove(at);
        let again = goes_on && self.topics.end(&stay, cast.now).is_some();
        if again && self.without != Without::NewerGoesOut {
            self.due.push(stay);
        }
    }

    fn align(&mut self, cast: &Cast, align: Align) -> Align {
        let Align { change, step, early } = align;
        let (user, session) = &cast.sessions[change.session];
        let next = match step {
            Step::Wanted => {
                set_list(cast, session, change.follows);
                self.plain.lists[change.session] = change.follows;
                // It looks at once: what changes after that is what `LooksAgain` is for.
                match session.follows(&cast.topic) {
                    true if self.without == Without::IndexBeforeRead => Step::ReadsEarly,
                    follows => Step::Acts { follows },
                }
            }
            Step::ReadsEarly => {
                let read = self.topics.version(&cast.topic).map_or(0, number);
                return Align { step: Step::Acts { follows: true }, early: Some(read), ..align };
            }
            Step::Acts { follows: true } => {
                let brought = Hint { topic: cast.topic.clone(), version: Version::ZERO };
                match self.topics.insert(&brought, user, session) {
                    (_, Audience::Turned) => Step::Notes,
                    _ => Step::LooksAgain { followed: true },
                }
            }
            Step::Acts { follows: false } => {
                self.topics.remove(&cast.topic, user, session);
                Step::LooksAgain { followed: false }
            }
            Step::Notes => {
                let reads = match self.without {
                    Without::FirstFollowReads => false,
                    Without::EachFirstFollowReads => !self.plain.noted,
                    _ => true,
                };
                if reads {
                    self.plain.unread = Some(change.session);
                }
                self.plain.noted = true;
                Step::LooksAgain { followed: true }
            }
            Step::LooksAgain { followed } => match session.follows(&cast.topic) {
                now if now != followed && self.without != Without::LookAgain => Step::Acts { follows: now },
                _ if followed => Step::Reads,
                _ => Step::Done,
            },
            Step::Reads => {
                let read = early.unwrap_or_else(|| self.topics.version(&cast.topic).map_or(0, number));
                self.offer(cast, change.session, read);
                Step::Done
            }
            Step::Done => unreachable!("nothing is left to do"),
        };
        Align { step: next, ..align }
    }

    /// The task goes on with its read or its look, or begins a read.
    fn task(&mut self, cast: &Cast) {
        self.plain.task = match self.plain.task {
            Task::Idle => {
                let cause = self.plain.unread.take().expect("a read is due");
                if self.without != Without::MarkBeforeRead {
                    self.plain.mark = self.plain.mark.or(Some(self.plain.stored));
                }
                Task::Reads(cause)
            }
            Task::Reads(cause) => Task::Read { cause, version: self.plain.stored },
            Task::Read { cause, version } => {
                self.plain.mark = self.plain.mark.or(Some(self.plain.stored));
                if self.without == Without::AnswerFansOut {
                    self.offer(cast, cause, version);
                } else {
                    self.raise(cast, version);
                }
                Task::Idle
            }
            Task::Looks { since } => {
                let stored = self.plain.stored;
                Task::Looked { counter: stored, shown: (stored > since).then_some(stored) }
            }
            Task::Looked { counter, shown } => {
                self.plain.mark = Some(counter);
                if let Some(version) = shown {
                    self.raise(cast, version);
                }
                Task::Idle
            }
        };
    }

    /// A look begins, or has nothing to look for.
    fn look(&mut self, cast: &Cast) {
        let partition = self.topics.partitions().of_topic(&cast.topic);
        if self.topics.followed_count(partition) == 0 {
            self.plain.mark = None;
        } else if let Some(since) = self.plain.mark {
            self.plain.task = Task::Looks { since };
        }
    }
}

fn set_list(cast: &Cast, session: &Session, follows: bool) {
    let own = [cast.topic.clone()];
    session.set_own(if follows { &own } else { &[] });
}
