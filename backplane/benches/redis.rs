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

/// One step of a pass, while it runs.
struct Watch<'a> {
    server: &'a Server,
    batch: usize,
    cpu: f64,
    /// Where calls are sampled: what scripts had taken before, and what each call added for a user. Asking costs Redis more than a
    /// call does, so a pass is sampled for its scripts or weighed for its CPU.
    scripts: Option<(f64, Vec<f64>)>,
}

/// What a step cost for one user, in microseconds.
#[derive(Clone, Copy)]
enum Cost {
    /// All that Redis' main thread took.
    Cpu(f64),
    /// Inside scripts alone: of the tenth of the calls that others disturbed least, and of half of them.
    Scripts(f64, f64),
}

/// What a pass measures.
#[derive(Clone, Copy)]
enum Measured {
    Cpu,
    Scripts,
}

/// Of each batch size. The runs for its CPU differ: the least disturbed is the one to look at.
const PASSES: [Measured; 4] = [Measured::Cpu, Measured::Cpu, Measured::Cpu, Measured::Scripts];

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
impl<'a> Watch<'a> {
    fn start(server: &'a Server, batch: usize, measured: Measured) -> Self {
        let scripts = matches!(measured, Measured::Scripts).then(|| (in_scripts(server), Vec::new()));
        Self { server, batch, cpu: cpu(server), scripts }
    }

    /// A call was answered.
    fn called(&mut self) {
        if let Some((last, each)) = &mut self.scripts {
            let now = in_scripts(self.server);
            each.push((now - *last) / self.batch as f64);
            *last = now;
        }
    }

    fn cost(self, users: usize) -> Cost {
        match self.scripts {
            None => Cost::Cpu((cpu(self.server) - self.cpu) * 1e6 / users as f64),
            Some((_, mut each)) => {
                each.sort_by(f64::total_cmp);
                Cost::Scripts(each[each.len() / 10], each[each.len() / 2])
            }
        }
    }
}

impl Cost {
    const fn figure(self) -> f64 {
        match self {
            Self::Cpu(all) => all,
            Self::Scripts(least, _) => least,
        }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu(all) => write!(f, "{all:>6.2} µs of CPU a user"),
            Self::Scripts(least, half) => {
                write!(f, "{least:>6.2} µs a user in scripts (a tenth), {half:>6.2} (half)")
            }
        }
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

    /// Reports what each step costs Redis for one user: three passes for its CPU, one for its scripts.
    async fn measure(&self, batch: usize, calls_each: usize, version: u64) {
        for (version, measured) in (version..).zip(PASSES) {
            let [queue, merge, claim, ack] = self.pass(batch, calls_each, version, measured).await;
            for (step, cost) in [("queue", queue), ("merge", merge), ("claim", claim), ("ack", ack)] {
                println!("    {step:<8} {cost}");
            }
            let all = queue.figure() + claim.figure() + ack.figure();
            let what = match measured {
                Measured::Cpu => "of CPU",
                Measured::Scripts => "in scripts",
            };
            println!("batches of {batch:>3}: queue + claim + ack {all:>5.2} µs {what}");
        }
    }

    /// Queues, merges, claims and settles everybody once.
    async fn pass(&self, batch: usize, calls_each: usize, version: u64, measured: Measured) -> [Cost; 4] {
        let calls = self.calls(batch, calls_each);
        let count: usize = calls.iter().map(|(_, users)| users.len()).sum();
        let watch = || Watch::start(&self.server, batch, measured);

        let queue = self.hint(&calls, version, watch()).await.cost(count);
        let merge = self.hint(&calls, version, watch()).await.cost(count);
        let (mut watched, mut settlements) = (watch(), Vec::new());
        for (partition, _) in &calls {
            let claims = self.redis.claim(*partition, batch, LEASE).await.expect(ANSWERS);
            settlements.push((*partition, claims.into_iter().map(settled).collect::<Vec<_>>()));
            watched.called();
        }
        let claim = watched.cost(count);
        assert_eq!(
            settlements.iter().map(|(_, claims)| claims.len()).sum::<usize>(),
            count,
            "all are claimed"
        );
        let mut watched = watch();
        for (partition, settlements) in settlements {
            self.redis.settle(partition, settlements, Duration::ZERO).await.expect(ANSWERS);
            watched.called();
        }
        [queue, merge, claim, watched.cost(count)]
    }

    async fn hint<'a>(
        &self,
        calls: &[(Partition, Vec<UserId>)],
        version: u64,
        mut watch: Watch<'a>,
    ) -> Watch<'a> {
        for (_, users) in calls {
            self.redis.hint(news(users, version)).await.expect(ANSWERS);
            watch.called();
        }
        watch
    }

    async fn measure_offline(&self, batch: usize, calls: usize) {
        let partitions = self.redis.partitions();
        let home = partitions.all().next().expect("one");
        let strangers = (0..).map(|n| UserId::new(format!("stranger-{n:08}")).expect("valid"));
        let strangers: Vec<UserId> =
            strangers.filter(|user| partitions.of(user) == home).take(batch).collect();
        for measured in [Measured::Cpu, Measured::Scripts] {
            let mut watch = Watch::start(&self.server, batch, measured);
            for version in (1_u64..).take(calls) {
                let report = self.redis.hint(news(&strangers, version)).await.expect(ANSWERS);
                assert_eq!(report.offline.len(), batch);
                watch.called();
            }
            println!("    offline, batches of {batch}: {}", watch.cost(batch * calls));
        }
    }
}

fn settled(claim: doorbell_backplane::Claim) -> Settlement {
    Settlement { user: claim.user, token: claim.token, absent: Vec::new(), unreachable: Vec::new() }
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
            (1..).step_by(PASSES.len()).zip([(1, 1_000), (10, 400), (100, 60), (100, 60), (250, 24)])
        {
            bench.measure(batch, calls_each, version).await;
        }
        for batch in [1, 100] {
            bench.measure_offline(batch, 2_000).await;
        }
    });
}
