//! A storm of equal pulls beside as many that share nothing: `cargo bench -p doorbell-message-svc --bench pulls`.
//!
//! Each round runs both, one right after the other, and prints the ratio of their times; the last line is the median.
//! All pulls of a storm are in flight together, and bring one message of a hundred bytes.

use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::Memory;
use doorbell_message_svc::{Config, MessageService, Metrics, Neighbours};
use doorbell_protocol::{Clock, Encoding, Payload, Timestamp, UserId};
use doorbell_rpc::{CallRequest, LocalGateways, Messages, NoChannels};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

const PULLS: usize = 5_000;
const ROUNDS: usize = 9;

struct Bench {
    service: Arc<MessageService>,
    registry: Registry,
}

impl Bench {
    fn new(data_dir: &std::path::Path) -> Self {
        let clock: Clock = Arc::new(|| Timestamp::from_millis(1_700_000_000_000));
        let queue = Arc::new(Memory::new(&doorbell_backplane::Config::default(), clock.clone()));
        let config = Config {
            throttle_messages: 0,
            throttle_conversations: 0,
            reads_waiting_max: 2 * PULLS,
            ..Config::default()
        };
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::register(&registry).expect("a fresh registry"));
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
            MessageService::open(config, data_dir, clock, neighbours, metrics).expect("a fresh store");
        Self { service, registry }
    }

    async fn call(&self, user: &str, method: &str, params: Value) -> Value {
        let payload = call(&self.service, user, method, &params).await;
        payload.parse().expect("a result is an object")
    }

    async fn send(&self, conversation: &Value, key: usize) -> u64 {
        let params =
            json!({"conversation": conversation, "key": format!("key-{key}"), "text": "x".repeat(100)});
        self.call("ada", "messages.send", params).await["version"].as_u64().expect("a version")
    }

    /// All these calls at once: who, and with which parameters.
    async fn all(&self, method: &'static str, calls: impl IntoIterator<Item = (String, Value)>) -> Duration {
        let calls: Vec<_> = calls.into_iter().collect();
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for (user, params) in calls {
            let service = Arc::clone(&self.service);
            tasks.spawn(async move { call(&service, &user, method, &params).await });
        }
        tasks.join_all().await;
        began.elapsed()
    }

    /// One more message for everybody, each from a member to ada, in commits of many.
    async fn send_each(&self, round: usize) {
        for from in (0..PULLS).step_by(1_000) {
            let hello =
                |n| (member(n), json!({"to": "ada", "key": format!("{round}"), "text": "x".repeat(100)}));
            self.all("messages.send", (from..from + 1_000).map(hello)).await;
        }
    }

    /// Look-ups for calls so far.
    fn look_ups(&self) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == "doorbell_message_store_reads_total");
        let metrics = family.expect("it is registered").get_metric();
        let of_calls = metrics.iter().find(|metric| metric.get_label()[0].value() == "call");
        of_calls.expect("it is there from the start").get_counter().get_value()
    }
}

async fn call(service: &MessageService, user: &str, method: &str, params: &Value) -> Payload {
    let caller = UserId::new(user).expect("a name").into();
    let params = Payload::encode(Encoding::Json, params);
    let request = CallRequest { caller, method: method.into(), params };
    service.call(request).await.unwrap_or_else(|e| panic!("{method}: {e:?}"))
}

fn member(number: usize) -> String {
    format!("member-{number}")
}

/// One group of everybody, and a conversation of everybody's own with ada.
async fn furnish(bench: &Bench) -> (Value, Vec<Value>) {
    let params = json!({"members": [], "title": "all", "key": "group"});
    let group = bench.call("ada", "conversations.create", params).await["conversation"].clone();
    for from in (0..PULLS).step_by(1_000) {
        let users: Vec<String> = (from..from + 1_000).map(member).collect();
        bench.call("ada", "members.add", json!({"conversation": group, "users": users})).await;
    }
    bench.send_each(ROUNDS).await;
    let mut pairs = Vec::new();
    for number in 0..PULLS {
        let list = bench.call(&member(number), "conversations.list", json!({})).await;
        let shown = list["conversations"].as_array().expect("a list").iter();
        let pair = shown.map(|each| &each["conversation"]).find(|id| **id != group);
        pairs.push(pair.expect("everybody has one").clone());
    }
    (group, pairs)
}

async fn measure(bench: &Bench) {
    let (group, pairs) = furnish(bench).await;
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        // Each round has changes that nobody pulled before.
        let version = bench.send(&group, round).await;
        bench.send_each(round).await;
        let equal = (0..PULLS).map(|n| (member(n), json!({"conversation": group, "after": version - 1})));
        let single =
            pairs.iter().enumerate().map(|(n, pair)| (member(n), json!({"conversation": pair, "limit": 1})));
        let before = bench.look_ups();
        let equal = bench.all("messages.list", equal).await;
        let between = bench.look_ups();
        let single = bench.all("messages.list", single).await;
        let ratio = single.as_secs_f64() / equal.as_secs_f64();
        let look_ups = (between - before, bench.look_ups() - between);
        println!(
            "equal {equal:.1?} with {} look-ups, sharing nothing {single:.1?} with {}: {ratio:.2}",
            look_ups.0, look_ups.1
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio of {ROUNDS} rounds: {:.2}", ratios[ROUNDS / 2]);
}

fn main() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let bench = Bench::new(dir.path());
    Runtime::new().expect("a runtime").block_on(measure(&bench));
}
