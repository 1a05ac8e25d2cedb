//! The neighbours of followed topics, as far as a test must steer them: message-svc's word about audiences, the channel
//! service's ear, the one who passes signals on, and the store of versions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use doorbell_backplane::versions::{ChangeCounter, Look};
use doorbell_backplane::{Partition, PartitionIdentity, Partitions, Versions};
use doorbell_protocol::{ErrorBody, GatewayId, Hint, Raise, TopicId, UserId, Version};
use doorbell_rpc::{
    Audiences, ChannelLife, Channels, Error, Move, Presence, Signal, SignalReply, Signals, Subscription, Way,
};
use parking_lot::Mutex;
use tokio::sync::watch;

pub fn topic(name: &str) -> TopicId {
    TopicId::new(name).unwrap()
}

pub fn hint(name: &str, version: u64) -> Hint {
    Hint { topic: topic(name), version: Version::new(version).unwrap() }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn unavailable(service: &'static str) -> Error {
    Error::Unavailable { service, reason: "down for the test".into() }
}

/// Who is in which large audience, and who may follow what.
pub struct Members {
    large: Mutex<HashMap<UserId, BTreeMap<TopicId, Version>>>,
    allowed: Mutex<HashMap<UserId, BTreeMap<TopicId, Version>>>,
    failing: AtomicBool,
    /// Asks read what is true, then wait here with their answer.
    open: watch::Sender<bool>,
    /// Asks for large topics that came, by user.
    calls: AtomicUsize,
    asked: Mutex<HashMap<UserId, usize>>,
    /// Asks to authorize that came, with their topics.
    pub authorized: Mutex<Vec<(UserId, HashSet<TopicId>)>>,
    in_flight: AtomicUsize,
    pub in_flight_max: AtomicUsize,
    moves: Mutex<Vec<Move>>,
}

impl Default for Members {
    fn default() -> Self {
        Self {
            large: Mutex::default(),
            allowed: Mutex::default(),
            failing: AtomicBool::new(false),
            open: watch::Sender::new(true),
            calls: AtomicUsize::default(),
            asked: Mutex::default(),
            authorized: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            in_flight_max: AtomicUsize::new(0),
            moves: Mutex::default(),
        }
    }
}

impl Members {
    /// A user is in a large audience, whose head is this.
    pub fn join(&self, name: &str, topic: &str, version: u64) {
        let Hint { topic, version } = hint(topic, version);
        self.large.lock().entry(user(name)).or_default().insert(topic, version);
    }

    pub fn leave(&self, name: &str, left: &str) {
        self.large.lock().entry(user(name)).or_default().remove(&topic(left));
    }

    pub fn allow(&self, name: &str, topic: &str, version: u64) {
        let Hint { topic, version } = hint(topic, version);
        self.allowed.lock().entry(user(name)).or_default().insert(topic, version);
    }

    pub fn forbid(&self, name: &str, taken: &str) {
        self.allowed.lock().entry(user(name)).or_default().remove(&topic(taken));
    }

    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    pub fn let_go(&self) {
        self.open.send_replace(true);
    }

    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    pub fn recover(&self) {
        self.failing.store(false, Ordering::SeqCst);
    }

    /// Calls for large topics that came, each for some users.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Asks for large topics that came, each for one user.
    pub fn asks(&self) -> usize {
        self.asked.lock().values().sum()
    }

    /// Those for one user.
    pub fn asked_for(&self, name: &str) -> usize {
        self.asked.lock().get(&user(name)).copied().unwrap_or_default()
    }

    /// For how many users any came.
    pub fn users_asked_for(&self) -> usize {
        self.asked.lock().len()
    }

    /// Which ways a user went, as it was told.
    pub fn ways(&self, name: &str) -> Vec<Way> {
        self.moves.lock().iter().filter(|moved| moved.user.as_str() == name).map(|moved| moved.way).collect()
    }

    async fn answer<T: Send>(&self, answer: T) -> Result<T, Error> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(unavailable("message-svc"));
        }
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.in_flight_max.fetch_max(in_flight, Ordering::SeqCst);
        self.open.subscribe().wait_for(|open| *open).await.expect("the sender lives in self");
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        Ok(answer)
    }
}

