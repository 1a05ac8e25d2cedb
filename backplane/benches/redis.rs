//! What Redis pays for a hint: its CPU time for each user queued, claimed and settled, and for an offline user.
//!
//! `cargo bench -p doorbell-backplane --bench redis` starts a `redis-server` of its own on a free port;
//! `DOORBELL_REDIS_SERVER` names another program. A call holds so many users of one partition.

#[path = "../tests/harness/server.rs"]
#[expect(dead_code, reason = "the bench needs one quiet server")]
mod server;

use std::time::Duration;

use doorbell_backplane::redis::{Address, Config};
use doorbell_backplane::{
    Enter, Entry, HintQueue as _, News, Partition, Redis, Registry as _, Settlement, UserHint,
};
use doorbell_protocol::{GatewayId, Generation, Hint, Stamp, TopicId, UserId, Version};
use redis::Value;
use server::Server;

const LEASE: Duration = Duration::from_secs(600);
const ANSWERS: &str = "redis answers";
/// Users who are online: their entries are what a busy installation has.
const ONLINE: usize = 100_000;
const GATEWAYS: usize = 4;

struct Bench {
    redis: Redis,
    server: Server,
    users: Vec<Vec<UserId>>,
}

/// What scripts took, call by call: of many, the tenth that others disturbed least says what the work is.
struct Sampled {
    last: f64,
    each: Vec<f64>,
}

impl Sampled {
    const fn new(last: f64) -> Self {
        Self { last, each: Vec::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
    fn add(&mut self, now: f64, users: usize) {
        self.each.push((now - self.last) / users as f64);
        self.last = now;
    }

    fn quiet(mut self) -> (f64, f64) {
        self.each.sort_by(f64::total_cmp);
        (self.each[self.each.len() / 10], self.each[self.each.len() / 2])
    }
}

/// CPU time of the server's main thread, in seconds.
fn cpu(server: &Server) -> f64 {
    let Value::BulkString(said) = server.say(&["INFO", "cpu"]) else { panic!("INFO answers text") };
    let said = String::from_utf8_lossy(&said).into_owned();
    let read = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)).expect("a line of INFO");
        line.trim().parse::<f64>().expect("seconds")
    };
    read("used_cpu_sys_main_thread:") + read("used_cpu_user_main_thread:")
}

/// Microseconds inside scripts alone, without reading and writing.
fn in_scripts(server: &Server) -> f64 {
    let Value::BulkString(said) = server.say(&["INFO", "commandstats"]) else { panic!("INFO answers text") };
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let usec = line.and_then(|line| line.split("usec=").nth(1)).and_then(|rest| rest.split(',').next());
    usec.and_then(|usec| usec.parse().ok()).unwrap_or(0.0)
}

impl Bench {
    async fn new() -> Self {
        let server = Server::start(&[]);
        let config = Config { urls: vec![Address::new(server.url())], ..Config::default() };
        let redis = Redis::connect(&doorbell_backplane::Config::default(), &config).await.expect(ANSWERS);
        let partitions = redis.partitions();
        let mut users = vec![Vec::new(); partitions.count()];
        for number in 0..ONLINE {
            let user = UserId::new(format!("user-{number:08}")).expect("valid");
            users[partitions.of(&user).index()].push(user);
        }
        for at in 0..GATEWAYS {
            let gateway = GatewayId::new(format!("gateway-01J9ZB5Y8QK3V7T2-{at}")).expect("valid");
            for partition in partitions.all() {
                let epoch = redis.take_lease(&gateway, partition, LEASE).await.expect(ANSWERS).epoch;
                let enters = users[partition.index()].iter().skip(at).step_by(GATEWAYS).map(|user| {
                    let stamp = Stamp { epoch, generation: Generation(1) };
                    Enter { user: user.clone(), entry: Entry { gateway: gateway.clone(), stamp } }
                });
                redis.enter(enters.collect()).await.expect(ANSWERS);
            }
        }
        Self { redis, server, users }
    }

    fn calls(&self, batch: usize, each_max: usize) -> Vec<(Partition, Vec<UserId>)> {
        let own = |partition: Partition| {
            let users = &self.users[partition.index()];
            users.chunks_exact(batch).take(each_max).map(move |chunk| (partition, chunk.to_vec()))
        };
        self.redis.partitions().all().flat_map(own).collect()
    }

