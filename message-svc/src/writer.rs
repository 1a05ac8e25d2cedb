//! One thread a shard that decides and commits: the only one that writes there.
//!
//! It takes what is waiting, decides each request on top of the ones before ([`draft`]), commits all of it with one
//! fsync, and then answers all of it. It never waits for more to come: what comes during a commit makes the next one,
//! so that a commit carries one request when there is little to do, and as many as wait when there is much.
//!
//! Order: durable, then published (the store), then told to pulls and to the announcer, then answered. An answer before
//! the commit would break MS-1; telling anybody before the view is published would have them read nothing; an answer
//! before pulls are told would let a pull that comes after it read another view once more.

pub mod cursor;
pub mod draft;
pub mod handle;
pub mod memory;
pub mod recent;
pub mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use doorbell_protocol::Clock;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
use tracing::{error, info, warn};

use self::cursor::Cursor;
use self::draft::Draft;
pub use self::handle::WriterHandle;
use self::memory::Memory;
use self::recent::Recent;
use self::request::{Reply, Request};
use crate::conversation::Position;
use crate::metrics::CommitOutcome;
use crate::pulls::Heads;
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::store::{Note, Store, StoreError};
use crate::throttle::Throttles;
use crate::{Config, Metrics};

/// What all writers share.
#[derive(Clone)]
pub struct Tools {
    /// Where they write.
    pub store: Arc<dyn Store>,
    /// When.
    pub clock: Clock,
    /// Who may.
    pub throttles: Arc<Throttles>,
    /// What they tell pulls, one a shard.
    pub heads: Arc<[Heads]>,
    /// What they count.
    pub metrics: Arc<Metrics>,
    /// How.
    pub config: Arc<Config>,
}

/// A shard's writer. It ends when it is told to close, or when every handle is gone.
pub struct Writer {
    /// Tells the service that this writer has ended, in whatever way; dropped first, so that it is the first to know.
    _ended: DropGuard,
    shard: Shard,
    tools: Tools,
    queue: Receiver<Request>,
    /// How many requests wait.
    depth: Arc<AtomicUsize>,
    /// The last commit that readers see.
    progress: watch::Sender<Position>,
    /// The last commits, for the announcer.
    recent: Arc<Recent>,
    /// Up to where the announcer has come.
    cursor: Arc<Cursor>,
    /// Since when a commit has been under way.
    committing: Arc<Mutex<Option<Instant>>>,
    memory: Memory,
    /// The recovery of the store that `memory` belongs to.
    generation: u64,
    noting: Noting,
}

/// When to note what is announced, and what to forget.
struct Noting {
    noted: Note,
    at: Instant,
    recovered_at: Instant,
    disk_full: bool,
}

/// Gives one request its answer, or the reason why the commit failed.
type Finish = Box<dyn FnOnce(Result<(), Refusal>)>;

/// Whether the writer goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Again,
    Last,
}

impl Writer {
    /// Works until it is told to close. Blocks: it has a thread of its own.
    pub fn run(mut self) {
        let tick = self.tools.config.announce_note_interval;
        let label = self.shard.to_string();
        loop {
            // Whoever puts a write in says how many wait, too: a long commit must not hide them.
            self.tools.metrics.write_queue(&label, self.depth.load(Ordering::Relaxed));
            let turn = match self.queue.recv_timeout(tick) {
                Ok(first) => self.turn(first),
                Err(RecvTimeoutError::Timeout) => {
                    self.catch_up();
                    self.tools.store.refresh(self.shard);
                    Turn::Again
                }
                Err(RecvTimeoutError::Disconnected) => Turn::Last,
            };
            self.recover_if_due();
            self.note_if_due(turn);
            if turn == Turn::Last {
                return;
            }
        }
    }

