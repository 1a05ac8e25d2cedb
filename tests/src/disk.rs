//! A small disk, to be filled.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::absent::skip;

/// A file system of its own in memory, gone when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a word about it, where nothing can be mounted, as without root.
    ///
    /// # Errors
    /// The same in CI.
    pub fn mount(at: &Path, megabytes: u32) -> Result<Option<Self>> {
        let size = format!("size={megabytes}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status()?;
        if done.success() {
            return Ok(Some(Self(at.to_owned())));
        }
        skip("mounting a small file system takes root")?;
        Ok(None)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes until it has no room left.
    ///
    /// # Errors
    /// Where a write fails for another reason.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast())?;
        let block = vec![0; 1 << 20];
        loop {
            match file.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).with_context(|| format!("filling {}", self.0.display())),
            }
        }
    }

    /// Takes out again what filled it.
    ///
    /// # Errors
    /// Where it was not filled.
    pub fn empty(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the process on it may still be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
