//! One topic, one gateway with followers that come and go once, one channel service, one store. Calls between them are
//! late, lost and repeated as the budget allows. Each part is played as its contract has it.

use std::collections::BTreeSet;

/// A rule that can be left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    Nothing,
    /// A publish is acknowledged first and stored after.
    StoreBeforeAck,
    /// Gateways rely on being told.
    Look,
    /// A look names the topics that were followed when it was asked.
    LookShowsAll,
    /// A follower reads the topic's version and then enters the index.
    IndexBeforeRead,
    /// The first follow is answered from the memory of the channel service.
    FirstFollowReadsStore,
    /// What the first follow reads is told to the follower that caused it.
    AnswerFansOut,
    /// The word that arrives last holds.
    GenerationInWord,
    /// The service knows nothing of subscriptions that have ended.
    EndRemembered,
    /// "Nobody follows it here" ends whatever is held.
    GenerationInUnfollowed,
    /// A gateway does not learn that the service's memory has begun anew.
    Life,
    /// A look after something was forgotten shows what is left.
    Gap,
    /// A gap means those who follow when it is met, and nobody who is about to.
    GapInBetween,
    /// A look does not tell which store answered.
    Identity,
    /// While nobody follows, nobody looks which store answers.
    LookUnfollowed,
}

/// How much may happen and go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    pub versions: u8,
    pub followers: u8,
    /// Channel services that start anew, or forget the gateway.
    pub service_losses: u8,
    /// Sends that get lost unnoticed.
    pub send_losses: u8,
    /// Words of which a copy arrives late.
    pub late_words: u8,
    /// Topics that the store forgets. It holds far more than change while anybody begins to follow one.
    pub forgettings: u8,
    /// Stores that start anew.
    pub store_losses: u8,
    /// Publishes that go to another service, by another view of who owns the topic.
    pub views: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Follower {
    None,
    /// Has asked what there is, and is to follow the topic.
    Welcomed {
        seen: u8,
    },
    /// In the index; has yet to read the topic's version.
    Indexed {
        seen: u8,
    },
    /// Only where the order is turned round: has read, and has yet to enter the index.
    Read {
        seen: u8,
    },
    Follows {
        seen: u8,
    },
    Gone,
}

/// What a gateway says of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word {
    pub generation: u8,
    pub follows: bool,
}