    /// Decides what waits, commits it, answers it.
    fn turn(&mut self, first: Request) -> Turn {
        self.catch_up();
        self.memory.tidy();
        let view = match self.tools.store.view(self.shard) {
            Ok(view) => view,
            Err(e) => return refuse(first, e, &self.depth),
        };
        let writes_max = self.tools.config.commit_writes_max.get();
        let mut finish = Vec::<Finish>::with_capacity(64);
        let mut turn = Turn::Again;
        let places = (self.shard, self.tools.store.shards());
        let at = (self.tools.clock)();
        let mut draft = Draft::new(&*view, &mut self.memory, &self.tools.throttles, places, at);
        let mut next = Some(first);
        while let Some(request) = next.take() {
            self.depth.fetch_sub(1, Ordering::Relaxed);
            match decide(&mut draft, request) {
                Some(answer) => finish.push(answer),
                None => turn = Turn::Last,
            }
            if turn == Turn::Again && finish.len() < writes_max {
                next = self.queue.try_recv().ok();
            }
        }
        let drafted = draft.finish();
        drop(view);
        for _ in 0..drafted.repeats {
            self.tools.metrics.repeated();
        }
        let outcome = drafted.batch.map_or(Ok(()), |batch| self.commit(batch, finish.len()));
        for answer in finish {
            let committed = match &outcome {
                Ok(()) => Ok(()),
                Err(e) => Err(again(e)),
            };
            answer(committed);
        }
        turn
    }

    fn commit(&mut self, mut batch: crate::store::Batch, writes: usize) -> Result<(), StoreError> {
        batch.pass("message.before-write");
        let began = Instant::now();
        *self.committing.lock() = Some(began);
        let outcome = self.tools.store.commit(self.shard, &batch);
        *self.committing.lock() = None;
        let label = match &outcome {
            Ok(()) => CommitOutcome::Committed,
            Err(StoreError::DiskFull { .. }) => CommitOutcome::DiskFull,
            Err(_) => CommitOutcome::Failed,
        };
        self.tools.metrics.committed(label, writes, began.elapsed());
        match &outcome {
            Ok(()) => {
                batch.pass("message.durable");
                self.tools.metrics.appended(u64::try_from(batch.entries.len()).unwrap_or(u64::MAX));
                self.tools.heads[self.shard.index()].committed(batch.position, &batch.heads);
                self.recent.push(batch.position, std::mem::take(&mut batch.events));
                self.progress.send_replace(batch.position);
                batch.pass("message.before-answer");
                if std::mem::take(&mut self.noting.disk_full) {
                    info!(shard = %self.shard, "the disk has room again, writes go on");
                }
            }
            Err(e) => self.not_committed(e),
        }
        outcome
    }

    /// Logs the first of a row of failures, and forgets what was decided on top of them.
    fn not_committed(&mut self, error: &StoreError) {
        self.memory.clear();
        match error {
            StoreError::DiskFull { .. } if !self.noting.disk_full => {
                self.noting.disk_full = true;
                warn!(shard = %self.shard, %error, "writes are refused until there is room again");
            }
            StoreError::DiskFull { .. } | StoreError::Unsound => {}
            StoreError::Write(cause) => {
                self.tools.metrics.sound(false);
                error!(shard = %self.shard, %cause, "a write failed: the store will be opened again from disk");
            }
            StoreError::Read(_) | StoreError::Damaged { .. } => {
                error!(shard = %self.shard, %error, "not committed")
            }
        }
    }

    /// Opens a failed store again. Of all writers, the first shard's does it.
    fn recover_if_due(&mut self) {
        let store = &self.tools.store;
        let interval = self.tools.config.recover_interval;
        if store.is_sound() || self.shard.index() != 0 || self.noting.recovered_at.elapsed() < interval {
            return;
        }
        match store.recover() {
            Ok(()) => {
                self.tools.metrics.recovered();
                self.tools.metrics.sound(true);
                info!("the store was opened again from disk, writes go on");
            }
            Err(error) => warn!(%error, "the store cannot be opened again yet"),
        }
        self.noting.recovered_at = Instant::now();
    }

