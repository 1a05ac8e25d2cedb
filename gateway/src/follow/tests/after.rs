//! What each step does to the world.

use doorbell_backplane::{ClaimToken, News};
use doorbell_protocol::hint::TOPICS_MAX;
use doorbell_protocol::{Hint, TopicId, UserId, Version};
use futures_util::FutureExt;

use super::UserState;
use super::world::{
    Ask, Audience, Commit, Facts, MOMENT, Move, Stage, Want, Without, Work, World, inbox, own, topic,
};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn number(version: Version) -> u8 {
    u8::try_from(version.get()).unwrap()
}

impl World {
    /// The world after a step.
    pub fn after(&self, step: Move) -> Self {
        let mut next = self.clone();
        match step {
            Move::Append | Move::Join | Move::Leave | Move::Cross => next.commit(step),
            Move::Read => next.facts = Some(next.read()),
            Move::Announce => next.announce(),
            Move::Flood => {
                next.left.floods -= 1;
                for at in 0..=TOPICS_MAX {
                    next.ring(TopicId::new(format!("other:{at}")).unwrap(), 1);
                }
            }
            Move::GiveUp => {
                next.left.floods -= 1;
                next.queue = UserState::Idle;
                next.queue.hint(News::Resync, next.now);
            }
            Move::Claim => {
                next.tokens += 1;
                let claimed = next.queue.claim(ClaimToken(next.tokens), next.now.plus(MOMENT));
                let dirty = claimed.expect("the user is queued").dirty;
                next.work = Some(Work { token: next.tokens, dirty, stage: Stage::Claimed });
            }
            Move::Deliver => next.deliver(),
            Move::Later => {
                next.left.late -= 1;
                let work = next.work.take().expect("it waits");
                next.queue.delay(ClaimToken(work.token), next.now.plus(MOMENT), next.now);
            }
            Move::EndDelay => {
                next.now = next.now.plus(MOMENT);
                next.queue.end_delay(next.now).expect("it is over");
            }
            Move::Settle => next.settle(),
            Move::BeginAsk => {
                let due = next.agenda.next().now_or_never().expect("one is due");
                next.asks.push(Ask { user: due.user, want: due.work, answer: None });
            }
            Move::Answer(at) => next.asks[at].answer = Some(next.read()),
            Move::EndAsk(at) => next.end_ask(at),
            Move::FailAsk(at) => next.fail_ask(at),
            Move::Look => next.follow_to(next.stored),
            Move::Lose => {
                next.left.losses -= 1;
                next.heals = true;
                (next.queue, next.entry) = (UserState::Idle, false);
                if next.without == Without::AskAfterConfirmation {
                    next.want(|want| want.reentered = true);
                }
            }
            Move::Register => next.register(),
        }
        next
    }

    /// Message-svc as it is now.
    fn read(&self) -> Facts {
        Facts { audience: self.audience, head: self.head }
    }

    fn commit(&mut self, step: Move) {
        let large = self.audience.large;
        let commit = match step {
            Move::Append => {
                self.left.appends -= 1;
                self.head += 1;
                Commit::Append(self.head)
            }
            Move::Cross => {
                self.left.crossings -= 1;
                self.audience.large = !large;
                Commit::Crossed
            }
            Move::Join => {
                self.left.moves -= 1;
                (self.audience.member, self.head_at_leave) = (true, None);
                Commit::Joined { large }
            }
            _ => {
                self.left.moves -= 1;
                (self.audience.member, self.head_at_leave) = (false, Some(self.head));
                Commit::Left { large }
            }
        };
        self.commits.push_back(commit);
    }

    /// As `Announcer::step`: marks with the head, then the version, to members or to the channel.
    fn announce(&mut self) {
        let Facts { mut audience, head } = self.facts.take().expect("it has read");
        if self.without == Without::FreshReach {
            audience.large = self.left.start.large;
        }
        let Audience { member, large } = audience;
        match self.commits.pop_front().expect("there is one") {
            Commit::Append(version) if large => self.stored = self.stored.max(version),
            Commit::Append(version) if member => self.ring(topic(), version),
            Commit::Append(_) => {}
            Commit::Joined { large: false } => self.ring(inbox(), 1),
            Commit::Left { large: false } => {}
            Commit::Left { .. } if self.without == Without::MarkAtLeave => {}
            Commit::Crossed if self.without == Without::MarkAtCrossing => {}
            Commit::Crossed if !member => {}
            Commit::Joined { .. } | Commit::Left { .. } | Commit::Crossed => {
                self.hint(News::Refollow);
                if member && self.without != Without::HeadWithMark {
                    self.ring(topic(), head);
                }
            }
        }
    }

