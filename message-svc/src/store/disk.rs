//! The embedded store: fjall, one journal, one fsync a commit.
//!
//! What fjall 3.1 does, as read in its source, and what is made of it here:
//! - A batch is written to the journal and synced before it is applied to the memtables, under one lock: nothing
//!   unsynced is ever visible. A snapshot may still show half of another shard's batch; see [`DiskView`].
//! - Any failed write or fsync poisons the database for good, and so does a background worker that fails to flush or
//!   compact, for example on a full disk. Reads go on. This store then closes it and opens it again from disk
//!   ([`Store::recover`]); the fsync is never tried again.
//! - When it is opened, it cuts a journal off at the first byte that it cannot read. So journals are looked at before
//!   ([`super::journals`]).
//! - It writes out what it accepted whenever it likes, so room for that is kept free ([`Space`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::lock::Lock;
use super::open::open;
use super::records::ShardState;
use super::space::Space;
use super::tables::{Tables, close};
use super::view::DiskView;
use super::{Batch, Note, Store, StoreError, StoreId, View};
use crate::conversation::Position;
use crate::shard::{Shard, Shards};
use crate::{Config, Error};

/// The store's directory within the data directory.
const DIR: &str = "log";
/// Looks, a millisecond apart, for the last reader to finish before a failed store is opened again.
const CLOSE_TRIES: u32 = 2_000;

/// The embedded store.
pub struct DiskStore {
    dir: PathBuf,
    config: Config,
    id: StoreId,
    shards: Shards,
    space: Space,
    /// `None` while it is being opened again, and after an attempt to do so failed.
    tables: RwLock<Option<Arc<Tables>>>,
    /// The published view of each shard; `None` as above.
    views: Vec<RwLock<Option<Arc<DiskView>>>>,
    sound: AtomicBool,
    generation: AtomicU64,
    recovering: Mutex<()>,
    _lock: Lock,
}

impl DiskStore {
    /// Opens the store in `data_dir`, or makes it, and holds the directory until it is dropped.
    ///
    /// # Errors
    /// See [`Error`]: each says what to do.
    pub fn open(data_dir: &Path, config: Config) -> Result<Self, Error> {
        let io = |source| Error::Io { what: "create", path: data_dir.to_owned(), source };
        std::fs::create_dir_all(data_dir).map_err(io)?;
        let lock = Lock::take(data_dir)?;
        let dir = data_dir.join(DIR);
        let (tables, id, shards) = open(&dir, &config)?;
        let store = Self {
            space: Space::new(&dir, config.disk_reserve_bytes),
            dir,
            config,
            id,
            shards,
            tables: RwLock::new(None),
            views: shards.all().map(|_| RwLock::new(None)).collect(),
            sound: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            recovering: Mutex::new(()),
            _lock: lock,
        };
        store.install(Arc::new(tables))?;
        Ok(store)
    }

    /// Makes freshly opened tables the ones that are read and written.
    fn install(&self, tables: Arc<Tables>) -> Result<(), Error> {
        for shard in self.shards.all() {
            let view = DiskView::now(shard, Arc::clone(&tables)).map_err(|e| self.unreadable(&e))?;
            *self.views[shard.index()].write() = Some(Arc::new(view));
        }
        *self.tables.write() = Some(tables);
        self.generation.fetch_add(1, Ordering::Release);
        self.sound.store(true, Ordering::Release);
        Ok(())
    }

    fn unreadable(&self, error: &StoreError) -> Error {
        Error::Unreadable { path: self.dir.clone(), reason: error.to_string() }
    }

    /// The tables, where they can be written.
    fn writable(&self) -> Result<Arc<Tables>, StoreError> {
        if !self.is_sound() {
            return Err(StoreError::Unsound);
        }
        self.tables.read().clone().ok_or(StoreError::Unsound)
    }

    fn published(&self, shard: Shard) -> Result<Arc<DiskView>, StoreError> {
        self.views[shard.index()].read().clone().ok_or(StoreError::Unsound)
    }

    /// A recovery that has begun took the views away and makes new ones: nothing is published into it.
    fn publish(&self, shard: Shard, state: ShardState, tables: &Arc<Tables>) {
        let snapshot = tables.db.snapshot();
        let view = DiskView { shard, state, snapshot, weeks: tables.weeks(), tables: Arc::clone(tables) };
        let view = Some(Arc::new(view));
        let mut published = self.views[shard.index()].write();
        if published.is_some() {
            *published = view;
        }
    }

    fn failed(&self, error: fjall::Error) -> StoreError {
        self.sound.store(false, Ordering::Release);
        StoreError::Write(error)
    }
}

impl Store for DiskStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn shards(&self) -> Shards {
        self.shards
    }

    fn view(&self, shard: Shard) -> Result<Arc<dyn View>, StoreError> {
        Ok(self.published(shard)?)
    }

    fn commit(&self, shard: Shard, batch: &Batch) -> Result<(), StoreError> {
        let tables = self.writable()?;
        self.space.check(tables.pending_bytes())?;
        let state = self.published(shard)?.state;
        debug_assert_eq!(Position(state.position).next(), batch.position, "one writer, dense positions");
        let state = ShardState { position: batch.position.0, ..state };
        tables.commit(shard, state, batch).map_err(|e| self.failed(e))?;
        self.publish(shard, state, &tables);
        Ok(())
    }

    fn note(&self, shard: Shard, note: &Note) -> Result<(), StoreError> {
        let tables = self.writable()?;
        self.space.check(tables.pending_bytes())?;
        let state = self.published(shard)?.state;
        let state = tables.note(shard, state, note).map_err(|e| self.failed(e))?;
        self.publish(shard, state, &tables);
        Ok(())
    }

    fn refresh(&self, shard: Shard) {
        if let (Ok(view), Ok(tables)) = (self.published(shard), self.writable()) {
            self.publish(shard, view.state, &tables);
        }
    }

    fn recover(&self) -> Result<(), Error> {
        let _one_at_a_time = self.recovering.lock();
        if self.is_sound() {
            return Ok(());
        }
        let tables = self.tables.write().take();
        for view in &self.views {
            *view.write() = None;
        }
        if let Some(tables) = tables
            && let Err(still_read) = close(tables, CLOSE_TRIES)
        {
            *self.tables.write() = Some(still_read);
            let reason = "it is still being read, and cannot be closed".to_owned();
            return Err(Error::Unreadable { path: self.dir.clone(), reason });
        }
        let (tables, id, _) = open(&self.dir, &self.config)?;
        if id != self.id {
            let reason = "another store has taken its place".to_owned();
            return Err(Error::Unreadable { path: self.dir.clone(), reason });
        }
        self.install(Arc::new(tables))
    }

    fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Acquire)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