    /// Notes what is announced, now and then, and forgets what was announced long enough ago.
    fn note_if_due(&mut self, turn: Turn) {
        let config = &self.tools.config;
        let due = self.noting.at.elapsed() >= config.announce_note_interval || turn == Turn::Last;
        if !due {
            return;
        }
        self.noting.at = Instant::now();
        let note = self.cursor.note(self.noting.at, config.commits_kept_for);
        if note == self.noting.noted {
            return;
        }
        match self.tools.store.note(self.shard, &note) {
            Ok(()) => self.noting.noted = note,
            Err(error) => self.not_committed(&error),
        }
    }

    /// After a recovery, commits whose outcome was unknown may be there: the announcer has to see them.
    fn catch_up(&mut self) {
        if self.generation != self.tools.store.generation()
            && let Ok(view) = self.tools.store.view(self.shard)
        {
            self.memory.clear();
            self.generation = self.tools.store.generation();
            self.tools.heads[self.shard.index()].restart(view.position());
            self.progress.send_replace(view.position());
        }
    }
}

/// Decides one request; `None` for the request to close.
fn decide(draft: &mut Draft<'_>, request: Request) -> Option<Finish> {
    Some(match request {
        Request::Send(request, reply) => later(reply, draft.send(*request)),
        Request::Edit(request, reply) => later(reply, draft.edit(*request)),
        Request::Delete(request, reply) => later(reply, draft.delete(*request)),
        Request::Create(request, reply) => later(reply, draft.create(*request)),
        Request::Pair(request, reply) => later(reply, draft.pair(request)),
        Request::Mark(request, reply) => later(reply, draft.mark(request)),
        Request::Update(request, reply) => later(reply, draft.update(*request)),
        Request::Add(request, reply) => later(reply, draft.add(*request)),
        Request::Remove(request, reply) => later(reply, draft.remove(*request)),
        Request::Status(request, reply) => later(reply, draft.set_status(*request)),
        Request::Raise(users, reply) => later(reply, draft.raise(users)),
        Request::Pass(reply) => Box::new(move |_| drop(reply.send(Ok(())))),
        Request::Close => return None,
    })
}

/// Keeps an answer until the commit. A refusal stands whatever becomes of the commit, unless it rests on it.
fn later<T: 'static>(reply: Reply<T>, outcome: Result<T, Refusal>) -> Finish {
    Box::new(move |committed| {
        let outcome = match (committed, outcome) {
            (Err(failed), Ok(_)) => Err(failed),
            (Err(failed), Err(refusal)) if refusal.rests_on_store() => Err(failed),
            (_, outcome) => outcome,
        };
        drop(reply.send(outcome));
    })
}

/// Answers a request that cannot even be decided.
fn refuse(request: Request, error: StoreError, depth: &AtomicUsize) -> Turn {
    depth.fetch_sub(1, Ordering::Relaxed);
    let refusal = Refusal::Store(error);
    match request {
        Request::Send(_, reply) | Request::Edit(_, reply) | Request::Delete(_, reply) => {
            drop(reply.send(Err(refusal)));
        }
        Request::Create(_, reply) | Request::Pair(_, reply) => drop(reply.send(Err(refusal))),
        Request::Mark(_, reply) => drop(reply.send(Err(refusal))),
        Request::Update(_, reply) => drop(reply.send(Err(refusal))),
        Request::Add(_, reply) | Request::Remove(_, reply) => drop(reply.send(Err(refusal))),
        Request::Status(_, reply) => drop(reply.send(Err(refusal))),
        Request::Raise(_, reply) => drop(reply.send(Err(refusal))),
        Request::Pass(reply) => drop(reply.send(Ok(()))),
        Request::Close => return Turn::Last,
    }
    Turn::Again
}

/// The same error for each request of a commit.
fn again(error: &StoreError) -> Refusal {
    Refusal::Store(match error {
        StoreError::DiskFull { free_bytes, reserve_bytes } => {
            StoreError::DiskFull { free_bytes: *free_bytes, reserve_bytes: *reserve_bytes }
        }
        StoreError::Damaged { table } => StoreError::Damaged { table },
        StoreError::Write(_) | StoreError::Unsound | StoreError::Read(_) => StoreError::Unsound,
    })
}
