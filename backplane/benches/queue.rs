//! Rates of announcing, claiming and settling over 10,000 users with entries, in batches of 1 and of 100.
//!
//! `cargo bench -p doorbell-backplane`. A round does it once for each user; `elem/s` is users a second.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use doorbell_backplane::{
    Claim, Config, Enter, Entry, HintQueue as _, Memory, News, Partition, Registry as _, Settlement, UserHint,
};
use doorbell_protocol::{GatewayId, Generation, Hint, Stamp, Timestamp, TopicId, UserId, Version};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const USERS: usize = 10_000;
const GATEWAYS: usize = 4;
const LEASE: Duration = Duration::from_secs(3_600);
const ANSWERS: &str = "memory answers";

/// What is measured of a round; the rest of the round happens around it.
#[derive(Clone, Copy)]
enum Step {
    Hint,
    Merge,
    Claim,
    Settle,
}

/// A back-end with every user online.
struct Installation {
    runtime: Runtime,
    memory: Memory,
    users: Vec<UserId>,
    topic: TopicId,
    version: AtomicU64,
}

impl Installation {
    fn new() -> Self {
        let now = AtomicU64::new(1_767_225_600_000_000);
        // A microsecond passes with each look at the clock.
        let clock = move || Timestamp::from_millis(now.fetch_add(1, Ordering::Relaxed) / 1_000);
        let installation = Self {
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
            memory: Memory::new(&Config::default(), Arc::new(clock)),
            users: (0..USERS).map(|n| UserId::new(format!("user-{n:06}")).expect("valid")).collect(),
            topic: TopicId::new("conversation:01J9ZB5Y8QK3V7T2M4N6P8R0S1").expect("valid"),
            version: AtomicU64::new(1),
        };
        installation.runtime.block_on(installation.enter_all());
        installation
    }

    async fn enter_all(&self) {
        let partitions = self.memory.partitions();
        let mut enters = Vec::with_capacity(USERS);
        for at in 0..GATEWAYS {
            let gateway = GatewayId::new(format!("gateway-{at}")).expect("valid");
            let mut epochs = Vec::new();
            for partition in partitions.all() {
                epochs.push(self.memory.take_lease(&gateway, partition, LEASE).await.expect(ANSWERS).epoch);
            }
            enters.extend(self.users.iter().skip(at).step_by(GATEWAYS).map(|user| {
                let stamp = Stamp { epoch: epochs[partitions.of(user).index()], generation: Generation(1) };
                Enter { user: user.clone(), entry: Entry { gateway: gateway.clone(), stamp } }
            }));
        }
        self.memory.enter(enters).await.expect(ANSWERS);
    }

    /// One round, in calls of `batch` users; answers how long the step took.
    fn round(&self, step: Step, batch: usize) -> Duration {
        let first = self.timed(self.announcements(batch), |call| self.announce(call));
        let merge = match step {
            Step::Merge => self.timed(self.announcements(batch), |call| self.announce(call)),
            Step::Hint | Step::Claim | Step::Settle => Duration::ZERO,
        };
        let start = Instant::now();
        let claims = self.claim_all(batch);
        let claim = start.elapsed();
        let settle = self.timed(settlements(claims), |(partition, call)| {
            black_box(
                self.runtime.block_on(self.memory.settle(partition, call, Duration::ZERO)).expect(ANSWERS),
            );
        });
        match step {
            Step::Hint => first,
            Step::Merge => merge,
            Step::Claim => claim,
            Step::Settle => settle,
        }
    }

    fn timed<T>(&self, calls: Vec<T>, each: impl Fn(T)) -> Duration {
        let start = Instant::now();
        calls.into_iter().for_each(each);
        start.elapsed()
    }

    /// The topic's next version for everybody, in calls.
    fn announcements(&self, batch: usize) -> Vec<Vec<UserHint>> {
        let version = Version::new(self.version.fetch_add(1, Ordering::Relaxed)).expect("small");
        let news = News::Hint(Hint { topic: self.topic.clone(), version });
        let hint = |user: &UserId| UserHint { user: user.clone(), news: news.clone() };
        self.users.chunks(batch).map(|users| users.iter().map(hint).collect()).collect()
    }

    fn announce(&self, call: Vec<UserHint>) {
        black_box(self.runtime.block_on(self.memory.hint(call)).expect(ANSWERS));
    }

    fn claim_all(&self, batch: usize) -> Vec<(Partition, Vec<Claim>)> {
        let mut all = Vec::with_capacity(USERS);
        for partition in self.memory.partitions().all() {
            loop {
                let claims =
                    self.runtime.block_on(self.memory.claim(partition, batch, LEASE)).expect(ANSWERS);
                if claims.is_empty() {
                    break;
                }
                all.push((partition, claims));
            }
        }
        all
    }
}

fn settlements(claims: Vec<(Partition, Vec<Claim>)>) -> Vec<(Partition, Vec<Settlement>)> {
    let settle = |claim: Claim| {
        let Claim { user, token, .. } = claim;
        Settlement { user, token, absent: Vec::new(), unreachable: Vec::new() }
    };
    claims
        .into_iter()
        .map(|(partition, claims)| (partition, claims.into_iter().map(settle).collect()))
        .collect()
}

fn rates(c: &mut Criterion) {
    let installation = Installation::new();
    let mut group = c.benchmark_group("queue");
    group.throughput(Throughput::Elements(USERS as u64)).sample_size(30);
    let steps = [
        ("hint_queued", Step::Hint),
        ("hint_merged", Step::Merge),
        ("claim", Step::Claim),
        ("settle", Step::Settle),
    ];
    for (name, step) in steps {
        for batch in [1, 100] {
            group.bench_function(format!("{name}/{batch}"), |b| {
                b.iter_custom(|rounds| (0..rounds).map(|_| installation.round(step, batch)).sum());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rates);
criterion_main!(benches);
