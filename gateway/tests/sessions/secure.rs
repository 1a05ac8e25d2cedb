//! Sessions over TLS: a certificate of our own, and clients that trust it.

use std::sync::Arc;

use bytes::Bytes;
use doorbell_gateway::Upgraded;
use doorbell_gateway::socket::Socket;
use doorbell_gateway::tls::{Certificate, Tls};
use doorbell_protocol::Encoding;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::rig::Rig;

pub type SecureClient = Client<TlsStream<TcpStream>>;

/// A gateway's certificate, and who trusts it.
pub struct Secure {
    pub tls: Tls,
    connector: TlsConnector,
}

impl Secure {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let shown = Certificate::parse(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: Tls::new(shown.unwrap()).unwrap(), connector: TlsConnector::from(Arc::new(trusting)) }
    }

    /// Both ends of a socket whose handshake is done.
    pub async fn pair(&self) -> (Socket, TlsStream<TcpStream>) {
        let (server, client) = Rig::pair().await;
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = self.connector.connect(name, client);
        let (accepted, connected) = tokio::join!(self.tls.accept(server.into()), connecting);
        (accepted.unwrap(), connected.unwrap())
    }

    pub async fn connect_in(&self, rig: &Rig, encoding: Encoding) -> SecureClient {
        let (socket, client) = self.pair().await;
        let (leftover, peer) = (Bytes::new(), "127.0.0.1:1".parse().unwrap());
        rig.gateway.start(Upgraded { socket, leftover, encoding, verified: None, peer });
        Client::new(client, encoding).await
    }

    /// A client that has its welcome.
    pub async fn session(&self, rig: &Rig, user: &str) -> SecureClient {
        let mut client = self.connect_in(rig, Encoding::Json).await;
        client.hello(user).await;
        client.welcome().await;
        client
    }
}
