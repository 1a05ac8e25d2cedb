//! What is kept of one gateway: its subscriptions, what waits for it, and when it was last heard of.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use doorbell_protocol::{GatewayId, Generation, Hint, TopicId, Version};
use doorbell_rpc::ChannelLife;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One gateway, from its first word until it is forgotten.
///
/// Its lock is taken inside that of a shard of the directory, never around it: so its topics and the directory's
/// subscriptions change together.
#[derive(Debug)]
pub(crate) struct Line {
    gateway: GatewayId,
    life: ChannelLife,
    topics_max: usize,
    state: Mutex<State>,
    news: Notify,
    /// Cancelled when the gateway is forgotten: nothing is added any more.
    forgotten: CancellationToken,
}

#[derive(Debug)]
struct State {
    heard: Instant,
    /// What the gateway subscribes to.
    topics: HashSet<TopicId>,
    /// What it has not been told yet: only of `topics`, the greatest version of each.
    waiting: HashMap<TopicId, Version>,
    /// Subscriptions that ended, the oldest first; the directory remembers each until it is older than any word.
    ended: VecDeque<(Instant, Ended)>,
}

/// A subscription that ended, as of a word of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) topic: TopicId,
    pub(crate) generation: Generation,
}

/// What became of a version that is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits.
    Waits,
    /// It waits in the place of a smaller one.
    Conflated,
    /// The gateway does not subscribe.
    Refused,
}

impl Line {
    pub(crate) fn new(gateway: GatewayId, life: ChannelLife, topics_max: usize, now: Instant) -> Self {
        let state =
            State { heard: now, topics: HashSet::new(), waiting: HashMap::new(), ended: VecDeque::new() };
        Self {
            gateway,
            life,
            topics_max,
            state: Mutex::new(state),
            news: Notify::new(),
            forgotten: CancellationToken::new(),
        }
    }

    pub(crate) const fn gateway(&self) -> &GatewayId {
        &self.gateway
    }

    /// Another one than that of any other line.
    pub(crate) const fn life(&self) -> ChannelLife {
        self.life
    }

    pub(crate) const fn forgotten(&self) -> &CancellationToken {
        &self.forgotten
    }

    /// The gateway has said or answered something.
    pub(crate) fn hear(&self, now: Instant) {
        self.state.lock().heard = now;
    }

    /// Forgets the gateway if nothing was heard of it for longer than `silence_max`. Whether it is forgotten.
    pub(crate) fn forget_if_silent(&self, now: Instant, silence_max: Duration) -> bool {
        let mut state = self.state.lock();
        let silent = now.saturating_duration_since(state.heard) > silence_max;
        if silent {
            self.forgotten.cancel();
            state.waiting = HashMap::new();
        }
        silent
    }

    /// A subscription begins, unless the gateway is forgotten or has as many as it may.
    pub(crate) fn begin(&self, topic: &TopicId) -> bool {
        let mut state = self.state.lock();
        if self.forgotten.is_cancelled() || state.topics.len() >= self.topics_max {
            return false;
        }
        state.topics.insert(topic.clone());
        true
    }

    /// A subscription ends, and with it what waits. Whether the end is to be remembered, so that a late word does not
    /// begin it again; beyond as many as there may be subscriptions it is not.
    pub(crate) fn end(&self, ended: Ended, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.topics.remove(&ended.topic);
        state.waiting.remove(&ended.topic);
        let remember = !self.forgotten.is_cancelled() && state.ended.len() < self.topics_max;
        if remember {
            state.ended.push_back((now, ended));
        }
        remember
    }

    /// Takes up to `count` ends that are older than `age`; of a forgotten gateway whatever their age.
    pub(crate) fn take_ended(&self, now: Instant, age: Duration, count: usize) -> Vec<Ended> {
        let mut state = self.state.lock();
        let all = self.forgotten.is_cancelled();
        let mut taken = Vec::new();
        while taken.len() < count {
            let old = |(at, _): &mut (Instant, Ended)| all || now.saturating_duration_since(*at) > age;
            let Some((_, ended)) = state.ended.pop_front_if(old) else { break };
            taken.push(ended);
        }
        taken
    }

    /// Takes up to `count` subscriptions of a forgotten gateway.
    pub(crate) fn take_topics(&self, count: usize) -> Vec<TopicId> {
        let mut state = self.state.lock();
        let taken: Vec<TopicId> = state.topics.iter().take(count).cloned().collect();
        for topic in &taken {
            state.topics.remove(topic);
        }
        taken
    }

    /// Lets a version wait for the gateway; of several the greatest stays.
    pub(crate) fn offer(&self, topic: &TopicId, version: Version) -> Offered {
        let mut state = self.state.lock();
        let offered = state.offer(topic, version);
        if offered == Offered::Waits && state.waiting.len() == 1 {
            self.news.notify_one();
        }
        offered
    }

    /// Waits until something waits. *Cancel safety*: no news are lost.
    pub(crate) async fn news(&self) {
        while self.state.lock().waiting.is_empty() {
            self.news.notified().await;
        }
    }

    /// Takes all that waits.
    pub(crate) fn take_waiting(&self) -> Vec<Hint> {
        let waiting = std::mem::take(&mut self.state.lock().waiting);
        waiting.into_iter().map(|(topic, version)| Hint { topic, version }).collect()
    }

    /// Gives back what could not be told.
    pub(crate) fn put_back(&self, hints: &[Hint]) {
        let mut state = self.state.lock();
        for Hint { topic, version } in hints {
            state.offer(topic, *version);
        }
        self.news.notify_one();
    }

    /// What waits.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> std::collections::BTreeMap<TopicId, Version> {
        self.state.lock().waiting.clone().into_iter().collect()
    }

    /// Subscriptions, and versions that wait.
    pub(crate) fn size(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.topics.len(), state.waiting.len())
    }
}

impl State {
    fn offer(&mut self, topic: &TopicId, version: Version) -> Offered {
        if !self.topics.contains(topic) {
            return Offered::Refused;
        }
        match self.waiting.get_mut(topic) {
            Some(waiting) => {
                *waiting = version.max(*waiting);
                Offered::Conflated
            }
            None => {
                self.waiting.insert(topic.clone(), version);
                Offered::Waits
            }
        }
    }
}
