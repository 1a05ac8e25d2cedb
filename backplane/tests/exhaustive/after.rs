//! What each move does to the world.

use std::time::Duration;

use doorbell_backplane::queue::entry::UserState;
use doorbell_backplane::registry::lease::{HeldLease, Renewal};
use doorbell_backplane::{ClaimToken, Entry, News};
use doorbell_protocol::{Epoch, Generation, Hint, Stamp, TopicId, Version};

use super::{Answer, MOMENT, Message, Move, Session, TTL, Without, Work, World, gateway, version_of};

/// A stamp that covers every other.
const ANY: Stamp = Stamp { epoch: Epoch(u64::MAX), generation: Generation(u64::MAX) };

impl World {
    /// The world after a move.
    pub fn after(&self, step: Move) -> Self {
        let mut next = self.clone();
        match step {
            Move::Append => {
                next.left.versions -= 1;
                next.version += 1;
                next.unannounced.insert(next.version);
            }
            Move::Announce(version) => next.announce(version),
            Move::Claim(at) => next.claim(at),
            Move::EndAndClaim(at) => next.end_and_claim(at),
            Move::Deliver(at) => next.deliver(at),
            Move::Miss(at) => next.miss(at),
            Move::Count(at) => {
                let stamp = next.stamp();
                let work = next.workers[at].as_mut().expect("the worker has a claim");
                work.answer = Some(Answer::Absent(stamp));
            }
            Move::Settle(at) => next.settle(at),
            Move::Kill(at) => {
                next.left.kills -= 1;
                next.workers[at] = None;
            }
            Move::Open(at) => next.open(at),
            Move::Index(at) => next.sessions[at] = Session::Welcomed { seen: next.version },
            Move::Close(at) => next.close(at),
            Move::Execute(message) => next.execute(message),
            Move::ExecuteAndRepeat(message) => {
                next.execute(message);
                if let Message::Enter(stamp, _) = message {
                    next.net.insert(Message::LateEnter(stamp));
                }
            }
            Move::Lapse => {
                next.left.lapses -= 1;
                next.lease = HeldLease::take(Some(Epoch(self.epoch.0 - 1)), Duration::ZERO, next.now);
            }
            Move::Renew => next.renew(),
            Move::Restart => next.restart(),
            Move::Sweep => {
                let stamp = next.entry().expect("there is a dead entry");
                next.entries.remove(&gateway(), stamp);
            }
        }
        next
    }

    fn announce(&mut self, version: u64) {
        self.unannounced.remove(&version);
        if self.entries.is_empty() {
            return;
        }
        let topic = TopicId::new("t:a").expect("valid");
        let news = News::Hint(Hint { topic, version: Version::new(version).expect("small") });
        self.user.hint(news, self.now);
    }

    fn claim(&mut self, at: usize) {
        self.tokens += 1;
        let claimed = self.user.claim(ClaimToken(self.tokens), self.now.plus(MOMENT));
        let version = version_of(&claimed.expect("the user is queued").dirty);
        self.workers[at] = Some(Work { token: self.tokens, version, entry: self.entry(), answer: None });
    }

    fn end_and_claim(&mut self, at: usize) {
        if self.has_owner() {
            self.left.expiries -= 1;
        }
        self.now = self.now.plus(MOMENT);
        if self.user.end_lease(self.now).is_none() {
            self.user.end_delay(self.now).expect("a claim or a delay is over");
        }
        self.claim(at);
    }

    fn deliver(&mut self, at: usize) {
        let mut work = self.workers[at].expect("the worker has a claim");
        if work.entry.is_some() && self.sessions.iter().any(|session| session.is_open()) {
            self.sessions.iter_mut().for_each(|session| session.see(work.version));
            work.answer = Some(Answer::Delivered);
        } else if work.entry.is_some() {
            let in_two_steps = self.without == Without::AbsentInOneStep;
            work.answer = Some(if in_two_steps { Answer::Nobody } else { Answer::Absent(self.stamp()) });
        } else {
            work.answer = Some(Answer::Delivered);
        }
        let settled_before = self.without == Without::DeliveryBeforeAck;
        self.workers[at] = Some(work).filter(|_| !settled_before);
    }

