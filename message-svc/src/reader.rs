//! Runs reads of the store on threads that may block, a bounded number at a time, and a bounded number in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::conversation::Position;
use crate::metrics::ReadFor;
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::store::Store;
use crate::store::counted::Counted;
use crate::{Config, Metrics};

/// Reads the store. Cheap to clone.
///
/// A read from memory takes some 10 to 100 µs, one from a cold disk milliseconds, and nobody can tell before: so all
/// of them leave the threads that drive sockets.
#[derive(Clone)]
pub struct Reader {
    /// As it is, for the others that read it.
    bare: Arc<dyn Store>,
    /// The same, counted.
    store: Arc<dyn Store>,
    permits: Arc<Semaphore>,
    line: Arc<Line>,
    metrics: Arc<Metrics>,
}

/// Who waits for a permit.
struct Line {
    waiting: AtomicUsize,
    waiting_max: usize,
    /// Of the calls' line alone: the others' is bounded by who may ask.
    metrics: Option<Arc<Metrics>>,
}

impl Line {
    fn new(waiting_max: usize, metrics: Option<Arc<Metrics>>) -> Arc<Self> {
        Arc::new(Self { waiting: AtomicUsize::new(0), waiting_max, metrics })
    }

    /// A place in it, counted; `None` where it is full.
    fn place(&self) -> Option<Place<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(self);
        if before >= self.waiting_max {
            self.metrics.iter().for_each(|metrics| metrics.reads.refused());
            return None;
        }
        self.count(before + 1);
        Some(place)
    }

    fn count(&self, waiting: usize) {
        self.metrics.iter().for_each(|metrics| metrics.reads.waiting(waiting));
    }
}

/// A place in the line, until it is dropped.
struct Place<'a>(&'a Line);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let before = self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.count(before - 1);
    }
}

