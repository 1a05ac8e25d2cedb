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
use std::sync::atomic::{AtomicBool, Ordering};

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
    gathering: Closing,
    courier: Courier,
    config: Config,
}

/// Where users without a session are reported. Cheap to clone.
#[derive(Clone)]
pub struct HookHandle(Arc<Gathering>);

/// Closes it at the end of the run, however that comes.
struct Closing(Arc<Gathering>);

struct Gathering {
    waiting: Mutex<Waiting>,
    /// Nobody delivers any more. Written and read while `waiting` is locked.
    closed: AtomicBool,
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
        let gathering =
            Arc::new(Gathering { waiting, closed: AtomicBool::new(false), changed: Notify::new(), metrics });
        Ok(Self { gathering: Closing(gathering), courier, config })
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
        HookHandle(Arc::clone(&self.gathering.0))
    }

    /// Delivers until `stop`; then what waits, and what is reported until `reported`, goes out once more. It ends within
    /// `stop_timeout` after `reported`. What it could not deliver, and what is reported later, is counted as given up, also
    /// where it is dropped.
    ///
    /// *Cancel safety*: who is dropped with it is counted as given up.
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
        run.take_last(&reported).await;
        if timeout(config.stop_timeout, run.finish()).await.is_err() {
            run.give_up().await;
        }
    }
}

/// A hook that runs.
struct Run {
    gathering: Closing,
    courier: Arc<Courier>,
    /// Deliveries that may be under way.
    places: usize,
    deliveries: JoinSet<()>,
    stop: CancellationToken,
}

impl Run {
    async fn deliver(&mut self) {
        while !self.stop.is_cancelled() {
            let due = self.gathering.0.waiting.lock().due();
            let has_place = self.deliveries.len() < self.places;
            // All arms are cancel safe: a wake-up is only a reason to look again.
            tokio::select! {
                () = self.stop.cancelled() => return,
                Some(ended) = self.deliveries.join_next() => note(&self.gathering.0.metrics, ended),
                () = self.gathering.0.changed.notified() => {}
                () = until(due), if has_place => self.start(Window::Over),
            }
        }
    }

    /// Delivers, without windows, until nobody reports any more. Each batch has one try left: the stop ends its waits.
    async fn take_last(&mut self, reported: &CancellationToken) {
        while !reported.is_cancelled() {
            self.start_all();
            // As above.
            tokio::select! {
                () = reported.cancelled() => return,
                Some(ended) = self.deliveries.join_next() => note(&self.gathering.0.metrics, ended),
                () = self.gathering.0.changed.notified() => {}
            }
        }
    }

    /// Delivers what is left.
    async fn finish(&mut self) {
        self.start_all();
        while let Some(ended) = self.deliveries.join_next().await {
            note(&self.gathering.0.metrics, ended);
            self.start_all();
        }
    }

    /// Starts as many batches as there are places and users for, whatever their windows.
    fn start_all(&mut self) {
        while self.deliveries.len() < self.places && self.gathering.0.waits() {
            self.start(Window::Cut);
        }
    }

    /// Starts one batch, where somebody is due.
    fn start(&mut self, window: Window) {
        let batch = self.gathering.0.take(Instant::now(), window);
        if !batch.users.is_empty() {
            self.deliveries.spawn(Arc::clone(&self.courier).deliver(batch, self.stop.clone()));
        }
    }

    /// Those under way are counted as they are dropped.
    async fn give_up(&mut self) {
        let deliveries = self.deliveries.len();
        self.deliveries.shutdown().await;
        let users = self.gathering.0.close();
        tracing::warn!(users, deliveries, "the offline hook did not take everything before the end");
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
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

    /// Gives up who waits, and from now on whoever is reported; answers how many waited.
    fn close(&self) -> usize {
        let mut waiting = self.waiting.lock();
        self.closed.store(true, Ordering::Relaxed);
        let users = waiting.clear();
        self.metrics.waiting(0);
        drop(waiting);
        self.metrics.users(Fate::GivenUp, users);
        users
    }
}

impl OfflineHook for HookHandle {
    fn missed(&self, missed: Vec<Missed>) {
        let now = Instant::now();
        let mut waiting = self.0.waiting.lock();
        let dropped: usize = missed.into_iter().map(|one| waiting.add(one, now)).sum();
        if self.0.closed.load(Ordering::Relaxed) {
            // After the end: nobody would come for them.
            let given_up = waiting.clear();
            drop(waiting);
            self.0.metrics.users(Fate::Dropped, dropped);
            self.0.metrics.users(Fate::GivenUp, given_up);
            return;
        }
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
