//! A certificate for a Doorbell of the tool's own, made anew for each and trusted by nobody else.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::trust::Trust;

/// The names under which a Doorbell of the tool's own is met.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// Its two files.
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// One that signs itself, with a key for ECDSA on P-256, which most authorities give today.
    ///
    /// # Errors
    /// The system gives no random bytes, or the files cannot be written.
    pub fn make(folder: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned)).context("a certificate")?;
        let own = Self { chain: folder.join("certificate.pem"), key: folder.join("certificate-key.pem") };
        std::fs::write(&own.chain, made.cert.pem())?;
        // For its owner only, from the beginning.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&own.key)?;
        file.write_all(made.signing_key.serialize_pem().as_bytes())?;
        Ok(own)
    }

    /// With these settings a Doorbell shows it.
    pub fn settings(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        [
            ("DOORBELL_TLS__CERTIFICATE_FILE".to_owned(), text(&self.chain)),
            ("DOORBELL_TLS__KEY_FILE".to_owned(), text(&self.key)),
        ]
    }

    /// Who trusts it and nobody else.
    pub fn trust(&self) -> Trust {
        Trust::File(self.chain.clone())
    }
}
