//! A file that the result goes to.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file that can be written. One that was made for it is gone again where nothing is written.
pub struct Output {
    path: PathBuf,
    file: File,
    /// Whether it was made and holds nothing that anybody wants.
    is_void: bool,
}

impl Output {
    /// Opens it and writes nothing: an older result is kept until there is one to take its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let made = File::options().write(true).create_new(true).open(path);
        let is_void = made.is_ok();
        // What is there, such as a link to nowhere, may have to be made all the same.
        let opened = made.or_else(|_| File::options().write(true).create(true).truncate(false).open(path));
        let file = opened.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, is_void })
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
        self.is_void = false;
        Ok(self.path.clone())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_void {
            // Who took it away, or the folder, has done so already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_made_is_gone_where_nothing_is_written_and_an_older_one_stays_as_it_was() {
        let scratch = tempfile::tempdir().unwrap();
        let [new, old] = ["new", "old"].map(|name| scratch.path().join(name));
        fs::write(&old, "an older result").unwrap();

        for path in [&new, &old] {
            let output = Output::open(path).unwrap();
            assert!(path.exists());
            drop(output);
        }

        assert!(!new.exists());
        assert_eq!(fs::read_to_string(&old).unwrap(), "an older result");
        for path in [&new, &old] {
            Output::open(path).unwrap().write(b"a result").unwrap();
            assert_eq!(fs::read_to_string(path).unwrap(), "a result");
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_with_its_name() {
        let full = Output::open(Path::new("/dev/full")).unwrap().write(b"a result").unwrap_err().to_string();

        assert_eq!(full, "cannot write /dev/full");
        assert!(Path::new("/dev/full").exists());
    }
}
