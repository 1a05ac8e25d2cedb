//! One process a data directory.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::Error;

/// The lock's file, beside the store and not in it: it is held while the store is closed and opened again.
const FILE: &str = "log.lock";

/// Holds the data directory until it is dropped, or until the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the directory, or says that somebody else has it.
    pub fn take(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file =
            file.map_err(|source| Error::Io { what: "open the lock file", path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: data_dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::Io { what: "lock", path, source }),
        }
    }
}
