//! Secrets of the configuration: as they stand, or in files with one each, for their owner only.

use std::path::Path;

use anyhow::{Context, Result, bail};
use doorbell_upstream::Secret;

use crate::guarded::{self, Guard};

/// More is no secret but a mistake.
const BYTES_MAX: u64 = 4_096;

/// A section's secret: its `secret`, or else what its `secret_file` holds, without the white space around it.
///
/// # Errors
/// The file is not there, others could read it, or it holds no secret; each with the key and the file.
pub fn of(section: &str, secret: &Secret, path: &Path) -> Result<Secret> {
    if secret.is_empty() {
        read(&format!("{section}.secret_file"), path).map(Secret::new)
    } else {
        Ok(secret.clone())
    }
}

fn read(key: &str, path: &Path) -> Result<String> {
    let text = guarded::read_text(path, Guard::Secret, BYTES_MAX, "read the secret");
    let text = text.with_context(|| format!("`{key}`"))?;
    let secret = text.trim();
    if secret.is_empty() {
        let shown = path.display();
        bail!("`{key}`: {shown} is empty; `head -c 32 /dev/urandom | base64 > {shown}` makes a secret");
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_one_file_for_its_owner() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("secret");
        let written = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read("upstream.secret_file", &path).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(written("s3cret\n", 0o600).unwrap(), "s3cret");
        for (text, mode, said) in [
            ("s3cret", 0o644, "chmod 600"),
            (" \n", 0o600, "is empty"),
            (&*"x".repeat(4_097), 0o600, "larger than 4096 bytes"),
        ] {
            let refused = written(text, mode).unwrap_err();
            assert!(refused.contains(said) && refused.starts_with("`upstream.secret_file`: "), "{refused}");
            assert!(!refused.contains("s3cret"));
        }
        fs::remove_file(&path).unwrap();
        assert!(read("upstream.secret_file", &path).is_err());
    }
}