    /// The counter as it stands.
    fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, generation: Generation(self.generation) }
    }

    fn miss(&mut self, at: usize) {
        let work = self.workers[at].as_mut().expect("the worker has a claim");
        let stamp = work.entry.expect("a gateway to miss");
        work.answer = Some(Answer::Unreachable(stamp));
        let lease = self.lease;
        if lease.covers(stamp.epoch, self.now) {
            self.left.misses -= 1;
        }
    }

    fn settle(&mut self, at: usize) {
        let work = self.workers[at].expect("the worker has a claim");
        let settles_first = self.without == Without::DeliveryBeforeAck && work.answer.is_none();
        if !settles_first {
            self.workers[at] = None;
        }
        let token = match &self.user {
            UserState::Claimed { token, .. } if self.without == Without::Token => *token,
            _ => ClaimToken(work.token),
        };
        if self.user.lease_of(token).is_none() {
            return;
        }
        match work.answer {
            Some(Answer::Absent(stamp)) => self.remove(stamp),
            Some(Answer::Unreachable(stamp)) if self.lease.covers(stamp.epoch, self.now) => {
                self.user.delay(token, self.now.plus(MOMENT), self.now);
                return;
            }
            Some(Answer::Unreachable(_) | Answer::Delivered | Answer::Nobody) | None => {}
        }
        self.user.ack(token);
        if self.without == Without::SetAside {
            self.user = UserState::Idle;
        }
    }

    fn remove(&mut self, up_to: Stamp) {
        let Some(own) = self.entry() else { return };
        let up_to = match self.without {
            Without::StampInRemove => ANY,
            Without::EpochInStamp if own.generation <= up_to.generation => ANY,
            Without::EpochInStamp => return,
            _ => up_to,
        };
        self.entries.remove(&gateway(), up_to);
    }

    /// Whether the entry stands.
    fn enter(&mut self, stamp: Stamp) -> bool {
        if self.without != Without::LeaseInEnter && !self.lease.covers(stamp.epoch, self.now) {
            return false;
        }
        let replaces = match (self.without, self.entry()) {
            (Without::StampInEnter, _) => true,
            (Without::EpochInStamp, Some(own)) if own.generation >= stamp.generation => return true,
            (Without::EpochInStamp, _) => true,
            _ => false,
        };
        if replaces {
            self.entries.remove(&gateway(), ANY);
        }
        self.entries.place(Entry { gateway: gateway(), stamp });
        true
    }

    fn open(&mut self, at: usize) {
        let is_first = !self.sessions.iter().any(|session| session.is_open());
        if is_first && self.without == Without::CounterOfTheProcess {
            self.generation = 0;
        }
        self.generation += 1;
        self.sessions[at] = match self.without {
            Without::IndexBeforeEnter => Session::Outside { answered: false },
            _ => Session::Indexed { seen: 0 },
        };
        self.net.insert(Message::Enter(self.stamp(), at));
    }

    fn close(&mut self, at: usize) {
        self.sessions[at] = Session::Closed;
        if !self.sessions.iter().any(|session| session.is_open()) {
            self.net.insert(Message::Leave(self.stamp()));
        }
    }

    fn execute(&mut self, message: Message) {
        self.net.remove(&message);
        match message {
            Message::Enter(stamp, at) => {
                if self.enter(stamp) {
                    if self.sessions[at] == (Session::Outside { answered: false }) {
                        self.sessions[at] = Session::Outside { answered: true };
                    }
                    if matches!(self.sessions[at], Session::Indexed { .. }) {
                        // Welcomed, and the client asks for what it has missed.
                        self.sessions[at] = Session::Welcomed { seen: self.version };
                    }
                } else if self.sessions[at].is_open() {
                    self.net.insert(Message::Enter(Stamp { epoch: self.epoch, ..stamp }, at));
                }
            }
            Message::LateEnter(stamp) => {
                self.enter(stamp);
            }
            Message::Leave(_) if self.without == Without::StampOfTheClose => self.remove(self.stamp()),
            Message::Leave(stamp) => self.remove(stamp),
            Message::TakeLease(epoch) => {
                self.lease = HeldLease::take(Some(Epoch(epoch.0 - 1)), TTL, self.now)
            }
            Message::Register(stamp) => {
                if self.enter(stamp) && self.without != Without::ConfirmationBeforeResync {
                    self.resync();
                }
            }
        }
    }

    /// Every welcomed session asks for what it has missed.
    fn resync(&mut self) {
        let version = self.version;
        let welcomed = self.sessions.iter_mut().filter(|session| matches!(session, Session::Welcomed { .. }));
        welcomed.for_each(|session| session.see(version));
    }

    /// The gateway renews a lease that has ended.
    fn renew(&mut self) {
        if self.without == Without::NewEpochAfterLapse {
            self.lease = HeldLease::take(Some(Epoch(self.epoch.0 - 1)), TTL, self.now);
            return;
        }
        assert_eq!(self.lease.renew(self.epoch, TTL, self.now), Renewal::Lapsed);
        let lease = HeldLease::take(Some(self.lease.epoch()), TTL, self.now);
        self.epoch = lease.epoch();
        self.generation += 1;
        if self.without == Without::LeaseInEnter {
            self.net.insert(Message::TakeLease(self.epoch));
        } else {
            self.lease = lease;
        }
        if self.without == Without::ConfirmationBeforeResync {
            self.resync();
        }
        if self.sessions.iter().any(|session| session.is_open()) {
            let stamp = Stamp { epoch: self.epoch, generation: Generation(self.generation) };
            self.net.insert(Message::Register(stamp));
        }
    }

    /// The gateway dies with its sessions, and another process takes its name and its lease.
    fn restart(&mut self) {
        self.left.restarts -= 1;
        for session in self.sessions.iter_mut().filter(|session| session.is_open()) {
            *session = Session::Closed;
        }
        self.lease = HeldLease::take(Some(self.lease.epoch()), TTL, self.now);
        self.epoch = self.lease.epoch();
        self.generation = 0;
    }
}
