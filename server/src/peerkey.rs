//! What processes of one installation know each other by: a shared secret, certificates, or nothing, on loopback alone.

use std::path::Path;

use anyhow::{Context, Result};
use doorbell_cluster::Config;
use doorbell_rpc::remote::{PeerKey, PeerPem, PeerTls, Trust};

use crate::guarded::{self, Guard};

/// More is no secret but a mistake.
const KEY_BYTES_MAX: u64 = 4_096;
/// A long chain; more is none.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Reads what the section names.
///
/// # Errors
/// A file cannot be read, others could read a secret, or what it holds is no good; each with its key.
pub fn trust(config: &Config) -> Result<Trust> {
    Ok(Trust { key: key(config)?, tls: tls(config)? })
}

fn key(config: &Config) -> Result<Option<PeerKey>> {
    let (name, text) = if !config.peer_key.is_empty() {
        ("cluster.peer_key", config.peer_key.clone())
    } else if config.peer_key_file.as_os_str().is_empty() {
        return Ok(None);
    } else {
        let name = "cluster.peer_key_file";
        let read = guarded::read_text(
            &config.peer_key_file,
            Guard::Secret,
            KEY_BYTES_MAX,
            "call this installation's processes",
        );
        (name, read.with_context(|| format!("`{name}`"))?)
    };
    let key = PeerKey::new(text);
    key.map(Some).with_context(|| format!("`{name}`; `head -c 32 /dev/urandom | base64` makes a good one"))
}

fn tls(config: &Config) -> Result<Option<PeerTls>> {
    if config.tls_cert_file.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = |key: &str, path: &Path, guard| {
        let text =
            guarded::read_text(path, guard, PEM_BYTES_MAX, "be taken for a process of this installation");
        text.with_context(|| format!("`cluster.{key}`"))
    };
    let authority = read("tls_ca_file", &config.tls_ca_file, Guard::Trusted)?;
    let certificate = read("tls_cert_file", &config.tls_cert_file, Guard::Trusted)?;
    let key = read("tls_key_file", &config.tls_key_file, Guard::Secret)?;
    let pem = PeerPem {
        authority: authority.as_bytes(),
        certificate: certificate.as_bytes(),
        key: key.as_bytes(),
        name: &config.tls_name,
    };
    PeerTls::new(pem)
        .map(Some)
        .context("`cluster.tls_ca_file`, `cluster.tls_cert_file`, `cluster.tls_key_file`")
}
