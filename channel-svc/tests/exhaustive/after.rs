//! What each move does to the world.

use super::world::{Follower, Looking, Move, Service, Store, Without, Word, World};

impl World {
    /// The world after a move.
    pub fn after(&self, step: Move) -> Self {
        let mut next = self.clone();
        match step {
            Move::Append => {
                next.left.versions -= 1;
                next.version += 1;
                next.unpublished.insert(next.version);
            }
            Move::Publish(version) => next.publish(version),
            Move::PublishElsewhere(version) => {
                next.left.views -= 1;
                next.unpublished.remove(&version);
                next.raise(version);
            }
            Move::StoreLate => {
                let version = std::mem::take(&mut next.service.unstored);
                next.raise(version);
            }
            Move::Send => next.service.sent = Some(std::mem::take(&mut next.service.waits)),
            Move::Arrive => next.arrive(),
            Move::Unfollow => next.unfollow(),
            Move::Welcome(at) => {
                next.followers[at] = Follower::Welcomed { seen: next.version };
                next.gaps_before[at] = next.gateway.gaps;
            }
            Move::Index(at) => next.index(at),
            Move::Read(at) => next.read(at),
            Move::ReadEnds => next.read_ends(),
            Move::Leave(at) => next.leave(at),
            Move::Say => next.say(),
            Move::SayAndRepeat => {
                next.left.late_words -= 1;
                next.late.insert(next.word());
                next.say();
            }
            Move::LateWord(word) => {
                next.late.remove(&word);
                next.take(word);
            }
            Move::LookAsks => next.gateway.looking = Looking::Asked { followed: next.is_followed() },
            Move::LookRuns => next.look_runs(),
            Move::LookEnds => next.look_ends(),
            Move::LoseService => {
                next.left.service_losses -= 1;
                next.service = Service { life: next.service.life + 1, ..Service::default() };
            }
            Move::LoseSend => {
                next.left.send_losses -= 1;
                next.service.sent = None;
            }
            Move::Forget => {
                next.left.forgettings -= 1;
                let Store { identity, counter, changed, .. } = next.store;
                // What made it forget changed as well.
                next.store =
                    Store { identity, counter: counter + 1, forgotten: changed, version: 0, changed: 0 };
            }
            Move::LoseStore => {
                next.left.store_losses -= 1;
                next.store = Store { identity: next.store.identity + 1, ..Store::default() };
            }
        }
        next
    }

    fn raise(&mut self, version: u8) {
        if version > self.store.version {
            self.store.version = version;
            self.store.counter += 1;
            self.store.changed = self.store.counter;
        }
    }

    fn publish(&mut self, version: u8) {
        self.unpublished.remove(&version);
        if self.without == Without::StoreBeforeAck {
            self.service.unstored = version.max(self.service.unstored);
        } else {
            self.raise(version);
        }
        self.service.version = version.max(self.service.version);
        if self.service.held.is_some_and(|word| word.follows) {
            self.service.waits = version.max(self.service.waits);
        }
    }

    /// The gateway raises its version of the topic and tells everybody in the index.
    fn fan_out(&mut self, version: u8) {
        if self.gateway.version.is_none_or(|own| own >= version) {
            return;
        }
        self.gateway.version = Some(version);
        let in_index = self.followers.iter_mut().filter(|follower| follower.in_index());
        in_index.for_each(|follower| follower.see(version));
    }

    fn arrive(&mut self) {
        let version = self.service.sent.take().expect("it was sent");
        if self.is_followed() {
            self.fan_out(version);
        } else {
            self.service.unfollowed = Some(self.gateway.generation);
        }
    }

    fn unfollow(&mut self) {
        let generation = self.service.unfollowed.take().expect("it was answered");
        let newer = self.service.held.is_some_and(|word| word.generation > generation);
        if newer && self.without != Without::GenerationInUnfollowed {
            return;
        }
        self.service.held = Some(Word { generation, follows: false });
        self.service.waits = 0;
    }