    fn ring(&mut self, topic: TopicId, version: u8) {
        self.hint(News::Hint(Hint { topic, version: Version::new(version.into()).unwrap() }));
    }

    fn hint(&mut self, news: News) {
        if self.entry {
            self.queue.hint(news, self.now);
        }
    }

    /// As `Gateway::deliver`: hints are offered, a mark begins an ask, and `resync` waits for its end.
    fn deliver(&mut self) {
        let mut work = self.work.take().expect("it is claimed");
        for (topic, version) in work.dirty.topics() {
            match () {
                () if *topic == inbox() => self.pull(),
                () if *topic == super::world::topic() => self.seen = self.seen.max(number(*version)),
                () => {}
            }
        }
        let only_passed_on = self.without == Without::ResyncRefollows && work.dirty.resync();
        if work.dirty.refollow() && !only_passed_on {
            work.stage = Stage::Waits;
            self.mark(work.token);
            if self.without == Without::DeliveredAfterAsk {
                work.stage = Stage::Delivered;
            }
        } else {
            self.resync_if_due(&work);
            work.stage = Stage::Delivered;
        }
        self.work = Some(work);
    }

    fn mark(&mut self, token: u128) {
        if self.without == Without::AskAfterMark
            && let Some(ask) = self.asks.first_mut()
        {
            ask.want.refollow = true;
            ask.want.waiters.insert(token);
            return;
        }
        self.want(|want| {
            want.refollow = true;
            want.waiters.insert(token);
        });
    }

    fn want(&mut self, what_for: impl FnOnce(&mut Want)) {
        // Under another name nobody knows of the ask under way.
        let at_once = self.without == Without::OneAskAtATime && !self.asks.is_empty();
        self.agenda.want(&user(if at_once { "v" } else { "u" }), self.began, what_for);
    }

    fn resync_if_due(&mut self, work: &Work) {
        if work.dirty.resync() {
            self.pull();
        }
    }

    /// The client asks what there is.
    fn pull(&mut self) {
        if self.audience.member {
            self.seen = self.head;
        }
    }

    fn settle(&mut self) {
        let work = self.work.take().expect("it is delivered");
        if self.is_live(&work) {
            self.queue.ack(ClaimToken(work.token));
            if self.without == Without::MarkSetApart {
                self.queue = UserState::Idle;
            }
        }
    }

    /// As `Gateway::follow_large_topics`.
    fn end_ask(&mut self, at: usize) {
        let Ask { user, want, answer } = self.asks.remove(at);
        let Facts { audience, head } = answer.expect("it is answered");
        let follows = audience.member && audience.large;
        let changed = self.follows.set_own(&own(follows));
        if follows && (want.refollow || !changed.added.is_empty()) {
            self.follow_to(head);
        }
        if want.reentered && self.without != Without::ResyncAfterLoss {
            self.pull();
        }
        self.heals &= !want.reentered;
        self.answer_waiters(&want);
        self.agenda.done(&user);
    }

    fn fail_ask(&mut self, at: usize) {
        self.left.failures -= 1;
        let Ask { user, want, .. } = self.asks.remove(at);
        if self.without == Without::AskTriedAgain {
            self.answer_waiters(&want);
            return self.agenda.done(&user);
        }
        self.agenda.failed(&user, self.began, |wanted| {
            wanted.refollow |= want.refollow;
            wanted.reentered |= want.reentered;
            wanted.waiters.extend(want.waiters);
        });
    }

    fn answer_waiters(&mut self, want: &Want) {
        let waiting = self.work.as_mut().filter(|work| work.stage == Stage::Waits);
        if let Some(work) = waiting.filter(|work| want.waiters.contains(&work.token)) {
            work.stage = Stage::Delivered;
            if work.dirty.resync() {
                self.pull();
            }
        }
    }

    /// A follower is told a version. Nothing that came after the user left, once the mark is settled (GW-11, GW-12), or, where
    /// it was lost, once all marks are made good.
    fn follow_to(&mut self, version: u8) {
        let marks = |commit: &Commit| matches!(commit, Commit::Left { .. });
        let settled = !self.heals && self.queue.is_idle() && !self.commits.iter().any(marks);
        self.told_too_much |= settled && self.head_at_leave.is_some_and(|head| version > head);
        self.seen = self.seen.max(version);
    }

    fn register(&mut self) {
        self.entry = true;
        match self.without {
            Without::AskAfterConfirmation => {}
            Without::AskAfterLoss => self.pull(),
            _ => self.want(|want| want.reentered = true),
        }
    }
}
