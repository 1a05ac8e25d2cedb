//! A gateway with many silent sessions, all of it on the thread that counts.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorbell_backplane::memory::Memory;
use doorbell_gateway::auth::{AuthError, Authenticator, Verified};
use doorbell_gateway::socket::{Socket, Wire};
use doorbell_gateway::tls::{Certificate, Tls};
use doorbell_gateway::{Config, Gateway, GatewayParts, Metrics, Upgraded};
use doorbell_protocol::codec::encode_client;
use doorbell_protocol::frames::{Hello, Token};
use doorbell_protocol::{ClientFrame, Clock, Encoding, GatewayId, Hint, Timestamp, UserId, Version};
use doorbell_rpc::GatewayApi;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::elsewhere::Elsewhere;

/// What a pipe holds at most; it is as large as what went through it at once.
const PIPE_BYTES: usize = 16 * 1024;
/// Longer than a session waits for its `hello`, shorter than a heartbeat: what was noted for its start is swept.
const REST: Duration = Duration::from_secs(15);
/// The gateway's turns from one publish to the next: some of 8 sessions each.
const TURNS_BETWEEN: usize = 200;
/// As long as any welcome here.
const WELCOME_BYTES: usize = 1024;

/// How all clients of a crowd speak.
#[derive(Clone, Copy, Debug)]
pub enum Speech {
    Plain(Encoding),
    /// JSON in TLS.
    Tls,
}

impl Speech {
    fn encoding(self) -> Encoding {
        match self {
            Self::Plain(encoding) => encoding,
            Self::Tls => Encoding::Json,
        }
    }
}

/// Takes any token, as its user's name.
struct Anybody;

impl Authenticator for Anybody {
    fn verify(&self, token: &Token, now: Timestamp) -> Result<Verified, AuthError> {
        let user = UserId::new(&token.0).map_err(|_| AuthError::Bad)?;
        Ok(Verified { user, expires: now.plus(Duration::from_secs(86_400)), claims: None })
    }
}

/// A client's end, before it is stripped to its pipe.
enum Client {
    Plain(DuplexStream),
    Tls(Box<TlsStream<DuplexStream>>),
}

impl Client {
    async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let stream: &mut (dyn AsyncRead + Unpin) = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream,
        };
        stream.read(buffer).await.unwrap()
    }

    fn into_pipe(self) -> DuplexStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.into_inner().0,
        }
    }
}

/// A gateway whose loops run, and its clients.
pub struct Crowd {
    speech: Speech,
    gateway: Arc<Gateway>,
    secure: Secure,
    /// The clients' ends: of TLS only the pipe, for it is the server's memory that is counted.
    clients: Vec<DuplexStream>,
    /// Pipes without a session.
    wires: Vec<Wire>,
    joined: usize,
    /// Of the last one to join.
    welcome_bytes: usize,
}

/// One thread, which counts all that happens on it, and a clock that moves when told.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

impl Crowd {
    pub fn new(speech: Speech, runtime: &Runtime) -> Self {
        Self::among(Elsewhere::default(), speech, runtime)
    }

    /// All of whom follow a group.
    pub fn following(group: Hint, speech: Speech, runtime: &Runtime) -> Self {
        Self::among(Elsewhere { group: Some(group) }, speech, runtime)
    }

    fn among(elsewhere: Elsewhere, speech: Speech, runtime: &Runtime) -> Self {
        let clock: Clock = Arc::new(|| Timestamp::from_millis(1_000_000));
        let memory = Arc::new(Memory::new(&doorbell_backplane::Config::default(), Arc::clone(&clock)));
        let elsewhere = Arc::new(elsewhere);
        let _entered = runtime.enter();
        let gateway = Gateway::new(GatewayParts {
            id: GatewayId::new("gw-1").unwrap(),
            config: Config {
                sessions_per_user_max: NonZeroUsize::MIN,
                canary_interval: Duration::ZERO,
                ..Config::default()
            },
            registry: Arc::clone(&elsewhere) as _,
            queue: Arc::clone(&memory) as _,
            messages: Arc::clone(&elsewhere) as _,
            audiences: Arc::clone(&elsewhere) as _,
            signals: Arc::new(doorbell_rpc::NoSignals),
            presence: Arc::clone(&elsewhere) as _,
            channels: elsewhere,
            versions: memory,
            authenticator: Arc::new(Anybody),
            clock,
            metrics: Metrics::register(&prometheus::Registry::new()).unwrap(),
        });
        TaskTracker::new().spawn(Arc::clone(&gateway).run(CancellationToken::new()));
        // With room for all, so that they are no part of what is counted.
        let (clients, wires) = (Vec::with_capacity(30_000), Vec::with_capacity(30_000));
        let secure = Secure::new();
        Self { speech, gateway, secure, clients, wires, joined: 0, welcome_bytes: 0 }
    }

