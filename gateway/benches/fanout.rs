//! One hint to 1, 1,000, 5,000 and 10,000 sessions of one user; and, before it, what an idle session costs.
//!
//! `cargo bench -p doorbell-gateway --bench fanout`. The clients are plain sockets in this process, drained by a thread;
//! a loopback write runs half of the client's receive path, so the figures are an upper bound of the gateway's own cost.
//! 10,000 sessions need 20,000 files: the limit is raised by `ulimit -n 65536`, or that size is left out, saying so.

use std::hint::black_box;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream as Plain};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use doorbell_backplane::Partitions;
use doorbell_backplane::memory::Memory;
use doorbell_gateway::auth::{AuthError, Authenticator, Verified};
use doorbell_gateway::{Config, Gateway, GatewayParts, Metrics, Upgraded};
use doorbell_protocol::frames::Token;
use doorbell_protocol::{
    Clock, DirtyMap, Encoding, ErrorBody, ErrorCode, GatewayId, Hint, Payload, Timestamp, TopicId, UserId,
    Version,
};
use doorbell_rpc::{CallRequest, DeliverRequest, GatewayApi, Messages};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SIZES: [usize; 4] = [1, 1_000, 5_000, 10_000];

struct Anybody;

impl Authenticator for Anybody {
    fn verify(&self, _: &Token, now: Timestamp) -> Result<Verified, AuthError> {
        Ok(Verified { user: ada(), expires: now.plus(Duration::from_secs(86_400)) })
    }
}

struct Nothing;

#[async_trait::async_trait]
impl Messages for Nothing {
    async fn call(&self, _: CallRequest) -> Result<Payload, ErrorBody> {
        Err(ErrorBody::new(ErrorCode::UnknownMethod, "nothing is served here"))
    }
}

fn ada() -> UserId {
    UserId::new("ada").expect("a good name")
}

/// A gateway whose loops run, with so many sessions of one user.
struct Crowd {
    gateway: Arc<Gateway>,
    clients: Vec<Plain>,
    stop: CancellationToken,
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel says it");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).expect("a number") * 1024
}

fn files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("this is Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the kernel says it");
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

impl Crowd {
    fn new(runtime: &Runtime, sessions: usize) -> Self {
        let clock: Clock = Arc::new(|| Timestamp::from_millis(1_000_000));
        let gateway = Gateway::new(GatewayParts {
            id: GatewayId::new("bench").expect("a good name"),
            config: Config {
                sessions_per_user_max: NonZeroUsize::new(sessions).expect("not zero"),
                ..Config::default()
            },
            registry: Arc::new(Memory::new(&doorbell_backplane::Config::default(), Arc::clone(&clock))),
            partitions: Partitions::default(),
            messages: Arc::new(Nothing),
            authenticator: Arc::new(Anybody),
            clock,
            metrics: Metrics::register(&prometheus::Registry::new()).expect("names are free"),
        });
        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let clients = runtime.block_on(async {
            tracker.spawn(Arc::clone(&gateway).run(stop.clone()));
            let mut clients = Vec::with_capacity(sessions);
            for session in 0..sessions {
                clients.push(Self::connect(&gateway, session).await);
            }
            clients
        });
        for client in &clients {
            client.set_nonblocking(true).expect("a socket");
        }
        Self { gateway, clients, stop }
    }

    async fn connect(gateway: &Arc<Gateway>, number: usize) -> Plain {
        // A client address has some 28,000 ports: each ten thousand have their own.
        let host = Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(number / 10_000).expect("few"));
        let listener = TcpListener::bind(SocketAddr::from((host, 0))).await.expect("loopback");
        let mut client = Plain::connect(listener.local_addr().expect("bound")).expect("loopback");
        let (socket, peer) = listener.accept().await.expect("loopback");
        let verified = Anybody.verify(&Token(String::new()), Timestamp::from_millis(1_000_000)).ok();
        let hello = br#"{"type":"hello"}"#;
        let mut frame = vec![0x81, 0x80 | u8::try_from(hello.len()).expect("short"), 0, 0, 0, 0];
        frame.extend_from_slice(hello);
        gateway.start(Upgraded {
            socket,
            leftover: Bytes::from(frame),
            encoding: Encoding::Json,
            verified,
            peer,
        });
        // This thread may wait: the gateway runs on the worker.
        let mut welcome = [0; 1024];
        let read = client.read(&mut welcome).expect("a welcome");
        assert!(welcome[..read].windows(9).any(|window| window == b"\"welcome\""));
        client
    }

    fn drain_clients(&mut self) {
        let mut scratch = [0; 16 * 1024];
        for client in &mut self.clients {
            while client.read(&mut scratch).is_ok_and(|read| read > 0) {}
        }
    }
}

fn batch(version: u64) -> Vec<DeliverRequest> {
    let mut dirty = DirtyMap::default();
    dirty.hint(Hint {
        topic: TopicId::new("conversation:01J9ZK5TQ8N3W2R7V6X4Y1B0CD").expect("a good topic"),
        version: Version::new(version).expect("small"),
    });
    vec![DeliverRequest { user: ada(), dirty }]
}

fn fan_out(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
    let mut group = criterion.benchmark_group("one hint to so many sessions");
    group.sample_size(20);
    for sessions in SIZES {
        if files_max() < sessions * 2 + 100 {
            println!("{sessions} sessions left out: `ulimit -n` allows {} files", files_max());
            continue;
        }
        let before = resident_bytes();
        let mut crowd = Crowd::new(&runtime, sessions);
        if sessions > 1 {
            let each = resident_bytes().saturating_sub(before) / sessions;
            println!(
                "{sessions} idle sessions: {each} bytes of user memory each (resident, system allocator)"
            );
        }
        let mut version = 0;
        group.throughput(Throughput::Elements(sessions as u64));
        group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    version += 1;
                    let batch = batch(version);
                    let start = tokio::time::Instant::now();
                    black_box(runtime.block_on(crowd.gateway.deliver(batch))).expect("local");
                    took += start.elapsed();
                    // Outside the measured time, and often enough that no socket fills up.
                    if version % 256 == 0 {
                        crowd.drain_clients();
                    }
                }
                took
            });
        });
        crowd.stop.cancel();
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
