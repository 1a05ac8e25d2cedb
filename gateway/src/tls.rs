//! TLS on the listener: the certificate, which may change while sockets are open, and rustls' settings.
//!
//! TLS 1.2 and 1.3 with rustls' own choices, aws-lc-rs underneath, no early data: a replayed `hello` would be a second
//! session. A client that comes back shows a ticket, which spares both a signature: nothing is kept for it here.
//! `server` reads the files; what is here takes their text.
//!
//! Map: [`certificate`] a certificate chain with its key, checked.

pub mod certificate;

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::socket::{AcceptError, Secured, Socket, Wire};

pub use certificate::{Certificate, InvalidCertificate, Standing};

/// What is spoken here; a client that offers HTTP/2 alone is refused in the handshake.
const PROTOCOL: &[u8] = b"http/1.1";
/// A client keeps one socket, and needs one ticket to come back.
const TICKETS: usize = 1;
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// The listener's TLS. Cheap to clone: all clones show the same certificate.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

/// The certificate that handshakes show now.
struct Shown(RwLock<Certificate>);

impl Tls {
    /// Shows this certificate.
    ///
    /// # Errors
    /// The system gives no random bytes.
    ///
    /// # Panics
    /// Never: rustls' own versions and suites fit together.
    pub fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        let shown = Arc::new(Shown(RwLock::new(certificate)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = TICKETS;
        Ok(Self { config: Arc::new(config), shown })
    }

    /// Shows another certificate from the next handshake on. Open sockets go on as they are.
    pub fn replace(&self, certificate: Certificate) {
        *self.shown.0.write() = certificate;
    }

    /// The certificate that handshakes show now.
    #[must_use]
    pub fn shown(&self) -> Certificate {
        self.shown.0.read().clone()
    }

    /// What handshakes go by.
    #[cfg(test)]
    pub(crate) const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Does a handshake, for which the client may take any time.
    ///
    /// # Errors
    /// [`AcceptError`]; the wire is closed then.
    pub async fn accept(&self, wire: Wire) -> Result<Socket, AcceptError> {
        Ok(Socket::Tls(Secured::accept(Arc::clone(&self.config), wire).await?))
    }
}

impl ResolvesServerCert for Shown {
    /// One certificate for every name: who needs several has a proxy.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().key())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.shown).finish()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&*self.0.read()).finish()
    }
}
