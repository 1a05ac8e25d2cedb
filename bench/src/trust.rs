//! Whom the tool trusts as a TLS client, and what a handshake says that does not come about.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use hyper_rustls::ConfigBuilderExt;
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, RootCertStore, SupportedProtocolVersion,
};
use serde::{Deserialize, Serialize};

/// What a Doorbell speaks inside TLS.
const PROTOCOL: &[u8] = b"http/1.1";
/// What sessions are measured in: one version, so that all handshakes are alike.
pub const MEASURED: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Authorities whose certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Those of the system, or of `SSL_CERT_FILE`.
    #[default]
    System,
    /// Those of a file in PEM, and nobody else.
    File(PathBuf),
}

impl Trust {
    /// A client in these versions. It resumes no session: each handshake is a whole one.
    ///
    /// # Errors
    /// There are no such authorities.
    ///
    /// # Panics
    /// Never: rustls' own versions and suites fit together.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> anyhow::Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("the provider has suites for both versions");
        let builder = match self {
            Self::System => builder.with_native_roots().context("the system's certificates")?,
            Self::File(file) => {
                let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
                let why = || format!("no certificates in PEM in {}", file.display());
                let mut roots = RootCertStore::empty();
                for one in CertificateDer::pem_slice_iter(&text) {
                    roots.add(one.with_context(why)?).with_context(why)?;
                }
                ensure!(!roots.is_empty(), why());
                builder.with_root_certificates(roots)
            }
        };
        let mut config = builder.with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The same for sockets and calls that are measured: made once, since all of a run trust the same, and the system's certificates are
    /// many.
    ///
    /// # Errors
    /// As [`Trust::client`].
    pub fn measured(&self) -> anyhow::Result<Arc<ClientConfig>> {
        static LAST: Mutex<Option<(Trust, Arc<ClientConfig>)>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = last.as_ref().filter(|(trust, _)| trust == self) {
            return Ok(Arc::clone(config));
        }
        let mut config = self.client(MEASURED)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let config = Arc::new(config);
        *last = Some((self.clone(), Arc::clone(&config)));
        Ok(config)
    }
}

/// Why there is no TLS, with what to do about it where that is known.
pub fn refused(error: &Error) -> String {
    let told = match error {
        // Another authority by the same name has signed otherwise.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "nobody whom this machine trusts has signed the server's certificate: name its authority with --ca FILE"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for other names: take one of them for --url",
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "the server's certificate does not hold now: it has to be renewed, or this machine's clock set",
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "no TLS is spoken there: take ws:// for --url"
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            "the server does not speak TLS 1.3, in which this tool measures"
        }
        _ => return format!("TLS: {error}"),
    };
    format!("TLS: {told} ({error})")
}

/// The same of a handshake that is read and written somewhere.
pub fn refused_by(error: &std::io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<Error>().map(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_told_from_one_without_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let why = || Trust::File(file.clone()).client(MEASURED).unwrap_err().to_string();
        assert_eq!(why(), format!("cannot read {}", file.display()));
        std::fs::write(&file, "nothing\n").unwrap();
        assert_eq!(why(), format!("no certificates in PEM in {}", file.display()));
    }

    #[test]
    fn what_is_measured_trusts_alike_and_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let trust = ["one", "other"].map(|name| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            let file = folder.path().join(name);
            std::fs::write(&file, made.cert.pem()).unwrap();
            Trust::File(file)
        });

        let [one, again, other] = [&trust[0], &trust[0], &trust[1]].map(|trust| trust.measured().unwrap());

        assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &other));
    }
}