fn hints(of: Option<&BTreeMap<TopicId, Version>>) -> Vec<Hint> {
    of.into_iter()
        .flatten()
        .map(|(topic, version)| Hint { topic: topic.clone(), version: *version })
        .collect()
}

#[async_trait]
impl Audiences for Members {
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        for user in &users {
            *self.asked.lock().entry(user.clone()).or_default() += 1;
        }
        let answer = users.iter().map(|user| hints(self.large.lock().get(user))).collect();
        self.answer(answer).await
    }

    async fn authorize(&self, user: &UserId, topics: Vec<TopicId>) -> Result<Vec<Hint>, Error> {
        self.authorized.lock().push((user.clone(), topics.iter().cloned().collect()));
        let mut answer = hints(self.allowed.lock().get(user));
        answer.retain(|hint| topics.contains(&hint.topic));
        self.answer(answer).await
    }
}

#[async_trait]
impl Presence for Members {
    async fn moved(&self, moves: Vec<Move>) -> Result<(), Error> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(unavailable("message-svc"));
        }
        self.moves.lock().extend(moves);
        Ok(())
    }
}

/// The channel service as a gateway meets it: what it heard, and how often it forgot.
#[derive(Default)]
pub struct Ears {
    heard: Mutex<HashMap<TopicId, Subscription>>,
    life: AtomicU64,
    /// It seems to have forgotten everything with each call.
    pub fickle: AtomicBool,
    failing: AtomicBool,
}

impl Ears {
    /// How many users follow the topic, as it was told last; `None` where nobody does.
    pub fn followers(&self, name: &str) -> Option<u32> {
        let heard = self.heard.lock();
        heard.get(&topic(name)).map(|word| word.followers).filter(|followers| *followers > 0)
    }

    pub fn word(&self, name: &str) -> Option<Subscription> {
        self.heard.lock().get(&topic(name)).cloned()
    }

    /// A restart: what it heard is gone.
    pub fn forget(&self) {
        self.heard.lock().clear();
        self.life.fetch_add(1, Ordering::SeqCst);
    }

    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    pub fn recover(&self) {
        self.failing.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Channels for Ears {
    async fn publish(&self, _: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        Err(unavailable("channel-svc"))
    }

    async fn subscribe(&self, _: &GatewayId, words: Vec<Subscription>) -> Result<ChannelLife, Error> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(unavailable("channel-svc"));
        }
        if self.fickle.load(Ordering::SeqCst) {
            self.life.fetch_add(1, Ordering::SeqCst);
        }
        let mut heard = self.heard.lock();
        for word in words {
            match heard.get_mut(&word.topic) {
                Some(known) if known.generation >= word.generation => {
                    panic!("a word that goes back: {word:?}")
                }
                Some(known) => *known = word,
                None => {
                    heard.insert(word.topic.clone(), word);
                }
            }
        }
        Ok(ChannelLife(self.life.load(Ordering::SeqCst).into()))
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, Error> {
        let count = |topic: &TopicId| self.followers(topic.as_str()).unwrap_or_default().into();
        Ok(topics.iter().map(count).collect())
    }
}

#[derive(Default)]
struct Stored {
    /// By topic: its version, and the counter at its last change.
    topics: HashMap<TopicId, (Version, u64)>,
    counter: u64,
    life: u64,
}

/// The store of versions, which can fail, and can be replaced by another one with a part of what it knew.
#[derive(Default)]
pub struct Store {
    stored: Mutex<Stored>,
    failing: AtomicBool,
    /// Whether answers to reads are held back.
    held: watch::Sender<bool>,
    pub reads: AtomicUsize,
    pub looks: AtomicUsize,
    /// Partitions that were looked at for what changed there, and not only for which store answers.
    pub counted: AtomicUsize,
}

impl Store {
    pub fn put(&self, name: &str, version: u64) {
        let mut stored = self.stored.lock();
        stored.counter += 1;
        let counter = stored.counter;
        stored.topics.insert(topic(name), (Version::new(version).unwrap(), counter));
    }