    fn index(&mut self, at: usize) {
        if !self.is_followed() {
            if self.without == Without::LookUnfollowed {
                self.gateway.seen = (self.store.identity, self.store.counter);
            }
            self.gateway.generation += 1;
            self.gateway.version = Some(0);
            self.gateway.unread = true;
        }
        self.followers[at] = match self.followers[at] {
            Follower::Read { seen } => Follower::Follows { seen },
            Follower::Welcomed { seen } => Follower::Indexed { seen },
            other => unreachable!("{other:?}"),
        };
    }

    fn read(&mut self, at: usize) {
        if self.without == Without::IndexBeforeRead {
            let mut reader = self.followers[at];
            reader.see(self.gateway.version.unwrap_or(self.store.version));
            if let Follower::Welcomed { seen } = reader {
                self.followers[at] = Follower::Read { seen };
            }
            return;
        }
        if std::mem::take(&mut self.gateway.unread) {
            let owner = self.without == Without::FirstFollowReadsStore;
            let answer = if owner { self.service.version } else { self.store.version };
            self.gateway.reading = Some((at, answer));
        } else {
            self.follows(at, self.gateway.version.expect("somebody is in the index"));
        }
    }

    fn follows(&mut self, at: usize, version: u8) {
        self.followers[at].see(version);
        let met_a_gap = std::mem::take(&mut self.gaps_before[at]) != self.gateway.gaps;
        if met_a_gap && self.without != Without::GapInBetween {
            // What it asked for may be older, and what it read may have been forgotten: it asks for everything.
            let version = self.version;
            self.followers[at].see(version);
        }
        if let Follower::Indexed { seen } = self.followers[at] {
            self.followers[at] = Follower::Follows { seen };
        }
    }

    fn read_ends(&mut self) {
        let (at, answer) = self.gateway.reading.take().expect("it was asked");
        if self.without == Without::AnswerFansOut {
            self.gateway.version = self.gateway.version.map(|own| own.max(answer));
        } else {
            self.fan_out(answer);
        }
        self.follows(at, answer);
    }

    fn leave(&mut self, at: usize) {
        self.followers[at] = Follower::Gone;
        if !self.is_followed() {
            self.gateway.generation += 1;
            self.gateway.version = None;
            self.gateway.unread = false;
        }
    }

    fn word(&self) -> Word {
        Word { generation: self.gateway.generation, follows: self.is_followed() }
    }

    fn say(&mut self) {
        let word = self.word();
        self.take(word);
        self.gateway.answered = (word.generation, self.service.life);
    }

    fn take(&mut self, word: Word) {
        let late = self.service.held.is_some_and(|held| held.generation > word.generation);
        if late && self.without != Without::GenerationInWord {
            return;
        }
        let forgets = !word.follows && self.without == Without::EndRemembered;
        self.service.held = (!forgets).then_some(word);
        if !word.follows {
            self.service.waits = 0;
        }
    }

    fn look_runs(&mut self) {
        let Looking::Asked { followed } = self.gateway.looking else { unreachable!("it was asked") };
        let Store { identity, version, counter, changed, forgotten } = self.store;
        let (_, since) = self.gateway.seen;
        let gap = (since < forgotten || since > counter) && self.without != Without::Gap;
        let asked = followed || self.without != Without::LookShowsAll;
        let shown = (changed > since && !gap && asked).then_some(version);
        self.gateway.looking = Looking::Answered { identity, counter, shown, gap };
    }

    fn look_ends(&mut self) {
        let Looking::Answered { identity, counter, shown, gap } = self.gateway.looking else {
            unreachable!("it was answered")
        };
        let other = identity != self.gateway.seen.0 && self.without != Without::Identity;
        self.gateway.looking = Looking::Idle;
        self.gateway.seen = (identity, counter);
        if other || gap {
            self.read_again();
        }
        if let Some(version) = shown {
            self.fan_out(version);
        }
    }

    /// What is stored is read again, and every follower asks for what it has missed.
    fn read_again(&mut self) {
        self.gateway.gaps += 1;
        self.fan_out(self.store.version);
        let version = self.version;
        let in_index = self.followers.iter_mut().filter(|follower| follower.in_index());
        in_index.for_each(|follower| follower.see(version));
    }
}