    /// Reports what each step costs Redis for one user.
    async fn measure(&self, batch: usize, calls_each: usize, version: u64) {
        let calls = self.calls(batch, calls_each);
        let count: usize = calls.iter().map(|(_, users)| users.len()).sum();
        let mut costs = Vec::new();
        for step in ["queue", "merge"] {
            let before = (cpu(&self.server), in_scripts(&self.server));
            let mut sampled = Sampled::new(before.1);
            for (_, users) in &calls {
                self.redis.hint(news(users, version)).await.expect(ANSWERS);
                sampled.add(in_scripts(&self.server), batch);
            }
            costs.push(self.cost(step, before, count, sampled));
        }
        let before = (cpu(&self.server), in_scripts(&self.server));
        let mut sampled = Sampled::new(before.1);
        let mut claims = Vec::new();
        for (partition, _) in &calls {
            claims.push((*partition, self.redis.claim(*partition, batch, LEASE).await.expect(ANSWERS)));
            sampled.add(in_scripts(&self.server), batch);
        }
        costs.push(self.cost("claim", before, count, sampled));
        let claimed: usize = claims.iter().map(|(_, claims)| claims.len()).sum();
        assert_eq!(claimed, count, "all are claimed");
        let settlements: Vec<(Partition, Vec<Settlement>)> = claims
            .into_iter()
            .map(|(partition, claims)| {
                let settle = |claim: doorbell_backplane::Claim| Settlement {
                    user: claim.user,
                    token: claim.token,
                    absent: Vec::new(),
                    unreachable: Vec::new(),
                };
                (partition, claims.into_iter().map(settle).collect())
            })
            .collect();
        let before = (cpu(&self.server), in_scripts(&self.server));
        let mut sampled = Sampled::new(before.1);
        for (partition, settlements) in settlements {
            self.redis.settle(partition, settlements, Duration::ZERO).await.expect(ANSWERS);
            sampled.add(in_scripts(&self.server), batch);
        }
        costs.push(self.cost("ack", before, count, sampled));
        let whole = |at: fn(&(f64, f64)) -> f64| at(&costs[0]) + at(&costs[2]) + at(&costs[3]);
        println!(
            "batches of {batch:>3}: queue + claim + ack {:>5.2} µs, {:>5.2} of it in scripts",
            whole(|cost| cost.0),
            whole(|cost| cost.1)
        );
    }

    async fn measure_offline(&self, batch: usize, calls: usize) {
        let partitions = self.redis.partitions();
        let home = partitions.all().next().expect("one");
        let strangers = (0..).map(|n| UserId::new(format!("stranger-{n:08}")).expect("valid"));
        let strangers: Vec<UserId> =
            strangers.filter(|user| partitions.of(user) == home).take(batch).collect();
        let before = (cpu(&self.server), in_scripts(&self.server));
        let mut sampled = Sampled::new(before.1);
        for version in (1_u64..).take(calls) {
            let report = self.redis.hint(news(&strangers, version)).await.expect(ANSWERS);
            assert_eq!(report.offline.len(), batch);
            sampled.add(in_scripts(&self.server), batch);
        }
        self.cost(&format!("offline, batches of {batch}"), before, batch * calls, sampled);
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn cost(&self, step: &str, before: (f64, f64), users: usize, sampled: Sampled) -> (f64, f64) {
        let all = (cpu(&self.server) - before.0) * 1e6 / users as f64;
        let (least, median) = sampled.quiet();
        println!(
            "    {step:<8} {all:>6.2} µs a user; in scripts {least:>6.2} (a tenth), {median:>6.2} (half)"
        );
        (all, least)
    }
}

fn news(users: &[UserId], version: u64) -> Vec<UserHint> {
    let topic = TopicId::new("conversation:01J9ZB5Y8QK3V7T2M4N6P8R0S1").expect("valid");
    let news = News::Hint(Hint { topic, version: Version::new(version).expect("small") });
    users.iter().map(|user| UserHint { user: user.clone(), news: news.clone() }).collect()
}

fn main() {
    // `cargo test` runs benches too: the figures are for whoever asks for them.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let bench = Bench::new().await;
        for (version, (batch, calls_each)) in
            (1..).zip([(1, 1_000), (10, 400), (100, 60), (100, 60), (250, 24)])
        {
            bench.measure(batch, calls_each, version).await;
        }
        for batch in [1, 100] {
            bench.measure_offline(batch, 2_000).await;
        }
    });
}
