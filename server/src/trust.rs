//! The keys that tokens are checked with: the key file of the installation, and public keys from PEM files.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use doorbell_gateway::auth::config::kid_of;
use doorbell_gateway::auth::{KeySet, KeySource, PublicKey, TrustedKeys};

use crate::config::Config;

/// What signs our own tokens, and all that verifies anybody's.
pub struct Keys {
    /// The key file's.
    pub own: Arc<KeySet>,
    /// These and the others.
    pub trusted: Arc<TrustedKeys>,
}

impl Keys {
    /// Reads the public keys that the configuration names.
    ///
    /// # Errors
    /// A file cannot be read, or holds no key that is taken.
    pub fn read(config: &Config, own: KeySet) -> Result<Self> {
        let own = Arc::new(own);
        let trusted = TrustedKeys::new(Arc::clone(&own), public_keys(config)?);
        let trusted = match config.auth.jwks {
            KeySource::Nowhere => trusted,
            KeySource::File(_) | KeySource::Url(_) => trusted.with_source(),
        };
        Ok(Self { own, trusted: Arc::new(trusted) })
    }
}

/// Reads the public keys that the configuration names.
///
/// # Errors
/// As [`Keys::read`].
pub fn public_keys(config: &Config) -> Result<Vec<PublicKey>> {
    config.auth.public_key_files.iter().map(|path| public_key(path)).collect()
}

/// Reads one of them.
///
/// # Errors
/// As [`Keys::read`].
pub fn public_key(path: &Path) -> Result<PublicKey> {
    let shown = path.display();
    let pem = std::fs::read_to_string(path)
        .with_context(|| format!("`auth.public_key_files`: cannot read {shown}"))?;
    let kid = kid_of(path).expect("the configuration was checked");
    PublicKey::from_pem(kid, &pem).with_context(|| format!("`auth.public_key_files`: {shown}"))
}