impl Reader {
    /// Reads `store` for calls, `reads_max` at a time.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, config: &Config, metrics: Arc<Metrics>) -> Self {
        let reads_max = usize::try_from(config.reads_max.get()).unwrap_or(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(reads_max.min(Semaphore::MAX_PERMITS)));
        let line = Line::new(config.reads_waiting_max, Some(Arc::clone(&metrics)));
        metrics.reads.waiting_capacity(config.reads_waiting_max);
        Self::of(store, permits, line, metrics, ReadFor::Call)
    }

    fn of(
        bare: Arc<dyn Store>,
        permits: Arc<Semaphore>,
        line: Arc<Line>,
        metrics: Arc<Metrics>,
        read_for: ReadFor,
    ) -> Self {
        let store = Arc::new(Counted::new(Arc::clone(&bare), Arc::clone(&metrics), read_for));
        Self { bare, store, permits, line, metrics }
    }

    /// Reads the same store beside all calls, `reads_max` at a time, and as many as `waiting_max` in a line of its own:
    /// neither keeps the other waiting, nor takes the other's places. What waits here is not counted as calls.
    #[must_use]
    pub fn beside_calls(&self, read_for: ReadFor, reads_max: usize, waiting_max: usize) -> Self {
        let Self { bare, metrics, .. } = self.clone();
        Self::of(bare, Arc::new(Semaphore::new(reads_max)), Line::new(waiting_max, None), metrics, read_for)
    }

    /// The newest commit of a shard that a read shows; taken from memory.
    ///
    /// # Errors
    /// As [`Store::view`].
    pub fn newest(&self, shard: Shard) -> Result<Position, Refusal> {
        Ok(self.bare.view(shard)?.position())
    }

    /// Runs one read.
    ///
    /// *Cancel safety*: a dropped read that has begun runs to its end, unheard.
    ///
    /// # Errors
    /// What the read says; [`Refusal::ReadsWait`] where too many wait already; [`Refusal::Panicked`] where it
    /// panicked.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = self.permit().await?;
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&*store)
        });
        done.await.unwrap_or(Err(Refusal::Panicked))
    }

    /// Waits for a permit, in a place of the line.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let permits = || Arc::clone(&self.permits);
        if let Ok(permit) = permits().try_acquire_owned() {
            return Ok(permit);
        }
        let _place = self.line.place().ok_or(Refusal::ReadsWait)?;
        Ok(permits().acquire_owned().await.expect("nobody closes it"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::num::NonZeroU32;
    use std::sync::mpsc;

    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;
    use crate::store::disk::DiskStore;

    fn reader(dir: &std::path::Path, reads_waiting_max: usize) -> (Reader, Arc<Metrics>) {
        let reads_max = NonZeroU32::MIN;
        let config =
            Config { reads_max, reads_waiting_max, disk_reserve_bytes: 1 << 20, ..Config::default() };
        let store = Arc::new(DiskStore::open(dir, config.clone()).unwrap());
        let metrics = Arc::new(Metrics::register(&prometheus::Registry::new()).unwrap());
        (Reader::new(store, &config, Arc::clone(&metrics)), metrics)
    }

    async fn settle() {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    /// Begins a read that ends when what is answered is dropped.
    pub(crate) async fn hold(reader: &Reader, reads: &mut JoinSet<Result<(), Refusal>>) -> mpsc::Sender<()> {
        let (began, begun) = oneshot::channel();
        let (let_go, held) = mpsc::channel();
        let reader = reader.clone();
        reads.spawn(async move {
            let hold = move |_: &dyn Store| {
                began.send(()).unwrap();
                assert!(held.recv().is_err(), "nothing is sent");
                Ok(())
            };
            reader.read(hold).await
        });
        begun.await.unwrap();
        let_go
    }

    async fn wait(reader: Reader) -> Result<(), Refusal> {
        reader.read(|_| Ok(())).await
    }

    #[tokio::test]
    async fn beyond_its_bound_the_line_sends_calls_away_and_an_announcer_is_not_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (reader, metrics) = reader(dir.path(), 2);
        let mut reads = JoinSet::new();
        let held = hold(&reader, &mut reads).await;
        reads.spawn(wait(reader.clone()));
        let leaver = reads.spawn(wait(reader.clone()));
        settle().await;

        assert!(matches!(wait(reader.clone()).await, Err(Refusal::ReadsWait)));
        assert_eq!(metrics.reads.line(), (2, 1), "in line, and sent away");
        wait(reader.beside_calls(ReadFor::Announce, 1, 0)).await.expect("an announcer waits for no call");

        leaver.abort();
        settle().await;
        assert_eq!(metrics.reads.line(), (1, 1), "who gave up has left the line");
        drop(held);
        while let Some(end) = reads.join_next().await {
            // Only the one that left has no end of its own.
            assert!(end.is_err() || matches!(end, Ok(Ok(()))), "{end:?}");
        }
        wait(reader).await.unwrap();
        assert_eq!(metrics.reads.line(), (0, 1));
    }

    #[tokio::test]
    async fn what_waits_beside_the_calls_takes_no_call_s_place_and_a_full_line_of_calls_none_of_its() {
        let dir = tempfile::tempdir().unwrap();
        let (reader, metrics) = reader(dir.path(), 1);
        let beside = reader.beside_calls(ReadFor::Signal, 1, 1);
        let (mut calls, mut signals) = (JoinSet::new(), JoinSet::new());
        let call = hold(&reader, &mut calls).await;
        let signal = hold(&beside, &mut signals).await;

        signals.spawn(wait(beside.clone()));
        settle().await;
        assert_eq!(metrics.reads.line(), (0, 0), "it is no call");
        assert!(matches!(wait(beside.clone()).await, Err(Refusal::ReadsWait)));
        assert_eq!(metrics.reads.line(), (0, 0));
        calls.spawn(wait(reader.clone()));
        settle().await;
        assert_eq!(metrics.reads.line(), (1, 0), "the only place was free");

        drop(signal);
        while let Some(end) = signals.join_next().await {
            end.unwrap().expect("the calls' line is full, and not its own");
        }
        drop(call);
        while let Some(end) = calls.join_next().await {
            end.unwrap().unwrap();
        }
    }
}
