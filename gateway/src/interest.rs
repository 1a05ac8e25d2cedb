//! Tells the channel service which topics are followed here: the first and the last follower at once, their number once
//! a second where it changed, and everything again when the service has lost its memory.
//!
//! It says what is true when it is said, not what was true when it was noted: a topic is noted once, however often it
//! changes.

mod repeat;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{GatewayId, TopicId};
use doorbell_rpc::{Backoff, ChannelLife, Channels, Peer};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use crate::gateway::Gateway;
use crate::metrics::Answer;
use crate::topics::SHARDS_PER_PARTITION;
use repeat::Repeat;

/// How long first and last followers gather into one call.
const GATHER: Duration = Duration::from_millis(5);
/// How often numbers are said, and the service's life is asked for: within
/// [`SAID_WITHIN`](doorbell_rpc::channel::SAID_WITHIN).
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// Words in one call.
const WORDS_MAX: usize = 1_000;
/// Topics noted at most; beyond it the note is dropped, and everything is said again instead.
const NOTED_MAX: usize = 65_536;
/// After a call that failed.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Noted {
    /// To be said at once.
    turned: HashSet<TopicId>,
    /// To be said with the next second.
    counted: HashSet<TopicId>,
    /// More was noted than there is room for.
    overflowed: bool,
}

/// What is to be said.
pub(crate) struct Interest {
    channels: Arc<dyn Channels>,
    peer: Peer,
    noted: Mutex<Noted>,
    bell: Notify,
}

impl Interest {
    pub(crate) fn new(channels: Arc<dyn Channels>) -> Self {
        Self {
            channels,
            peer: Peer::new("the channel service"),
            noted: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// A topic has its first follower here, or none any more.
    pub(crate) fn turned(&self, topic: &TopicId) {
        self.noted.lock().note(|noted| &mut noted.turned, topic);
        self.bell.notify_one();
    }

    /// Another number of users follows a topic.
    pub(crate) fn counted(&self, topic: &TopicId) {
        self.noted.lock().note(|noted| &mut noted.counted, topic);
    }
}

impl Noted {
    fn note(&mut self, list: impl FnOnce(&mut Self) -> &mut HashSet<TopicId>, topic: &TopicId) {
        let list = list(self);
        if list.len() >= NOTED_MAX && !list.contains(topic) {
            self.overflowed = true;
        } else if !list.contains(topic) {
            list.insert(topic.clone());
        }
    }
}

/// The task that says it.
pub(crate) struct InterestTask {
    gateway: Arc<Gateway>,
    /// The memory that has heard everything said so far.
    life: Option<ChannelLife>,
    backoff: Backoff,
    /// Nothing is said before it.
    spared_until: Option<Instant>,
    repeat: Repeat,
}

impl InterestTask {
    pub(crate) const fn new(gateway: Arc<Gateway>) -> Self {
        let backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
        Self { gateway, life: None, backoff, spared_until: None, repeat: Repeat::new() }
    }

    /// Says what is to be said, as long as it is polled.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(COUNT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let gateway = Arc::clone(&self.gateway);
        loop {
            // Whatever wakes it, what was noted stays noted until it was said.
            tokio::select! {
                _ = ticks.tick() => self.say_counts().await,
                () = gateway.interest().bell.notified() => {
                    tokio::time::sleep(GATHER).await;
                    self.say_turns().await;
                }
                () = until(self.spared_until) => {
                    self.spared_until = None;
                    self.say_turns().await;
                }
                () = until(self.repeat.due().max(self.spared_until)), if self.repeat.due().is_some() => {
                    self.say_again().await;
                }
            }
        }
    }

    /// Everything, to a service that has forgotten it.
    async fn say_again(&mut self) {
        tracing::info!("the channel service began anew: it is told everything again");
        self.repeat.begin();
        let all = self.all_followed();
        // Not bounded: it is what is followed.
        self.interest().noted.lock().turned.extend(all);
        self.say_turns().await;
        self.repeat.ended(Instant::now());
    }

    async fn say_turns(&mut self) {
        let noted = std::mem::take(&mut self.interest().noted.lock().turned);
        self.say(noted).await;
    }

    async fn say_counts(&mut self) {
        let (mut noted, overflowed) = {
            let mut noted = self.interest().noted.lock();
            let overflowed = std::mem::take(&mut noted.overflowed);
            let mut all = std::mem::take(&mut noted.counted);
            all.extend(std::mem::take(&mut noted.turned));
            (all, overflowed)
        };
        if overflowed {
            noted.extend(self.all_followed());
        }
        if noted.is_empty() {
            // Said with nothing to say: it shows the life of the service's memory, and that this gateway is there.
            self.call(&[]).await;
        } else {
            self.say(noted).await;
        }
    }

    /// Says these; what fails is noted again.
    async fn say(&mut self, noted: HashSet<TopicId>) {
        let topics: Vec<_> = noted.into_iter().collect();
        let mut said = 0;
        for chunk in topics.chunks(WORDS_MAX) {
            if !self.call(chunk).await {
                break;
            }
            said += chunk.len();
        }
        if said < topics.len() {
            let mut noted = self.interest().noted.lock();
            topics[said..].iter().for_each(|topic| noted.note(|noted| &mut noted.turned, topic));
        }
    }

    /// One call; if it shows that the service has forgotten what it heard, everything is to be said again.
    async fn call(&mut self, topics: &[TopicId]) -> bool {
        if self.spared_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        let words = topics.iter().map(|topic| self.gateway.topics().word(topic)).collect();
        let gateway: &GatewayId = self.gateway.id();
        let deadline = self.gateway.setting().rules.config.channel_timeout;
        let call = self.interest().channels.subscribe(gateway, words);
        let answer = self.interest().peer.within(deadline, call).await;
        let metrics = &self.gateway.setting().metrics.topics;
        match answer {
            Ok(life) => {
                metrics.interest_said(Answer::Done, topics.len());
                self.backoff.succeeded();
                self.spared_until = None;
                self.meet(life);
                true
            }
            Err(_) => {
                metrics.interest_said(Answer::Failed, topics.len());
                self.spared_until = Some(Instant::now() + self.backoff.failed());
                false
            }
        }
    }

    fn meet(&mut self, life: ChannelLife) {
        let before = self.life.replace(life);
        if before.is_some_and(|before| before != life) {
            self.repeat.want(Instant::now());
        }
    }

    fn all_followed(&self) -> Vec<TopicId> {
        let topics = self.gateway.topics();
        let shards = topics.partitions().all().flat_map(|partition| {
            (0..SHARDS_PER_PARTITION).map(move |shard| topics.followed(partition, shard))
        });
        shards.flatten().collect()
    }

    fn interest(&self) -> &Interest {
        self.gateway.interest()
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