    /// Adds sessions, one after the other, each of a user of its own, and lets them rest.
    pub async fn join(&mut self, sessions: usize) {
        for _ in 0..sessions {
            self.joined += 1;
            let user = format!("user-{:015}", self.joined);
            let (socket, mut client) = self.connect().await;
            self.start(socket, &user);
            let mut welcome = [0; WELCOME_BYTES];
            self.welcome_bytes = client.read(&mut welcome).await;
            let said = &welcome[..self.welcome_bytes];
            assert!(said.windows(user.len()).any(|window| window == user.as_bytes()), "no welcome");
            self.clients.push(client.into_pipe());
        }
        rest().await;
        assert_eq!(self.gateway.sockets(), self.joined, "all are there");
    }

    /// Adds what carries sessions and no session: the same connections, through which the same went.
    pub async fn connect_only(&mut self, connections: usize) {
        for _ in 0..connections {
            let (mut socket, mut client) = self.connect().await;
            socket.write_all(&[0; WELCOME_BYTES][..self.welcome_bytes]).await.unwrap();
            client.read(&mut [0; WELCOME_BYTES]).await;
            self.clients.push(client.into_pipe());
            self.wires.push(match socket {
                Socket::Plain(wire) => wire,
                Socket::Tls(secured) => secured.into_wire(),
            });
        }
        rest().await;
    }

    /// Waits for longer than `fanout_interval`: the next publish begins a fan-out at once.
    pub async fn pause(&self) {
        tokio::time::advance(Duration::from_secs(1)).await;
        // Who is due has its turn: the sweep, and those whom it pings.
        for _ in 0..TURNS_BETWEEN {
            tokio::task::yield_now().await;
        }
    }

    /// Raises a group's version that many times while the gateway has its turns in between, and waits until everybody has heard of something.
    pub async fn publish(&mut self, group: &Hint, times: u64) {
        for time in 0..times {
            let version = Version::new(group.version.get() + time).unwrap();
            self.gateway.publish(vec![Hint { version, ..group.clone() }]).await.unwrap();
            for _ in 0..TURNS_BETWEEN {
                tokio::task::yield_now().await;
            }
        }
        for client in &mut self.clients {
            assert!(client.read(&mut [0; WELCOME_BYTES]).await.unwrap() > 0);
        }
    }

    async fn connect(&self) -> (Socket, Client) {
        let (server, client) = duplex(PIPE_BYTES);
        match self.speech {
            Speech::Plain(_) => (server.into(), Client::Plain(client)),
            Speech::Tls => self.secure.connect(server, client).await,
        }
    }

    /// Its hello came with the upgrade.
    fn start(&self, socket: Socket, user: &str) {
        let encoding = self.speech.encoding();
        let hello = Hello { token: Some(Token(user.to_owned())), ..Hello::default() };
        let mut frame = Vec::new();
        encode_client(encoding, &ClientFrame::Hello(hello), &mut frame);
        let opcode = match encoding {
            Encoding::Json => 0x81,
            Encoding::MsgPack => 0x82,
        };
        let mut leftover = vec![opcode, 0x80 | u8::try_from(frame.len()).unwrap(), 0, 0, 0, 0];
        leftover.extend_from_slice(&frame);
        let (leftover, peer) = (Bytes::from(leftover), "127.0.0.1:1".parse().unwrap());
        self.gateway.start(Upgraded { socket, leftover, encoding, verified: None, peer });
    }
}

async fn rest() {
    for _ in 0..REST.as_secs() {
        tokio::time::advance(Duration::from_secs(1)).await;
        // The sweep has its turn.
        tokio::task::yield_now().await;
    }
}

/// Both ends' TLS.
struct Secure {
    tls: Tls,
    connector: TlsConnector,
}

impl Secure {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let shown = Certificate::parse(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A client that keeps tickets would be counted for them.
        trusting.resumption = Resumption::disabled();
        Self { tls: Tls::new(shown.unwrap()).unwrap(), connector: TlsConnector::from(Arc::new(trusting)) }
    }

    async fn connect(&self, server: DuplexStream, client: DuplexStream) -> (Socket, Client) {
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = self.connector.connect(name, client);
        let (accepted, connected) = tokio::join!(self.tls.accept(server.into()), connecting);
        (accepted.unwrap(), Client::Tls(Box::new(connected.unwrap())))
    }
}
