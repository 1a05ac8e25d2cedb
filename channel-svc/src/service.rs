//! The whole: one sender a gateway, and the check for silent ones, under one owner.

use std::sync::Arc;

use doorbell_backplane::Versions;
use doorbell_rpc::{Gateways, Peer};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::directory::Directory;
use crate::error::Error;
use crate::gateways::KnownGateways;
use crate::line::Line;
use crate::metrics::{Metrics, Size};
use crate::publish::Sender;
use crate::restore::Restorer;

/// Topics after which a long loop lets others run: some hundred µs.
pub(crate) const CHUNK: usize = 1_024;

/// What a channel service works with.
pub struct Neighbours {
    /// Where versions are stored.
    pub versions: Arc<dyn Versions>,
    /// Who has followers.
    pub gateways: Arc<dyn Gateways>,
}

/// Publishes to large audiences; it serves [`doorbell_rpc::Channels`].
pub struct ChannelService {
    shared: Arc<Shared>,
}

/// What the calls and the tasks share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) versions: Arc<dyn Versions>,
    /// Who answers for `versions`.
    pub(crate) store: Peer,
    pub(crate) gateways: Arc<dyn Gateways>,
    pub(crate) directory: Directory,
    pub(crate) known: KnownGateways,
    pub(crate) metrics: Metrics,
}

impl Shared {
    /// Topics of one call.
    pub(crate) fn batch(&self) -> usize {
        self.config.batch_topics_max.get() as usize
    }
}

impl ChannelService {
    /// A service that knows nobody yet. `config` has been validated. It serves calls at once, and sends to gateways
    /// while [`ChannelService::run`] runs.
    #[must_use]
    pub fn new(config: Config, neighbours: Neighbours, metrics: Metrics) -> Arc<Self> {
        let Neighbours { versions, gateways } = neighbours;
        let directory = Directory::new(config.shards);
        let known = KnownGateways::new(config.gateway_topics_max.get() as usize);
        let store = Peer::new("the store of versions");
        let shared = Shared { config, versions, store, gateways, directory, known, metrics };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    /// Runs until `stop`. What waits for gateways then is sent once more, each call within its deadline.
    ///
    /// # Errors
    /// [`Error::Panicked`] where one of its tasks did; the others are stopped and waited for first.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        let shared = &self.shared;
        let stop = stop.child_token();
        let mut senders = JoinSet::new();
        senders.spawn(Restorer::new(Arc::clone(shared)).run(stop.clone()));
        let mut result = Ok(());
        let mut ticks = interval(shared.config.check_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                lines = shared.known.arrivals() => {
                    for line in lines {
                        senders.spawn(Sender::new(Arc::clone(shared), line).run(stop.clone()));
                    }
                }
                now = ticks.tick() => shared.check(now).await,
                Some(ended) = senders.join_next() => {
                    if let Err(panic) = ended {
                        result = Err(Error::Panicked(panic));
                        stop.cancel();
                    }
                }
            }
        }
        while let Some(ended) = senders.join_next().await {
            result = result.and(ended.map_err(Error::Panicked));
        }
        result
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    /// Forgets who was silent for too long and what ended long ago, and counts what is left.
    async fn check(&self, now: Instant) {
        let silence_max = self.config.gateway_silence_max;
        for line in self.known.forget_silent(now, silence_max) {
            tracing::info!(gateway = %line.gateway(), "nothing was heard of a gateway for too long; it is forgotten");
            self.metrics.forgot();
            self.clear(&line, now).await;
        }
        let mut size = Size { topics: self.directory.topics(), ..Size::default() };
        for line in self.known.lines() {
            self.bury(&line, now).await;
            let (subscriptions, waiting) = line.size();
            size.gateways += 1;
            size.subscriptions += subscriptions;
            size.waiting += waiting;
        }
        self.metrics.sampled(size);
    }

    /// Takes everything of a forgotten gateway out of the directory. Nothing is added to it any more.
    async fn clear(&self, line: &Line, now: Instant) {
        loop {
            let topics = line.take_topics(CHUNK);
            if topics.is_empty() {
                break;
            }
            for topic in &topics {
                self.directory.forget(line.life(), topic);
            }
            yield_now().await;
        }
        self.bury(line, now).await;
    }

    /// A word that comes later than a gateway may be silent comes from a life that is over.
    async fn bury(&self, line: &Line, now: Instant) {
        loop {
            let ended = line.take_ended(now, self.config.gateway_silence_max, CHUNK);
            if ended.is_empty() {
                return;
            }
            for one in &ended {
                self.directory.bury(line.life(), one);
            }
            yield_now().await;
        }
    }
}
