//! Runs reads of the store on threads that may block, a bounded number at a time.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::metrics::ReadFor;
use crate::refusal::Refusal;
use crate::store::Store;
use crate::{Config, Metrics};

/// Reads the store. Cheap to clone.
///
/// A read from memory takes some 10 to 100 µs, one from a cold disk milliseconds, and nobody can tell before: so all
/// of them leave the threads that drive sockets.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    read_for: ReadFor,
}

impl Reader {
    /// Reads `store` for calls, `reads_max` at a time.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, config: &Config, metrics: Arc<Metrics>) -> Self {
        let reads_max = usize::try_from(config.reads_max.get()).unwrap_or(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(reads_max.min(Semaphore::MAX_PERMITS)));
        Self { store, permits, metrics, read_for: ReadFor::Call }
    }

    /// The same, within the same bound, counted as the announcer's.
    #[must_use]
    pub fn for_announcing(&self) -> Self {
        Self { read_for: ReadFor::Announce, ..self.clone() }
    }

    /// The same, counted as signals' and within a bound of its own: signals never keep a call waiting, nor calls them.
    #[must_use]
    pub fn for_signals(&self, reads_max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(reads_max)), read_for: ReadFor::Signal, ..self.clone() }
    }

    /// Runs one read.
    ///
    /// *Cancel safety*: a dropped read that has begun runs to its end, unheard.
    ///
    /// # Errors
    /// What the read says; [`Refusal::Panicked`] where it panicked.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        self.metrics.store_read(self.read_for);
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&*store)
        });
        done.await.unwrap_or(Err(Refusal::Panicked))
    }
}
