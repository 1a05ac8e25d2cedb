//! The data directory: there, ours alone, and writable.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

/// Holds the directory for this process; the kernel lets go when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDir {
    _lock: File,
}

impl DataDir {
    /// Makes the directory where it is missing and takes it, or says who has it.
    ///
    /// # Errors
    /// It cannot be made or written, or another process has it.
    pub fn take(path: &Path) -> Result<Self> {
        match Self::try_take(path)? {
            Some(taken) => Ok(taken),
            None => bail!(
                "the data directory {} is in use by {}; stop it, or use another --data-dir",
                path.display(),
                holder(path)
            ),
        }
    }

    /// As [`DataDir::take`]; `None` where another process has it.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn try_take(path: &Path) -> Result<Option<Self>> {
        let shown = path.display();
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot create the data directory {shown}; --data-dir names another"))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .with_context(|| {
                format!("cannot write to the data directory {shown}; change its owner or use --data-dir")
            })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(cause)) => {
                return Err(anyhow!(cause).context(format!("cannot lock {}", lock_path.display())));
            }
        }
        // The number is for the message above only; the lock is the kernel's.
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("cannot write {}", lock_path.display()))?;
        Ok(Some(Self { _lock: lock }))
    }

    /// Holds it until the process ends, whatever is dropped before.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

fn holder(path: &Path) -> String {
    let number =
        std::fs::read_to_string(path.join("lock")).ok().and_then(|text| text.trim().parse::<u32>().ok());
    match number {
        Some(pid) => format!("another doorbell (process {pid})"),
        None => "another doorbell".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_and_taken_once() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("deep/data");

        let first = DataDir::take(&path).unwrap();
        let refused = format!("{:#}", DataDir::take(&path).unwrap_err());
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains("--data-dir"), "{refused}");

        drop(first);
        DataDir::take(&path).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        std::fs::write(&path, "").unwrap();

        let refused = format!("{:#}", DataDir::take(&path).unwrap_err());

        assert!(refused.contains("file") && refused.contains("cannot create"), "{refused}");
    }
}
