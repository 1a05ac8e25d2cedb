//! Opens the database on disk: refuses what is not ours, finishes what a crash left half-made, checks who it is.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use fjall::{Database, PersistMode};

use super::records::{Identity, Record};
use super::tables::Tables;
use super::{StoreId, journals};
use crate::shard::Shards;
use crate::{Config, Error};

/// The format of the store as a whole, keys included: it changes with them, and no other one is read.
const FORMAT: u32 = 5;
/// The one row of `store`.
const IDENTITY: &str = "identity";
/// What marks a database that was made to the end, and what is there before it.
const MADE: &str = "version";
const UNMADE: [&str; 3] = ["lock", "keyspaces", "0.jnl"];

/// Opens the store in `dir`, or makes it.
pub fn open(dir: &Path, config: &Config) -> Result<(Tables, StoreId, Shards), Error> {
    clear_unmade(dir)?;
    if journals::prepare(dir)? == 0 && dir.join(MADE).exists() {
        let reason = "it was made to the end, and now its journal is gone".to_owned();
        return Err(Error::Unreadable { path: dir.to_owned(), reason });
    }
    let opened = Database::builder(dir)
        .cache_size(config.cache_bytes)
        .max_journaling_size(config.journal_bytes_max)
        .open()
        .and_then(|db| Tables::of(db, config.memtable_bytes));
    let tables = opened.map_err(|e| refusal(dir, e))?;
    let (id, shards) = identify(dir, &tables, config.shards)?;
    Ok((tables, id, shards))
}

/// Removes what a crash during the very first start left: nothing was ever accepted then, and the database refuses
/// to be made where its files already are.
fn clear_unmade(dir: &Path) -> Result<(), Error> {
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { what, path, source }
    };
    std::fs::create_dir_all(dir).map_err(io("create", dir))?;
    if dir.join(MADE).exists() {
        return Ok(());
    }
    let mut left = Vec::<PathBuf>::new();
    for file in std::fs::read_dir(dir).map_err(io("list", dir))? {
        let file = file.map_err(io("list", dir))?;
        if !UNMADE.iter().any(|name| file.file_name() == *name) {
            let reason = "it holds other files and no store".to_owned();
            return Err(Error::Unreadable { path: dir.to_owned(), reason });
        }
        left.push(file.path());
    }
    for path in left {
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(io("remove", &path))?;
    }
    Ok(())
}

/// Reads who the store is, or writes it into a new one.
fn identify(dir: &Path, tables: &Tables, configured: NonZeroU16) -> Result<(StoreId, Shards), Error> {
    let path = || dir.to_owned();
    let found = tables.store.get(IDENTITY).map_err(|e| refusal(dir, e))?;
    let identity = match found {
        Some(bytes) => Identity::read(&bytes).ok_or_else(|| Error::Unreadable {
            path: path(),
            reason: "its identity is damaged".to_owned(),
        })?,
        None => {
            let identity = Identity { format: FORMAT, id: rand::random(), shards: configured.get() };
            let mut rows = tables.db.batch().durability(Some(PersistMode::SyncAll));
            rows.insert(&tables.store, IDENTITY, identity.write());
            rows.commit().map_err(|e| refusal(dir, e))?;
            identity
        }
    };
    if identity.format != FORMAT {
        return Err(Error::Format { path: path(), stored: identity.format, known: FORMAT });
    }
    match NonZeroU16::new(identity.shards) {
        Some(stored) if stored == configured => Ok((StoreId(identity.id), Shards::new(stored))),
        Some(stored) => Err(Error::Shards { path: path(), stored, configured }),
        None => Err(Error::Unreadable { path: path(), reason: "its identity names no shards".to_owned() }),
    }
}

fn refusal(dir: &Path, error: fjall::Error) -> Error {
    let path = dir.to_owned();
    match error {
        fjall::Error::Locked => Error::Locked { path },
        fjall::Error::Io(source) => Error::Io { what: "open the store in", path, source },
        other => Error::Unreadable { path, reason: other.to_string() },
    }
}
