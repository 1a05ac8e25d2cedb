//! The file with the installation's keys: made once, whole, for its owner only.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use doorbell_gateway::auth::KeySet;

use crate::guarded::{self, Guard};

/// Thousands of keys; more is no key file.
const BYTES_MAX: u64 = 1 << 20;

/// Reads the keys.
///
/// # Errors
/// The file is not there, others could read it, or it is no key file.
pub fn read(path: &Path) -> Result<KeySet> {
    let text = guarded::read_text(path, Guard::Secret, BYTES_MAX, "make tokens for any user");
    let text = text.context("the key file")?;
    KeySet::parse(&text).with_context(|| format!("the key file {} is not usable", path.display()))
}

/// Reads the keys; where there is no file yet, makes one.
///
/// # Errors
/// As [`read`], or the file cannot be made.
pub fn read_or_make(path: &Path) -> Result<KeySet> {
    if !path.try_exists().unwrap_or(true) {
        make(path).with_context(|| format!("cannot make the key file {}", path.display()))?;
    }
    read(path)
}

/// Writes a fresh key beside its place and links it there: nobody ever sees half a file, and of two processes that
/// start at once the first wins.
fn make(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    let draft = Draft(parent.join(format!(".key-{:016x}", rand::random::<u64>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.0)?;
    file.write_all(KeySet::generate().to_json().as_bytes())?;
    file.sync_all()?;
    match std::fs::hard_link(&draft.0, path) {
        Ok(()) => tracing::info!(path = %path.display(), "made a key file"),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    File::open(parent)?.sync_all()
}

/// A file that is removed however its maker ends.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Where it cannot be removed it is still for its owner only, and holds no key in use or the same one.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn the_first_start_makes_a_key_for_its_owner_only_and_later_ones_read_it() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("deep/key");

        let made = read_or_make(&path).unwrap();

        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(read_or_make(&path).unwrap().to_json(), made.to_json());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn of_two_starts_at_once_one_key_wins() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key");

        make(&path).unwrap();
        let first = read(&path).unwrap().to_json();
        make(&path).unwrap();

        assert_eq!(read(&path).unwrap().to_json(), first);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key");
        make(&path).unwrap();
        for mode in [0o644, 0o604, 0o620] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let said = format!("{:#}", read_or_make(&path).unwrap_err());
            assert!(said.contains("chmod 600"), "{mode:o}: {said}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o440)).unwrap();
        read(&path).unwrap();
    }

    #[test]
    fn a_bad_key_file_is_named_and_never_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();

        let said = format!("{:#}", read_or_make(&path).unwrap_err());

        assert!(said.contains("key") && said.contains("not usable"), "{said}");
        assert_eq!(path.metadata().unwrap().len(), 0);
    }
}
