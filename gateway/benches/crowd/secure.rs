//! Both ends of TLS, for a crowd that speaks it.

use std::io::Read;
use std::net::TcpStream as Plain;
use std::sync::Arc;

use doorbell_gateway::socket::Socket;
use doorbell_gateway::tls::{Certificate, Tls};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

pub struct Secure {
    tls: Tls,
    trusting: Arc<ClientConfig>,
}

/// A client's end, its handshake done.
pub struct SecureClient(StreamOwned<ClientConnection, Plain>);

impl Secure {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("random bytes");
        let params = CertificateParams::new(vec!["localhost".into()]).expect("a good name");
        let certificate = params.self_signed(&key).expect("its own key");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a certificate");
        let shown = Certificate::parse(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = Tls::new(shown.expect("a pair")).expect("random bytes");
        Self { tls, trusting: Arc::new(trusting) }
    }

    /// The handshake of a connected pair. The server's side of it runs on the runtime's worker, so that this thread may
    /// wait for it.
    pub async fn secure(&self, server: TcpStream, client: Plain) -> (Socket, SecureClient) {
        let tls = self.tls.clone();
        let accepting = TaskTracker::new().spawn(async move { tls.accept(server.into()).await });
        let name = ServerName::try_from("localhost").expect("a good name");
        let connection = ClientConnection::new(Arc::clone(&self.trusting), name).expect("a good name");
        let mut stream = StreamOwned::new(connection, client);
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
        (accepting.await.expect("no panic").expect("a handshake"), SecureClient(stream))
    }
}

impl SecureClient {
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.0.read(buffer).expect("a frame")
    }

    /// The bare socket: what is measured is the server's memory, not a client's.
    pub fn into_socket(self) -> Plain {
        self.0.sock
    }
}
