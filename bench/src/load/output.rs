//! A file that the result goes to.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file that can be written.
pub struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    /// Opens it and writes nothing: an older result is kept until there is one to take its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let opened = File::options().write(true).create(true).truncate(false).open(path);
        let file = opened.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes all of it; answers where.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(mut self, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        let mut write = || {
            // A pipe has no length.
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
            self.file.write_all(bytes)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.path)
    }
}
