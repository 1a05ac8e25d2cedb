//! How much room the disk has left.

use std::path::{Path, PathBuf};

use super::StoreError;

/// The part of a small disk that is kept in reserve instead of the configured size.
const RESERVE_DIVISOR: u64 = 8;

/// Watches the disk that a store lies on.
#[derive(Debug)]
pub struct Space {
    dir: PathBuf,
    reserve_bytes_max: u64,
}

impl Space {
    /// Watches the disk under `dir`.
    pub fn new(dir: &Path, reserve_bytes_max: u64) -> Self {
        Self { dir: dir.to_owned(), reserve_bytes_max }
    }

    /// Whether there is room for more, when `pending_bytes` are accepted and still to be written into tables.
    ///
    /// A disk that cannot be asked counts as one with room: the write itself will tell.
    pub fn check(&self, pending_bytes: u64) -> Result<(), StoreError> {
        let Ok(disk) = rustix::fs::statvfs(&self.dir) else { return Ok(()) };
        let reserve_bytes = self.reserve_bytes_max.min(disk.f_blocks * disk.f_frsize / RESERVE_DIVISOR);
        let free_bytes = (disk.f_bavail * disk.f_frsize).saturating_sub(pending_bytes);
        if free_bytes < reserve_bytes {
            return Err(StoreError::DiskFull { free_bytes, reserve_bytes });
        }
        Ok(())
    }
}
