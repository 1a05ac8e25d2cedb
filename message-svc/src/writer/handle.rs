//! How others talk to a writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::cursor::{Cursor, Identities, Place, Sighting};
use super::memory::Memory;
use super::recent::Recent;
use super::request::{Reply, Request};
use super::{Noting, Tools, Writer};
use crate::conversation::Position;
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::store::{Commit, Note, StoreError};
use crate::{Error, Metrics};

/// Talks to a shard's writer. Cheap to clone.
#[derive(Clone)]
pub struct WriterHandle {
    label: Arc<str>,
    queue: SyncSender<Request>,
    depth: Arc<AtomicUsize>,
    progress: watch::Receiver<Position>,
    recent: Arc<Recent>,
    cursor: Arc<Cursor>,
    committing: Arc<Mutex<Option<Instant>>>,
    metrics: Arc<Metrics>,
}

impl WriterHandle {
    /// Starts a shard's writer on a thread of its own. `ended` is dropped when it ends, in whatever way.
    ///
    /// # Errors
    /// The store cannot be read, or there is no thread to be had.
    pub fn start(shard: Shard, tools: Tools, ended: DropGuard) -> Result<(Self, JoinHandle<()>), Error> {
        let unreadable = |e: StoreError| Error::NotStarted { reason: e.to_string() };
        let view = tools.store.view(shard).map_err(unreadable)?;
        let (position, announced) = (view.position(), view.announced());
        let identities = view.identities().map_err(unreadable)?;
        let forgotten = view.forgotten();
        let trail = view.trail().map_err(unreadable)?;
        let noted = Note { announced, forget: forgotten, identities, trail };
        let cursor = Arc::new(Cursor::new(&noted));
        tools.heads[shard.index()].restart(position);
        drop(view);
        let (sender, queue) = sync_channel(tools.config.write_queue_max.get());
        let (progress, seen) = watch::channel(position);
        let handle = Self {
            label: shard.to_string().into(),
            queue: sender,
            depth: Arc::default(),
            progress: seen,
            recent: Arc::default(),
            cursor,
            committing: Arc::default(),
            metrics: Arc::clone(&tools.metrics),
        };
        // Both gauges are there before anything serves.
        handle.metrics.write_queue(&handle.label, 0);
        handle.metrics.announce_lag(&handle.label, position.0.saturating_sub(announced.0));
        let now = Instant::now();
        let writer = Writer {
            _ended: ended,
            shard,
            queue,
            depth: Arc::clone(&handle.depth),
            progress,
            recent: Arc::clone(&handle.recent),
            cursor: Arc::clone(&handle.cursor),
            committing: Arc::clone(&handle.committing),
            memory: Memory::default(),
            generation: tools.store.generation(),
            noting: Noting { noted, at: now, recovered_at: now, disk_full: false },
            tools,
        };
        let thread = std::thread::Builder::new().name(format!("doorbell-writer-{shard}"));
        let thread = thread.spawn(move || writer.run());
        let thread = thread.map_err(|e| Error::NotStarted { reason: e.to_string() })?;
        Ok((handle, thread))
    }

    /// Puts a request into the queue at once, and then waits for its answer.
    ///
    /// *Ordering*: requests take effect in the order in which the futures are first polled.
    /// *Cancel safety*: a dropped future's request may still take effect.
    ///
    /// # Errors
    /// [`Refusal::Busy`] where the queue is full; [`Refusal::Stopping`] after the end; else what the writer says.
    pub async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request + Send) -> Result<T, Refusal> {
        let answer = self.put(request)?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }

    fn put<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<oneshot::Receiver<Result<T, Refusal>>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let depth = self.depth.fetch_add(1, Ordering::Relaxed) + 1;
        match self.queue.try_send(request(reply)) {
            Ok(()) => {
                self.metrics.write_queue(&self.label, depth);
                Ok(answer)
            }
            Err(refused) => {
                self.depth.fetch_sub(1, Ordering::Relaxed);
                Err(match refused {
                    TrySendError::Full(_) => {
                        self.metrics.write_refused();
                        Refusal::Busy
                    }
                    TrySendError::Disconnected(_) => Refusal::Stopping,
                })
            }
        }
    }

    /// Ends the writer after what waits already. Blocks while the queue is full.
    pub fn close(&self) {
        self.depth.fetch_add(1, Ordering::Relaxed);
        // A writer that is gone already needs no telling.
        drop(self.queue.send(Request::Close));
    }

    /// The last commit that readers see, as it moves.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Position> {
        self.progress.clone()
    }

    /// The commits after a position, at least one, from memory and once; `None` where the store has to be read.
    #[must_use]
    pub fn take_recent(&self, after: Position) -> Option<Vec<Commit>> {
        self.recent.take_after(after)
    }

    /// How long the commit under way has taken so far; zero where there is none.
    #[must_use]
    pub fn committing_for(&self) -> Duration {
        self.committing.lock().map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Up to where everything is announced.
    #[must_use]
    pub fn announced(&self) -> Place {
        self.cursor.place()
    }

    /// Up to here everything had been announced when the cursor went back last.
    #[must_use]
    pub fn announced_before(&self) -> Position {
        self.cursor.before()
    }

    /// Everything up to here is announced; the writer notes it on disk by and by. Answers whether that is news: what
    /// was begun before the cursor went back is none.
    pub fn set_announced(&self, to: Place) -> bool {
        self.cursor.advance(to)
    }

    /// The cursor's turn, as it goes back; none before it is known to which stores anything is announced.
    #[must_use]
    pub fn turns(&self) -> watch::Receiver<Option<u64>> {
        self.cursor.turns()
    }

    /// Takes in what every partition's store is; see [`Cursor::sight`]. The writer notes it on disk by and by, together
    /// with where the cursor stands by that.
    pub fn sight(&self, seen: Identities, asked_at: Instant, window: Duration) -> Sighting {
        self.cursor.sight(seen, asked_at, window)
    }
}
