//! Tells the followers of topics their versions: a hot topic costs sockets, not publishes times sockets.
//!
//! A fan-out walks over a topic's followers in as many parts as there are threads, and after each [`CHUNK`] of them the next
//! topic has its turn. A version that comes while a fan-out waits or runs replaces what waits; a topic with many followers
//! begins one at most every `fanout_interval`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorbell_protocol::{Generation, Hint, SessionId, TopicId, Version};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pacing::{PullRate, Spread};
use super::queue::{Queue, Turn};
use super::{CHUNK, Notice};
use crate::gateway::Gateway;
use crate::session::Session;
use crate::session::outbox::Source;
use crate::topics::{Begun, Raised, Stay, Topics};

/// The fan-outs of a gateway's topics.
#[derive(Default)]
pub(crate) struct FanOuts {
    queue: Queue,
}

/// Rows that a part of a fan-out takes at a time: some 4,000 sessions, for which it takes 0.3 ms and 32 KiB.
const STRETCH_ROWS: usize = 64;

/// A part of a fan-out under way: each `shared.parts`th row.
pub(super) struct Run {
    shared: Arc<Shared>,
    next_row: usize,
    /// Those of the rows before the next who are not offered it yet; the last one is the next.
    stretch: Vec<Arc<Session>>,
    /// Each part encodes for itself: that is less than to share a buffer.
    notices: Notices,
}

/// What the parts of a fan-out have in common.
struct Shared {
    stay: Stay,
    begun: Begun,
    parts: usize,
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
    version: Version,
    spread: Spread,
    by_class: Vec<Option<Notice>>,
}

impl Notices {
    fn new(topic: TopicId, begun: &Begun, rate: &PullRate) -> Self {
        let spread = Spread::new(rate, begun.sessions, begun.version);
        let by_class = (0..spread.classes()).map(|_| None).collect();
        Self { topic, version: begun.version, spread, by_class }
    }

    fn of(&mut self, session: SessionId) -> &mut Notice {
        let class = self.spread.class(session);
        self.by_class[class].get_or_insert_with(|| {
            Notice::of([(self.topic.clone(), self.version)], self.spread.pull_after_ms(class))
        })
    }
}

impl FanOuts {
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
                    if let Some(run) = self.begin_fan_out(stay, since, runners()) {
                        self.fan_out_turn(run).await;
                    }
                }
                Turn::Part(run) => self.fan_out_turn(run).await,
            }
            tokio::task::yield_now().await;
        }
    }

    /// Begins a fan-out; answers one part, and queues the others.
    fn begin_fan_out(&self, stay: Stay, since: Instant, parts_max: usize) -> Option<Box<Run>> {
        let began = Instant::now();
        let begun = self.topics().begin(&stay, began)?;
        self.setting().metrics.topics.fan_out_began();
        let config = &self.setting().rules.config;
        let rate = PullRate {
            per_second: config.topic_pulls_per_second.get(),
            followers_min: config.topic_pulls_spread_from,
        };
        let parts = begun.rows_count().clamp(1, parts_max);
        let shared = Arc::new(Shared { stay, begun, parts, running: AtomicUsize::new(parts), since, began });
        let part = |row| {
            let notices = Notices::new(shared.stay.topic.clone(), &shared.begun, &rate);
            Box::new(Run { shared: Arc::clone(&shared), next_row: row, stretch: Vec::new(), notices })
        };
        (1..parts).for_each(|row| self.fan_outs().queue.push_part(part(row)));
        Some(part(0))
    }

    /// Offers it to the next [`CHUNK`] of a part's sessions.
    async fn fan_out_turn(&self, mut run: Box<Run>) {
        if run.stretch.is_empty() && !run.take_stretch(self.topics()) {
            return;
        }
        for session in run.stretch.drain(run.stretch.len().saturating_sub(CHUNK)..).rev() {
            let offered = session.offer(run.notices.of(session.id()), Source::Followed, self.setting());
            self.setting().metrics.hint_offered(offered);
        }
        let shared = &run.shared;
        if !run.is_over() {
            self.fan_outs().queue.put_back(run);
        } else if shared.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            let now = Instant::now();
            self.setting().metrics.topics.fan_out_ended(now - shared.since);
            if let Some(due) = self.topics().end(&shared.stay, now) {
                self.fan_outs().queue.push(shared.stay.clone(), due, shared.began);
            }
        }
    }
}

impl Run {
    /// Takes the sessions of the part's next rows, in the order in which they lie in memory: who came one after the other
    /// lies so here and, mostly, in the kernel, while a row has its sessions in the order of a hash. `false` where the
    /// topic's stay has ended.
    fn take_stretch(&mut self, topics: &Topics) -> bool {
        let Shared { stay, begun, parts, .. } = &*self.shared;
        for row in (self.next_row..begun.rows_count()).step_by(*parts).take(STRETCH_ROWS) {
            if !topics.row(stay, begun, row, &mut self.stretch) {
                return false;
            }
            self.next_row = row + parts;
        }
        self.stretch.sort_unstable_by_key(Arc::as_ptr);
        true
    }

    /// Whether all sessions of the part were offered it.
    fn is_over(&self) -> bool {
        self.stretch.is_empty() && self.next_row >= self.shared.begun.rows_count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::num::NonZeroU16;
    use std::time::Duration;

    use doorbell_backplane::Partitions;
    use doorbell_protocol::UserId;

    use super::*;
    use crate::session::Identity;
    use crate::topics::Pace;

    const SESSIONS: usize = 10_000;

    #[test]
    fn the_parts_of_a_fan_out_meet_everybody_once_and_each_stretch_in_the_order_of_memory() {
        let pace = Pace { followers_large: SESSIONS, interval: Duration::ZERO };
        let topics = Topics::new(Partitions::new(NonZeroU16::MIN), pace);
        let hint = Hint { topic: TopicId::new("group:all").unwrap(), version: Version::ZERO };
        let followers: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let user = UserId::new(format!("user-{number}")).unwrap();
                let session = Session::without_socket(Identity { user: user.clone(), device: None });
                topics.insert(&hint, &user, &session);
                session
            })
            .collect();
        for parts in [1, 2, 3] {
            let (stay, begun) = topics.walk(&hint.topic).unwrap();
            let now = Instant::now();
            let running = AtomicUsize::new(parts);
            let shared = Arc::new(Shared { stay, begun, parts, running, since: now, began: now });
            let (mut met, mut stretches) = (HashSet::new(), 0);
            for next_row in 0..parts {
                let rate = PullRate { per_second: 1, followers_min: SESSIONS };
                let notices = Notices::new(hint.topic.clone(), &shared.begun, &rate);
                let mut run = Run { shared: Arc::clone(&shared), next_row, stretch: Vec::new(), notices };
                while !run.is_over() {
                    assert!(run.take_stretch(&topics));
                    assert!(run.stretch.is_sorted_by_key(Arc::as_ptr) && run.stretch.len() < SESSIONS / 2);
                    stretches += 1;
                    assert!(run.stretch.drain(..).all(|session| met.insert(session.id())));
                }
            }
            assert_eq!(met.len(), followers.len(), "{parts} parts");
            assert!(stretches > parts, "{parts} parts");
        }
    }
}
