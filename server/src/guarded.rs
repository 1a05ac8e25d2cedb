//! Files that give power to whoever can read or write them: the mode is that of the file that is read, and nothing that is
//! no file, or too large for one, is waited for.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

/// What others may not do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Read it, or write it: it is a secret. A group may read, for secrets mounted that way.
    Secret,
    /// Write it: everybody may read what it says.
    Trusted,
    /// Nothing is forbidden.
    Open,
}

impl Guard {
    /// The forbidden bits of the mode, and the command that takes them away.
    const fn rule(self) -> (u32, &'static str) {
        match self {
            Self::Secret => (0o027, "chmod 600"),
            Self::Trusted => (0o022, "chmod go-w"),
            Self::Open => (0, ""),
        }
    }
}

/// Reads a file of at most `bytes_max` bytes whole. `danger` ends "so others could …".
///
/// It blocks for as long as the disk takes: a pipe is refused, not waited for.
///
/// # Errors
/// It cannot be read, is no regular file, is too large, or its mode lets others do what they may not; each names the file.
pub fn read(path: &Path, guard: Guard, bytes_max: u64, danger: &str) -> Result<Vec<u8>> {
    let shown = path.display();
    let cannot = || format!("cannot read {shown}");
    // Without the flag, to open a pipe waits for somebody who writes to it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("flags of open fit its parameter");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).with_context(cannot)?;
    let metadata = file.metadata().with_context(cannot)?;
    if !metadata.is_file() {
        bail!("{shown} is no regular file");
    }
    let (forbidden, command) = guard.rule();
    if metadata.mode() & forbidden != 0 {
        let mode = metadata.mode() & 0o7777;
        bail!("{shown} has mode {mode:04o}, so others could {danger}; {command} {shown}");
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 > bytes_max {
        bail!("{shown} is larger than {bytes_max} bytes");
    }
    Ok(bytes)
}

/// As [`read`], for text.
///
/// # Errors
/// As [`read`], or it is no UTF-8.
pub fn read_text(path: &Path, guard: Guard, bytes_max: u64, danger: &str) -> Result<String> {
    let bytes = read(path, guard, bytes_max, danger)?;
    String::from_utf8(bytes).ok().with_context(|| format!("{} is no UTF-8 text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_read_only_as_its_mode_and_size_allow() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        fs::write(&path, "four").unwrap();
        let with = |mode, guard, bytes_max| {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read_text(&path, guard, bytes_max, "do harm").map_err(|error| format!("{error:#}"))
        };
        for (mode, guard) in
            [(0o600, Guard::Secret), (0o640, Guard::Secret), (0o644, Guard::Trusted), (0o666, Guard::Open)]
        {
            assert_eq!(with(mode, guard, 4), Ok("four".to_owned()), "{mode:o} {guard:?}");
        }
        for (mode, guard, command) in [
            (0o604, Guard::Secret, "chmod 600"),
            (0o620, Guard::Secret, "chmod 600"),
            (0o664, Guard::Trusted, "chmod go-w"),
            (0o646, Guard::Trusted, "chmod go-w"),
        ] {
            let said = with(mode, guard, 4).unwrap_err();
            assert!(said.contains("so others could do harm") && said.contains(command), "{said}");
        }
        assert!(with(0o600, Guard::Open, 3).unwrap_err().contains("larger than 3 bytes"));
        fs::write(&path, [0xff]).unwrap();
        assert!(with(0o600, Guard::Open, 4).unwrap_err().contains("no UTF-8"));
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let scratch = tempfile::tempdir().unwrap();
        let pipe = scratch.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [&pipe, scratch.path()] {
            let said = format!("{:#}", read(path, Guard::Open, 4, "").unwrap_err());
            assert!(said.contains("no regular file"), "{said}");
        }
        assert!(read(&scratch.path().join("absent"), Guard::Open, 4, "").is_err());
    }
}
