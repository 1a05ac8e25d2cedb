//! A gateway with many sessions, for the benches: the clients are plain sockets of this process.

mod secure;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream as Plain};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorbell_backplane::memory::Memory;
use doorbell_gateway::auth::{AuthError, Authenticator, Verified};
use doorbell_gateway::socket::Socket;
use doorbell_gateway::{Config, Gateway, GatewayParts, Metrics, Upgraded};
use doorbell_protocol::frames::Token;
use doorbell_protocol::{Clock, Encoding, ErrorBody, ErrorCode, GatewayId, Payload, Timestamp, UserId};
use doorbell_rpc::{CallRequest, Messages};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::neighbours::{Ears, Members};
use secure::Secure;

/// Where the wall clock stands.
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// Takes any token, as its user's name.
struct Anybody;

impl Authenticator for Anybody {
    fn verify(&self, token: &Token, now: Timestamp) -> Result<Verified, AuthError> {
        let user = UserId::new(&token.0).map_err(|_| AuthError::Bad)?;
        Ok(Verified { user, expires: now.plus(Duration::from_secs(86_400)), claims: None })
    }
}

struct Nothing;

#[async_trait::async_trait]
impl Messages for Nothing {
    async fn call(&self, _: CallRequest) -> Result<Payload, ErrorBody> {
        Err(ErrorBody::new(ErrorCode::UnknownMethod, "nothing is served here"))
    }
}

/// A gateway whose loops run, and its clients, which have their welcome.
pub struct Crowd {
    pub gateway: Arc<Gateway>,
    pub clients: Vec<Plain>,
    /// Who is in which large audience: read when a session starts.
    #[allow(dead_code, reason = "not every bench has large audiences")]
    pub members: Arc<Members>,
    /// Where clients speak TLS.
    secure: Option<Secure>,
    stop: CancellationToken,
}

/// One worker for the gateway; the caller's thread is the clients'.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// How many files this process may open.
pub fn files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("this is Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the kernel says it");
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

impl Crowd {
    pub fn new(runtime: &Runtime) -> Self {
        let clock: Clock = Arc::new(|| NOW);
        let memory = Arc::new(Memory::new(&doorbell_backplane::Config::default(), Arc::clone(&clock)));
        let members = Arc::<Members>::default();
        let gateway = Gateway::new(GatewayParts {
            id: GatewayId::new("bench").expect("a good name"),
            config: Config {
                sessions_per_user_max: NonZeroUsize::new(1_000_000).expect("not zero"),
                canary_interval: Duration::ZERO,
                ..Config::default()
            },
            registry: Arc::clone(&memory) as _,
            queue: Arc::clone(&memory) as _,
            messages: Arc::new(Nothing),
            audiences: Arc::clone(&members) as _,
            signals: Arc::new(doorbell_rpc::NoSignals),
            presence: Arc::clone(&members) as _,
            channels: Arc::<Ears>::default(),
            versions: memory,
            authenticator: Arc::new(Anybody),
            clock,
            metrics: Metrics::register(&prometheus::Registry::new()).expect("names are free"),
        });
        let stop = CancellationToken::new();
        let _entered = runtime.enter();
        TaskTracker::new().spawn(Arc::clone(&gateway).run(stop.clone()));
        Self { gateway, clients: Vec::new(), members, secure: None, stop }
    }

    /// From now on clients speak TLS.
    #[allow(dead_code, reason = "not every bench speaks TLS")]
    pub fn speak_tls(&mut self) {
        self.secure = Some(Secure::new());
    }

    /// Adds sessions, one after the other: an idle gateway between two.
    pub fn join(&mut self, runtime: &Runtime, users: impl Iterator<Item = String>) {
        runtime.block_on(async {
            for user in users {
                let client = self.connect(&user).await;
                client.set_nonblocking(true).expect("a socket");
                self.clients.push(client);
            }
        });
    }

    async fn connect(&self, user: &str) -> Plain {
        // A client address has some 28,000 ports: each ten thousand have their own.
        let host = Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(self.clients.len() / 10_000).expect("few"));
        let listener = TcpListener::bind(SocketAddr::from((host, 0))).await.expect("loopback");
        let mut client = Plain::connect(listener.local_addr().expect("bound")).expect("loopback");
        let (socket, peer) = listener.accept().await.expect("loopback");
        socket.set_nodelay(true).expect("connected");
        // This thread may wait for a frame: the gateway runs on the worker.
        let mut welcome = [0; 1024];
        let read;
        match &self.secure {
            None => {
                self.start(socket.into(), user, peer);
                read = client.read(&mut welcome).expect("a welcome");
            }
            Some(secure) => {
                let (socket, mut secured) = secure.secure(socket, client).await;
                self.start(socket, user, peer);
                read = secured.read(&mut welcome);
                client = secured.into_socket();
            }
        }
        assert!(welcome[..read].windows(9).any(|window| window == b"\"welcome\""));
        client
    }

    /// Its hello came with the upgrade.
    fn start(&self, socket: Socket, user: &str, peer: SocketAddr) {
        let verified = Anybody.verify(&Token(user.to_owned()), NOW).ok();
        let hello = br#"{"type":"hello"}"#;
        let mut leftover = vec![0x81, 0x80 | u8::try_from(hello.len()).expect("short"), 0, 0, 0, 0];
        leftover.extend_from_slice(hello);
        let leftover = Bytes::from(leftover);
        self.gateway.start(Upgraded { socket, leftover, encoding: Encoding::Json, verified, peer });
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