    /// Another store answers from now on, and knows these versions alone.
    pub fn replace(&self, versions: &[(&str, u64)]) {
        let life = self.stored.lock().life + 1;
        *self.stored.lock() = Stored { life, ..Stored::default() };
        versions.iter().for_each(|(name, version)| self.put(name, *version));
    }

    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    pub fn recover(&self) {
        self.failing.store(false, Ordering::SeqCst);
    }

    /// Reads find what there is at once, and their answers are held back.
    pub fn hold_answers(&self) {
        self.held.send_replace(true);
    }

    pub fn let_answers_go(&self) {
        self.held.send_replace(false);
    }

    fn check(&self) -> Result<(), doorbell_backplane::Error> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(doorbell_backplane::Error::Unavailable { reason: "down for the test".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl Versions for Store {
    fn partitions(&self) -> Partitions {
        Partitions::default()
    }

    async fn raise(&self, _: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, doorbell_backplane::Error> {
        unreachable!("a gateway stores nothing")
    }

    async fn read(&self, topics: Vec<TopicId>) -> Result<Vec<Version>, doorbell_backplane::Error> {
        self.check()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        let found = {
            let stored = self.stored.lock();
            let version = |topic| stored.topics.get(topic).map_or(Version::ZERO, |(version, _)| *version);
            topics.iter().map(version).collect()
        };
        self.held.subscribe().wait_for(|held| !held).await.expect("the store is there");
        Ok(found)
    }

    async fn look(
        &self,
        since: Vec<(Partition, Option<ChangeCounter>)>,
        changes_max: usize,
    ) -> Result<Vec<Look>, doorbell_backplane::Error> {
        self.check()?;
        self.looks.fetch_add(1, Ordering::SeqCst);
        let counted = since.iter().filter(|(_, since)| since.is_some()).count();
        self.counted.fetch_add(counted, Ordering::SeqCst);
        let stored = self.stored.lock();
        let look = |(partition, since): (Partition, Option<ChangeCounter>)| {
            let since = since.map_or(stored.counter, |since| since.0);
            let mut changed: Vec<_> = stored
                .topics
                .iter()
                .filter(|(topic, (_, at))| *at > since && self.partitions().of_topic(topic) == partition)
                .map(|(topic, (version, at))| (*at, Hint { topic: topic.clone(), version: *version }))
                .collect();
            changed.sort_unstable();
            let more = changed.len() > changes_max;
            changed.truncate(changes_max);
            let shown = if more { changed[changes_max - 1].0 } else { stored.counter };
            Look {
                identity: PartitionIdentity(format!("store-{}", stored.life)),
                counter: ChangeCounter(shown),
                changed: Some(changed.into_iter().map(|(_, hint)| hint).collect()),
                more,
            }
        };
        Ok(since.into_iter().map(look).collect())
    }
}

/// What message-svc says to signals: that they are passed, unless told otherwise.
#[derive(Default)]
pub struct Passer {
    pub came: Mutex<Vec<Signal>>,
    says: Mutex<Option<Says>>,
}

#[derive(Clone, Debug)]
pub enum Says {
    Refused(ErrorBody),
    Dropped,
    Nothing,
    Unavailable,
}

impl Passer {
    pub fn say(&self, says: Says) {
        *self.says.lock() = Some(says);
    }

    pub fn came(&self) -> usize {
        self.came.lock().len()
    }
}

#[async_trait]
impl Signals for Passer {
    async fn signal(&self, signal: Signal) -> Result<SignalReply, Error> {
        self.came.lock().push(signal);
        let says = self.says.lock().clone();
        match says {
            None => Ok(SignalReply::Passed),
            Some(Says::Refused(error)) => Ok(SignalReply::Refused(error)),
            Some(Says::Dropped) => Ok(SignalReply::Dropped),
            Some(Says::Nothing) => std::future::pending().await,
            Some(Says::Unavailable) => Err(unavailable("message-svc")),
        }
    }
}
