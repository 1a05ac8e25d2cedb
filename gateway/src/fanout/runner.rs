//! Tells the followers of topics their versions: a hot topic costs sockets, not publishes times sockets.
//!
//! A fan-out walks over a topic's followers in as many parts as there are threads, and after some of them the next topic has
//! its turn. A version that comes while a fan-out waits or runs replaces what waits, and what the rest of it is told;
//! a topic with many followers begins one at most every `fanout_interval`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorbell_protocol::{Generation, Hint, SessionId, TopicId, Version};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Notice;
use super::pacing::{PullRate, Spread};
use super::queue::{Queue, Turn};
use super::walk::Walk;
use crate::gateway::Gateway;
use crate::session::outbox::Source;
use crate::topics::{Begun, Raised, Stay};

/// The fan-outs of a gateway's topics.
#[derive(Default)]
pub(crate) struct TopicFanOuts {
    queue: Queue,
}

/// After so many turns, 1,024 offers, a part takes the newest version. Not sooner: each is encoded anew, once for each class of sessions.
const TURNS_A_VERSION: usize = 256;

/// A part of a fan-out under way.
pub(super) struct Part {
    shared: Arc<Shared>,
    walk: Walk,
    turns: usize,
    /// Each part encodes for itself: that is less than to share a buffer.
    notices: Notices,
}

/// What the parts of a fan-out have in common.
struct Shared {
    stay: Stay,
    /// Parts that still run: the last one ends the fan-out.
    running: AtomicUsize,
    /// Since when the first of its followers waits.
    since: Instant,
    /// What is raised from now on goes with the next one.
    began: Instant,
}

/// The hint of one fan-out, with its bytes for each class of sessions once one needs them.
struct Notices {
    topic: TopicId,
    rate: PullRate,
    followers: usize,
    version: Version,
    spread: Spread,
    /// Each of the version of when it was last needed. A notice that is there takes the next one: its buffers stay.
    by_class: Vec<Option<(Version, Notice)>>,
}

impl Notices {
    fn new(topic: TopicId, begun: &Begun, rate: PullRate) -> Self {
        let (followers, version) = (begun.sessions, begun.version);
        let spread = Spread::new(&rate, followers, version);
        let by_class = (0..spread.classes()).map(|_| None).collect();
        Self { topic, rate, followers, version, spread, by_class }
    }

    /// Takes a later version.
    fn raise(&mut self, version: Version) {
        if version > self.version {
            self.version = version;
            self.spread = Spread::new(&self.rate, self.followers, version);
        }
    }

    fn of(&mut self, session: SessionId) -> &mut Notice {
        let class = self.spread.class(session);
        let (version, notice) = self.by_class[class].get_or_insert_with(|| {
            let topics = [(self.topic.clone(), self.version)];
            (self.version, Notice::of(topics, self.spread.pull_after_ms(class)))
        });
        if *version < self.version {
            *version = self.version;
            notice.raise(self.version);
        }
        notice
    }
}

impl TopicFanOuts {
    /// Starts the runners: one a thread, since a fan-out is nothing but work.
    pub(crate) fn spawn(&self, gateway: &Arc<Gateway>, into: &mut JoinSet<()>, stop: &CancellationToken) {
        for _ in 0..runners() {
            let (gateway, stop) = (Arc::clone(gateway), stop.clone());
            into.spawn(async move {
                stop.run_until_cancelled(gateway.fan_out_topics()).await;
            });
        }
    }
}

fn runners() -> usize {
    tokio::runtime::Handle::current().metrics().num_workers()
}

impl Gateway {
    /// Raises a topic's version and has its followers told; the error says that it has none.
    pub(crate) fn raise(&self, hint: &Hint) -> Result<Raised, Generation> {
        let now = Instant::now();
        let (raised, stay) = self.topics().raise(hint, now)?;
        self.setting().metrics.topics.raised(raised);
        if let Raised::Due(due) = raised {
            self.fan_outs().queue.push(stay, due, now);
        }
        Ok(raised)
    }

    async fn fan_out_topics(&self) {
        loop {
            match self.fan_outs().queue.next().await {
                Turn::Begin(stay, since) => {
                    if let Some(part) = self.begin_fan_out(stay, since, runners()) {
                        self.fan_out_turn(part).await;
                    }
                }
                Turn::Part(part) => self.fan_out_turn(part).await,
            }
            tokio::task::yield_now().await;
        }
    }

    /// Begins a fan-out; answers one part, and queues the others.
    fn begin_fan_out(&self, stay: Stay, since: Instant, parts_max: usize) -> Option<Box<Part>> {
        let began = Instant::now();
        let begun = self.topics().begin(&stay, began)?;
        self.setting().metrics.topics.fan_out_began();
        let config = &self.setting().rules.config;
        let rate = PullRate {
            per_second: config.topic_pulls_per_second.get(),
            followers_min: config.topic_pulls_spread_from,
        };
        let parts = begun.rows_count().clamp(1, parts_max);
        let shared = Arc::new(Shared { stay, running: AtomicUsize::new(parts), since, began });
        let part = |number| {
            let walk = Walk::new(&shared.stay, &begun, number, parts);
            let notices = Notices::new(shared.stay.topic.clone(), &begun, rate);
            Box::new(Part { shared: Arc::clone(&shared), walk, turns: 0, notices })
        };
        (1..parts).for_each(|number| self.fan_outs().queue.push_part(part(number)));
        Some(part(0))
    }

    /// Offers it to the next of a part's sessions.
    async fn fan_out_turn(&self, mut part: Box<Part>) {
        while part.walk.wants_rows() {
            if !part.walk.take_rows(self.topics()) {
                return;
            }
            tokio::task::yield_now().await;
        }
        if part.turns.is_multiple_of(TURNS_A_VERSION) {
            let Some(version) = self.topics().present(&part.shared.stay) else { return };
            part.notices.raise(version);
        }
        part.turns += 1;
        for session in part.walk.next_sessions() {
            let offered = session.offer(part.notices.of(session.id()), Source::Followed, self.setting());
            self.setting().metrics.hint_offered(offered);
        }
        let shared = &part.shared;
        if !part.walk.is_over() {
            self.fan_outs().queue.put_back(part);
        } else if shared.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            let now = Instant::now();
            self.setting().metrics.topics.fan_out_ended(now - shared.since);
            if let Some(due) = self.topics().end(&shared.stay, now) {
                self.fan_outs().queue.push(shared.stay.clone(), due, shared.began);
            }
        }
    }
}
