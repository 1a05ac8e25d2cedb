//! Certificates on both sides of a connection between processes.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::remote::BadCertificate;

/// The content of the files, in PEM.
#[derive(Clone, Copy)]
pub struct PeerPem<'a> {
    /// Who signs the certificates of all processes of this installation, and of nothing else: whoever has a certificate
    /// of it may call.
    pub authority: &'a [u8],
    /// This process's certificate, and what stands between it and the authority.
    pub certificate: &'a [u8],
    /// The certificate's private key.
    pub key: &'a [u8],
    /// The name that each process's certificate carries, whatever its address.
    pub name: &'a str,
}

/// What a process shows to others, and what it asks of them. Cheap to clone; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PeerTls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    name: ServerName<'static>,
}

impl PeerTls {
    /// Reads the certificates.
    ///
    /// # Errors
    /// [`BadCertificate`] says which of them is wrong.
    pub fn new(pem: PeerPem<'_>) -> Result<Self, BadCertificate> {
        let roots = Arc::new(authorities(pem.authority)?);
        let chain = certificates("the certificate", pem.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(pem.key)
            .map_err(|error| unreadable("the certificate's private key", error))?;
        let name = ServerName::try_from(pem.name.to_owned());
        let name = name.map_err(|_| BadCertificate::Name(pem.name.to_owned()))?;

        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let verifier = verifier.build().map_err(unusable)?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(unusable)?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            name,
        })
    }

    pub(crate) const fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    pub(crate) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    pub(crate) const fn name(&self) -> &ServerName<'static> {
        &self.name
    }
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerTls(..)")
    }
}

fn unreadable(what: &'static str, error: impl fmt::Display) -> BadCertificate {
    BadCertificate::Unreadable { what, reason: error.to_string() }
}

fn unusable(error: impl fmt::Display) -> BadCertificate {
    BadCertificate::Unusable(error.to_string())
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| unreadable(what, error))?;
    if read.is_empty() {
        return Err(unreadable(what, "it holds no certificate"));
    }
    Ok(read)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, BadCertificate> {
    const WHAT: &str = "the authority's certificate";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(WHAT, pem)? {
        roots.add(certificate).map_err(|error| unreadable(WHAT, error))?;
    }
    Ok(roots)
}
