//! One shard of the directory: what is held for each topic, and the rules of a word. No clock, no I/O.

use std::collections::HashMap;
use std::sync::Arc;

use doorbell_protocol::{Generation, TopicId, Version};
use doorbell_rpc::{ChannelLife, Subscription};
use tokio::time::Instant;

use super::{Taken, Told};
use crate::line::{Ended, Line, Offered};

/// The topics of one shard that a gateway subscribes to, or did a moment ago.
#[derive(Debug, Default)]
pub(super) struct Shard {
    topics: HashMap<TopicId, Topic>,
}

#[derive(Debug, Default)]
struct Topic {
    /// The greatest version that is known to have been stored while something was held.
    version: Version,
    /// In the order of their lines' lives.
    held: Vec<Held>,
}

/// One gateway's subscription.
#[derive(Debug)]
struct Held {
    line: Arc<Line>,
    /// The last word that was taken; none before the first.
    generation: Option<Generation>,
    /// None: it has ended, and is held so that a late word does not begin it again.
    followers: u32,
    /// The greatest version that the gateway has or that waits for it.
    told: Version,
}

impl Shard {
    /// Takes a gateway's word about a topic, unless a later one was taken.
    pub(super) fn take(&mut self, line: &Arc<Line>, word: &Subscription, now: Instant) -> Taken {
        let topic = self.topics.entry(word.topic.clone()).or_default();
        let taken = topic.take(line, word, now);
        self.drop_if_empty(&word.topic);
        taken
    }

    /// Ends a subscription that is not newer than `up_to`. Whether there was one.
    pub(super) fn leave(&mut self, line: &Line, topic: &TopicId, up_to: Generation, now: Instant) -> bool {
        let Some(known) = self.topics.get_mut(topic) else { return false };
        let left = match known.find(line.life()) {
            Ok(at) if known.held[at].followers > 0 && known.held[at].generation <= Some(up_to) => {
                known.end(at, Ended { topic: topic.clone(), generation: up_to }, now);
                true
            }
            _ => false,
        };
        self.drop_if_empty(topic);
        left
    }

    /// Forgets that a subscription has ended, unless it has begun again or a later word has ended it once more.
    pub(super) fn bury(&mut self, life: ChannelLife, ended: &Ended) {
        let buried = |held: &Held| held.followers == 0 && held.generation == Some(ended.generation);
        self.remove_if(life, &ended.topic, buried);
    }

    /// Forgets whatever is held for a line.
    pub(super) fn forget(&mut self, life: ChannelLife, topic: &TopicId) {
        self.remove_if(life, topic, |_| true);
    }

    /// Lets a stored version wait for each gateway that subscribes to the topic and has not been told of it.
    pub(super) fn tell(&mut self, topic: &TopicId, version: Version) -> Told {
        let mut told = Told::default();
        let Some(known) = self.topics.get_mut(topic) else { return told };
        known.version = known.version.max(version);
        for held in known.held.iter_mut().filter(|held| held.followers > 0 && held.told < version) {
            told.count(held.tell(topic, version));
        }
        told
    }

    /// The greatest version that is known to have been stored.
    pub(super) fn version(&self, topic: &TopicId) -> Version {
        self.topics.get(topic).map_or(Version::ZERO, |known| known.version)
    }

    /// What is known of the topics named by `of`.
    pub(super) fn known(&self, of: impl Fn(&TopicId) -> bool, into: &mut Vec<(TopicId, Version)>) {
        let known = self.topics.iter().filter(|(topic, known)| known.version > Version::ZERO && of(topic));
        into.extend(known.map(|(topic, known)| (topic.clone(), known.version)));
    }

    /// Followers at all gateways.
    pub(super) fn followers(&self, topic: &TopicId) -> u64 {
        let held = self.topics.get(topic).map(|topic| topic.held.as_slice()).unwrap_or_default();
        held.iter().map(|held| u64::from(held.followers)).sum()
    }

    /// Topics for which something is held.
    pub(super) fn topics(&self) -> usize {
        self.topics.len()
    }

    fn remove_if(&mut self, life: ChannelLife, topic: &TopicId, remove: impl FnOnce(&Held) -> bool) {
        let Some(known) = self.topics.get_mut(topic) else { return };
        if let Ok(at) = known.find(life)
            && remove(&known.held[at])
        {
            known.held.remove(at);
        }
        self.drop_if_empty(topic);
    }

    fn drop_if_empty(&mut self, topic: &TopicId) {
        if self.topics.get(topic).is_some_and(|topic| topic.held.is_empty()) {
            self.topics.remove(topic);
        }
    }
}

impl Topic {
    /// Where a line's subscription is, or belongs.
    fn find(&self, life: ChannelLife) -> Result<usize, usize> {
        self.held.binary_search_by_key(&life, |held| held.line.life())
    }

    fn take(&mut self, line: &Arc<Line>, word: &Subscription, now: Instant) -> Taken {
        let at = match self.find(line.life()) {
            Ok(at) if Some(word.generation) < self.held[at].generation => return Taken::Stale,
            Ok(at) => at,
            Err(at) => {
                self.held.insert(at, Held::new(Arc::clone(line)));
                at
            }
        };
        if word.followers == 0 {
            self.end(at, Ended { topic: word.topic.clone(), generation: word.generation }, now);
            return Taken::Ended;
        }
        let held = &mut self.held[at];
        let begins = held.followers == 0;
        if begins {
            if !line.begin(&word.topic) {
                self.held.remove(at);
                return Taken::Refused;
            }
            // It begins: what the gateway was told before, it may have dropped with its last follower.
            held.told = Version::ZERO;
        }
        held.generation = Some(word.generation);
        held.followers = word.followers;
        held.told = held.told.max(word.version);
        if held.told < self.version {
            // It was published while the word was on its way: the gateway need not wait for its look.
            held.tell(&word.topic, self.version);
        }
        match () {
            () if word.version > self.version => Taken::Newer,
            () if begins => Taken::Began,
            () => Taken::Current,
        }
    }

    fn end(&mut self, at: usize, ended: Ended, now: Instant) {
        let held = &mut self.held[at];
        let said_again = held.followers == 0 && held.generation == Some(ended.generation);
        held.generation = Some(ended.generation);
        held.followers = 0;
        if !said_again && !held.line.end(ended, now) {
            self.held.remove(at);
        }
    }
}

impl Held {
    fn new(line: Arc<Line>) -> Self {
        Self { line, generation: None, followers: 0, told: Version::ZERO }
    }

    fn tell(&mut self, topic: &TopicId, version: Version) -> Offered {
        self.told = version;
        self.line.offer(topic, version)
    }
}
