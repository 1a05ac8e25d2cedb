//! Durable sends through the service's calls, and page reads: `cargo bench -p doorbell-message-svc --bench append`.
//!
//! The store lies in the system's temporary directory: where that is memory, the figures are without a disk; set
//! `TMPDIR` to a directory on the disk to be measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use doorbell_backplane::Memory;
use doorbell_message_svc::{Config, MessageService, Metrics, Neighbours};
use doorbell_protocol::{Clock, Encoding, Payload, Timestamp, UserId};
use doorbell_rpc::{CallRequest, LocalGateways, Messages, NoChannels};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pairs of users who write to each other.
const PAIRS: u64 = 1_000;
/// A hundred bytes, as in the project's other figures.
const TEXT: &str =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

struct Bench {
    runtime: Runtime,
    service: Arc<MessageService>,
    stop: CancellationToken,
    tasks: TaskTracker,
    next: AtomicU64,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        let began = (Instant::now(), 1_700_000_000_000);
        let clock: Clock = Arc::new(move || {
            let elapsed = u64::try_from(began.0.elapsed().as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(began.1 + elapsed)
        });
        let queue = Arc::new(Memory::new(&doorbell_backplane::Config::default(), clock.clone()));
        let config = Config { throttle_messages: 0, ..Config::default() };
        let metrics = Arc::new(Metrics::register(&prometheus::Registry::new()).expect("a fresh registry"));
        let neighbours = Neighbours {
            queue: Arc::clone(&queue) as _,
            channels: Arc::new(NoChannels),
            registry: Arc::clone(&queue) as _,
            versions: queue,
            buckets: None,
            gateways: Arc::<LocalGateways>::default(),
            offline: None,
        };
        let service =
            MessageService::open(config, dir.path(), clock, neighbours, metrics).expect("a fresh store");
        let runtime = Runtime::new().expect("a runtime");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn_on(Arc::clone(&service).run(stop.clone()), runtime.handle());
        Arc::new(Self { runtime, service, stop, tasks, next: AtomicU64::new(0), _dir: dir })
    }

    async fn call(&self, user: &str, method: &str, params: &Value) -> Payload {
        let user = UserId::new(user).expect("a name");
        let params = Payload::encode(Encoding::Json, params);
        let request = CallRequest { caller: user.into(), method: method.into(), params };
        self.service.call(request).await.unwrap_or_else(|e| panic!("{method}: {e:?}"))
    }

    async fn send(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pair = number % PAIRS;
        let params = json!({"to": format!("friend-{pair}"), "key": format!("key-{number}"), "text": TEXT});
        self.call(&format!("user-{pair}"), "messages.send", &params).await;
    }

    /// The time of that many sends, so many of them under way at any time.
    fn sends(self: &Arc<Self>, count: u64, in_flight: u64) -> Duration {
        let left = Arc::new(AtomicU64::new(count));
        let began = Instant::now();
        self.runtime.block_on(async {
            let senders = TaskTracker::new();
            for _ in 0..in_flight {
                let (bench, left) = (Arc::clone(self), Arc::clone(&left));
                senders.spawn(async move {
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                        .is_ok()
                    {
                        bench.send().await;
                    }
                });
            }
            senders.close();
            senders.wait().await;
        });
        began.elapsed()
    }

    fn end(self: Arc<Self>) {
        self.stop.cancel();
        self.tasks.close();
        self.runtime.block_on(self.tasks.wait());
    }
}

fn append(criterion: &mut Criterion) {
    let bench = Bench::new();
    bench.sends(PAIRS, 64);
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(1));
    for in_flight in [1, 16, 64, 256] {
        group.bench_function(format!("{in_flight} in flight"), |bencher| {
            bencher.iter_custom(|count| bench.sends(count, in_flight));
        });
    }
    group.finish();
    bench.end();
}

fn pull(criterion: &mut Criterion) {
    let bench = Bench::new();
    bench.sends(PAIRS * 120, 256);
    let mut group = criterion.benchmark_group("pull");
    let conversation = |bench: &Bench| {
        let list = bench.runtime.block_on(bench.call("user-7", "conversations.list", &json!({})));
        let list: Value = list.parse().expect("a result is an object");
        list["conversations"][0]["conversation"].clone()
    };
    let conversation = conversation(&bench);
    for (name, method, params) in [
        ("one message", "messages.list", json!({"conversation": conversation, "after": 119})),
        ("100 messages", "messages.list", json!({"conversation": conversation, "limit": 100})),
        ("changes, nothing new", "topics.changes", json!({})),
        ("conversations, one of them", "conversations.list", json!({})),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| bench.runtime.block_on(bench.call("user-7", method, &params)));
        });
    }
    group.finish();
    bench.end();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5));
    targets = append, pull
}
criterion_main!(benches);
