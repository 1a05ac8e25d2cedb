//! The offline hook: a webhook that hears who was to be rung and had no session. Push services for sleeping phones are
//! attached here.
//!
//! It is for waking people up, never for correctness: what waits here is in memory, bounded, and lost with the process;
//! who comes back asks `topics.changes`.
//!
//! Users gather for a window, each once with merged news (`gather`). What is due goes out in batches, some at a time
//! (`deliver`), without what its user has muted, signed ([`signature`]). While all places are taken, users go on gathering;
//! when there is no more room the oldest go first, counted.
//!
//! Map: `gather` who waits, pure; `deliver` one batch, tried until it is taken or too old; [`signature`] what proves that
//! it is ours; [`config`] and [`metrics`].

pub mod config;
mod deliver;
mod gather;
pub mod metrics;
pub mod signature;

use std::sync::Arc;

use doorbell_protocol::Clock;
use doorbell_rpc::{Missed, Mutes, OfflineHook};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use metrics::Metrics;

use deliver::Courier;
use gather::{Batch, Limits, Waiting, Window};
use metrics::Fate;

use crate::secret::Secret;

/// Why there is no hook.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its configuration is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::InvalidConfig),
    /// Short secrets can be guessed from a signature.
    #[error("the secret of `offline_hook` must be at least {} bytes", signature::SECRET_BYTES_MIN)]
    Secret,
    /// `https` needs them.
    #[error(
        "`offline_hook.url`: no certificates of authorities on this system: install ca-certificates, or set \
         SSL_CERT_FILE"
    )]
    Certificates(#[source] std::io::Error),
}

/// Delivers to the hook.
pub struct Hook {
    gathering: Arc<Gathering>,
    courier: Courier,
    config: Config,
}

/// Where users without a session are reported. Cheap to clone.
#[derive(Clone)]
pub struct HookHandle(Arc<Gathering>);

struct Gathering {
    waiting: Mutex<Waiting>,
    changed: Notify,
    metrics: Metrics,
}

impl Hook {
    /// Puts the parts together; nothing runs yet.
    ///
    /// # Errors
    /// The address is none, the secret is too short, or there are no certificates of authorities.
    pub fn new(config: Config, secret: &Secret, clock: Clock, metrics: Metrics) -> Result<Self, Error> {
        metrics.capacity(config.users_waiting_max.get());
        let courier = Courier::new(&config, secret, clock, metrics.clone())?;
        let waiting = Mutex::new(Waiting::new(Limits::of(&config)));
        let gathering = Arc::new(Gathering { waiting, changed: Notify::new(), metrics });
        Ok(Self { gathering, courier, config })
    }

    /// Leaves out what users have muted, as these say. Without them nothing is left out.
    #[must_use]
    pub fn heeding(mut self, mutes: Arc<dyn Mutes>) -> Self {
        self.courier.mutes = Some(mutes);
        self
    }

    /// What reports to it.
    #[must_use]
    pub fn handle(&self) -> HookHandle {
        HookHandle(Arc::clone(&self.gathering))
    }

    /// Delivers until `stop`; then what waits, and what is reported until `reported`, goes out once more, all within
    /// `stop_timeout`.
    pub async fn run(self, stop: CancellationToken, reported: CancellationToken) {
        let Self { gathering, courier, config } = self;
        let mut run = Run {
            gathering,
            courier: Arc::new(courier),
            places: config.deliveries_max.get(),
            deliveries: JoinSet::new(),
            stop,
        };
        run.deliver().await;
        if timeout(config.stop_timeout, run.finish(&reported)).await.is_err() {
            run.give_up().await;
        }
    }
}

/// A hook that runs.
struct Run {
    gathering: Arc<Gathering>,
    courier: Arc<Courier>,
    /// Deliveries that may be under way.
    places: usize,
    deliveries: JoinSet<()>,
    stop: CancellationToken,
}

impl Run {
    async fn deliver(&mut self) {
        while !self.stop.is_cancelled() {
            let due = self.gathering.waiting.lock().due();
            let has_place = self.deliveries.len() < self.places;
            // All arms are cancel safe: a wake-up is only a reason to look again.
            tokio::select! {
                () = self.stop.cancelled() => return,
                Some(ended) = self.deliveries.join_next() => note(&self.gathering.metrics, ended),
                () = self.gathering.changed.notified() => {}
                () = until(due), if has_place => self.start(Window::Over),
            }
        }
    }

    /// Each batch has one try left: the stop ends its waits.
    async fn finish(&mut self, reported: &CancellationToken) {
        loop {
            // Asked first: what was reported before is seen below.
            let is_all = reported.is_cancelled();
            while self.deliveries.len() < self.places && self.gathering.waits() {
                self.start(Window::Cut);
            }
            if is_all && self.deliveries.is_empty() {
                return;
            }
            // As above.
            tokio::select! {
                Some(ended) = self.deliveries.join_next() => note(&self.gathering.metrics, ended),
                () = self.gathering.changed.notified() => {}
                () = reported.cancelled(), if !is_all => {}
            }
        }
    }

    /// Starts one batch, where somebody is due.
    fn start(&mut self, window: Window) {
        let batch = self.gathering.take(Instant::now(), window);
        if !batch.users.is_empty() {
            self.deliveries.spawn(Arc::clone(&self.courier).deliver(batch, self.stop.clone()));
        }
    }

    /// Those under way are counted as they are dropped.
    async fn give_up(&mut self) {
        let deliveries = self.deliveries.len();
        self.deliveries.shutdown().await;
        let users = self.gathering.waiting.lock().clear();
        self.gathering.metrics.waiting(0);
        self.gathering.metrics.users(Fate::GivenUp, users);
        tracing::warn!(users, deliveries, "the offline hook did not take everything before the end");
    }
}

impl Gathering {
    fn take(&self, now: Instant, window: Window) -> Batch {
        let mut waiting = self.waiting.lock();
        let stale = waiting.drop_stale(now);
        let batch = waiting.take(now, window);
        self.metrics.waiting(waiting.len());
        drop(waiting);
        self.metrics.users(Fate::GivenUp, stale);
        batch
    }

    fn waits(&self) -> bool {
        self.waiting.lock().len() > 0
    }
}

impl OfflineHook for HookHandle {
    fn missed(&self, missed: Vec<Missed>) {
        let now = Instant::now();
        let mut waiting = self.0.waiting.lock();
        let dropped: usize = missed.into_iter().map(|one| waiting.add(one, now)).sum();
        self.0.metrics.waiting(waiting.len());
        drop(waiting);
        self.0.metrics.users(Fate::Dropped, dropped);
        self.0.changed.notify_one();
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn note(metrics: &Metrics, ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err() {
        metrics.panicked();
        tracing::error!("a delivery to the offline hook panicked; its users are not reported");
    }
}
