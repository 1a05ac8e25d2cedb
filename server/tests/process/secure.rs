//! A server with TLS, an authority of our own, and clients that trust it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::rig::{Answer, Server, answer_of, scratch};

const PATIENCE: Duration = Duration::from_secs(30);

/// Signs certificates for `127.0.0.1` and `localhost`.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pub pem: String,
}

/// A certificate with its key, in PEM.
pub struct Pair {
    pub chain: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Another name than the certificates that it signs: they would pass for their own issuers.
        params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { issuer: Issuer::new(params, key), der, pem }
    }

    /// One that holds from 2020 to the start of that year.
    pub fn sign_until(&self, year: i32) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { chain: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    /// A client that trusts it.
    pub fn connector(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

/// The two files.
pub struct Files {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Files {
    pub fn within(folder: &Path) -> Self {
        Self { chain: folder.join("chain.pem"), key: folder.join("key.pem") }
    }

    pub fn write(&self, pair: &Pair) {
        put(&self.chain, &pair.chain);
        put(&self.key, &pair.key);
    }

    pub fn env(&self) -> [(&str, &Path); 2] {
        [("DOORBELL_TLS__CERTIFICATE_FILE", &self.chain), ("DOORBELL_TLS__KEY_FILE", &self.key)]
    }
}

/// Whole at once, and for its owner only.
pub fn put(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::set_permissions(&draft, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// A server with TLS, and all that belongs to it.
pub struct SecureServer {
    pub server: Server,
    pub authority: Authority,
    pub files: Files,
    pub data: PathBuf,
    connector: TlsConnector,
    _scratch: TempDir,
}

impl SecureServer {
    pub async fn start(env: &[(&str, &str)]) -> Self {
        let ((scratch, data), authority) = (scratch(), Authority::new());
        let files = Files::within(scratch.path());
        files.write(&authority.sign_until(2100));
        let mut command = crate::rig::doorbell(&["serve", "--listen", "127.0.0.1:0", "--log", "warn"]);
        command.arg("--data-dir").arg(&data).envs(files.env()).envs(env.iter().copied());
        let server = Server::started(command).await;
        let connector = authority.connector(rustls::ALL_VERSIONS, &["http/1.1"]);
        Self { server, authority, files, data, connector, _scratch: scratch }
    }

    /// One handshake.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_by(&self.connector).await.unwrap()
    }

    pub async fn connect_by(&self, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(&self.server.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        timeout(PATIENCE, connector.connect(name, socket)).await.expect("no handshake")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
            self.server.address,
            body.len()
        );
        let mut stream = self.connect().await;
        stream.write_all((head + body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("no answer").unwrap();
        answer_of(&answer)
    }

    /// Waits until the metrics have that line.
    pub async fn counted(&self, line: &str) {
        let looked = async {
            while !self.get("/metrics").await.body.lines().any(|own| own == line) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, looked).await.unwrap_or_else(|_| panic!("never counted: {line}"));
    }
}
