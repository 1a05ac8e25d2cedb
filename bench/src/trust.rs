//! Whom the tool trusts as a TLS client, and what a handshake says that does not come about.

use std::path::PathBuf;
use std::sync::Arc;

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
                let why = || format!("no certificates in PEM in {}", file.display());
                let all = CertificateDer::pem_file_iter(file).with_context(why)?;
                let mut roots = RootCertStore::empty();
                for one in all {
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

    /// The same for sockets and calls that are measured.
    ///
    /// # Errors
    /// As [`Trust::client`].
    pub fn measured(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let mut config = self.client(MEASURED)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
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