/// What the channel service remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Service {
    pub life: u8,
    /// The last word taken.
    pub held: Option<Word>,
    /// The greatest version that it published; 0 is none.
    pub version: u8,
    /// What waits for the gateway; 0 is nothing.
    pub waits: u8,
    /// A call to the gateway under way.
    pub sent: Option<u8>,
    /// Its answer under way: nobody follows, as of this generation.
    pub unfollowed: Option<u8>,
    /// Acknowledged and not stored yet: only where the order is turned round.
    pub unstored: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    pub identity: u8,
    pub version: u8,
    pub counter: u8,
    /// The counter of the topic's last change.
    pub changed: u8,
    /// The counter of the last change that was forgotten.
    pub forgotten: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Looking {
    Idle,
    /// Asked; whether the topic was followed then.
    Asked {
        followed: bool,
    },
    Answered {
        identity: u8,
        counter: u8,
        shown: Option<u8>,
        gap: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gateway {
    /// The topic's version, while somebody is in the index.
    pub version: Option<u8>,
    /// Nobody in the index has begun to read what is stored.
    pub unread: bool,
    pub generation: u8,
    /// The last word that was answered, and by which life.
    pub answered: (u8, u8),
    /// The store's answer to a first follow, under way to this follower.
    pub reading: Option<(usize, u8)>,
    /// The store and its counter up to which it has looked.
    pub seen: (u8, u8),
    pub looking: Looking,
    /// Looks that could not tell what changed.
    pub gaps: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Append,
    Publish(u8),
    PublishElsewhere(u8),
    /// Only where the order is turned round.
    StoreLate,
    Send,
    Arrive,
    Unfollow,
    Welcome(usize),
    Index(usize),
    Read(usize),
    ReadEnds,
    Leave(usize),
    Say,
    /// The word is taken, and a copy of it is still under way.
    SayAndRepeat,
    LateWord(Word),
    LookAsks,
    LookRuns,
    LookEnds,
    LoseService,
    LoseSend,
    Forget,
    LoseStore,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub without: Without,
    pub left: Budget,
    pub version: u8,
    pub unpublished: BTreeSet<u8>,
    pub service: Service,
    pub store: Store,
    pub gateway: Gateway,
    pub followers: Vec<Follower>,
    /// How many gaps the gateway had met when each began to follow; 0 once it follows.
    pub gaps_before: Vec<u8>,
    pub late: BTreeSet<Word>,
}

impl Follower {
    pub fn in_index(self) -> bool {
        matches!(self, Self::Indexed { .. } | Self::Follows { .. })
    }

    pub fn see(&mut self, version: u8) {
        if let Self::Welcomed { seen }
        | Self::Indexed { seen }
        | Self::Read { seen }
        | Self::Follows { seen } = self
        {
            *seen = version.max(*seen);
        }
    }
}

impl World {
    /// The first version has been published, stored and looked at.
    pub fn new(without: Without, budget: Budget) -> Self {
        Self {
            without,
            left: budget,
            version: 1,
            unpublished: BTreeSet::new(),
            service: Service { life: 1, version: 1, ..Service::default() },
            store: Store { identity: 1, version: 1, counter: 1, changed: 1, forgotten: 0 },
            gateway: Gateway {
                version: None,
                unread: false,
                generation: 0,
                answered: (0, 1),
                reading: None,
                seen: (1, 1),
                looking: Looking::Idle,
                gaps: 0,
            },
            followers: vec![Follower::None; budget.followers.into()],
            gaps_before: vec![0; budget.followers.into()],
            late: BTreeSet::new(),
        }
    }

    pub fn is_followed(&self) -> bool {
        self.followers.iter().any(|follower| follower.in_index())
    }

    /// Whether somebody who follows does not know the newest version.
    pub fn somebody_waits(&self) -> bool {
        let waits = |one: &Follower| matches!(one, Follower::Follows { seen } if *seen < self.version);
        self.followers.iter().any(waits)
    }

    /// Whether the service holds a subscription that is none, or lacks one.
    pub fn is_ghost_or_missing(&self) -> bool {
        self.service.held.is_some_and(|word| word.follows) != self.is_followed()
    }

    /// What can happen next: first what the system does by itself, then what the world does to it.
    pub fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        let mut system: Vec<Move> = self.unpublished.iter().map(|version| Move::Publish(*version)).collect();
        let mut outside = Vec::new();
        let Service { waits, sent, unfollowed, unstored, .. } = self.service;
        let on = [
            (unstored > 0, Move::StoreLate),
            (waits > 0 && sent.is_none() && unfollowed.is_none(), Move::Send),
            (sent.is_some(), Move::Arrive),
            (unfollowed.is_some(), Move::Unfollow),
            (self.gateway.reading.is_some(), Move::ReadEnds),
            (self.has_to_say(), Move::Say),
        ];
        system.extend(on.into_iter().filter_map(|(is_on, step)| is_on.then_some(step)));
        system.extend(self.late.iter().map(|word| Move::LateWord(*word)));
        system.extend(self.look_move());
        for at in 0..self.followers.len() {
            self.follower_moves(at, &mut system, &mut outside);
        }
        let could = [
            (self.left.versions > 0, Move::Append),
            (self.left.late_words > 0 && self.has_to_say(), Move::SayAndRepeat),
            (self.left.service_losses > 0, Move::LoseService),
            (self.left.send_losses > 0 && sent.is_some(), Move::LoseSend),
            (self.left.forgettings > 0 && self.store.version > 0 && !self.somebody_begins(), Move::Forget),
            (self.left.store_losses > 0, Move::LoseStore),
        ];
        if self.left.views > 0 {
            outside.extend(self.unpublished.iter().map(|version| Move::PublishElsewhere(*version)));
        }
        outside.extend(could.into_iter().filter_map(|(is_on, step)| is_on.then_some(step)));
        (system, outside)
    }

    /// Whether somebody has asked what there is and has not read the topic's version yet.
    fn somebody_begins(&self) -> bool {
        use Follower::{Indexed, Read, Welcomed};
        self.followers.iter().any(|one| matches!(one, Welcomed { .. } | Indexed { .. } | Read { .. }))
    }

    /// The last word was not answered, or another life answers now.
    fn has_to_say(&self) -> bool {
        let (generation, life) = self.gateway.answered;
        let anew = life != self.service.life && self.without != Without::Life;
        generation != self.gateway.generation || anew
    }

    fn look_move(&self) -> Option<Move> {
        match self.gateway.looking {
            Looking::Idle if self.without == Without::Look => None,
            // A look that would show nothing changes nothing.
            Looking::Idle if self.gateway.seen == (self.store.identity, self.store.counter) => None,
            Looking::Idle => Some(Move::LookAsks),
            Looking::Asked { .. } => Some(Move::LookRuns),
            Looking::Answered { .. } => Some(Move::LookEnds),
        }
    }

    fn follower_moves(&self, at: usize, system: &mut Vec<Move>, outside: &mut Vec<Move>) {
        let turned = self.without == Without::IndexBeforeRead;
        match self.followers[at] {
            Follower::None if at == 0 || self.followers[at - 1] != Follower::None => {
                outside.push(Move::Welcome(at));
            }
            Follower::None | Follower::Gone => {}
            Follower::Welcomed { .. } if turned => system.push(Move::Read(at)),
            Follower::Welcomed { .. } | Follower::Read { .. } => system.push(Move::Index(at)),
            Follower::Indexed { .. } if self.gateway.reading.is_some_and(|(reader, _)| reader == at) => {}
            Follower::Indexed { .. } => system.push(Move::Read(at)),
            Follower::Follows { .. } => outside.push(Move::Leave(at)),
        }
    }
}
