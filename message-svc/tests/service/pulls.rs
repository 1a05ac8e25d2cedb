//! Pulls that are served together: what they cost the store, and what they never show.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use doorbell_message_svc::{Config, MessageService, Metrics};
use doorbell_protocol::{Encoding, ErrorBody, ErrorCode, Payload, UserId};
use doorbell_rpc::{CallRequest, Messages};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Bells, Hands, House, config, fast_dir, fresh_key, neighbours};

const MEMBERS: usize = 5_000;
/// Look-ups of the first members one by one, then of all of them.
const SEATS: u64 = 4 + 1;
const HEAD: u64 = 1;
const PAGE: u64 = 1;

/// A house whose counters can be read.
struct Counted {
    house: House,
    registry: Registry,
}

impl Counted {
    fn new(config: Config) -> Self {
        let (hands, dir, registry) = (Hands::new(), fast_dir(), Registry::new());
        let bells = Bells::new(hands.clock());
        let neighbours = neighbours(&bells, &Arc::default());
        let metrics = Arc::new(Metrics::register(&registry).unwrap());
        let service =
            MessageService::open(config.clone(), dir.path(), hands.clock(), neighbours, metrics).unwrap();
        Self { house: House::around(service, bells, hands, config, dir), registry }
    }

    /// The sum of a family's counters or gauges that have a label of that value.
    fn count(&self, family: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|each| each.name() == family).unwrap();
        let named =
            |metric: &&prometheus::proto::Metric| metric.get_label().iter().any(|pair| pair.value() == label);
        let value = |metric: &prometheus::proto::Metric| {
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        let sum: f64 = family.get_metric().iter().filter(named).map(value).sum();
        format!("{sum:.0}").parse().unwrap()
    }

    fn store_reads(&self) -> u64 {
        self.count("doorbell_message_store_reads_total", "call")
    }

    /// A group of ada and members with numbers.
    async fn crowd(&self, members: usize) -> String {
        let conversation = self.house.group("ada", &[]).await;
        for from in (1..members).step_by(1_000) {
            let users: Vec<String> = (from..members.min(from + 1_000)).map(member).collect();
            let params = json!({"conversation": conversation, "users": users});
            self.house.ok("ada", "members.add", params).await;
        }
        conversation
    }

    /// Every member pulls at the same time; answers what they got, which is the same for all.
    async fn storm(&self, conversation: &str, members: usize, after: u64) -> Value {
        let params = json!({"conversation": conversation, "after": after});
        let mut pulls = JoinSet::new();
        for number in 0..members {
            let service = Arc::clone(self.house.service());
            let (user, params) = (member(number), params.clone());
            pulls.spawn(async move { pull(&service, Encoding::Json, &user, &params).await.unwrap() });
        }
        let mut pages = pulls.join_all().await;
        pages.dedup_by(|one, other| one.bytes() == other.bytes());
        assert_eq!(pages.len(), 1, "everybody has the same page");
        pages[0].parse().unwrap()
    }
}

fn member(number: usize) -> String {
    if number == 0 { "ada".to_owned() } else { format!("member-{number}") }
}

async fn pull(
    service: &MessageService,
    encoding: Encoding,
    user: &str,
    params: &Value,
) -> Result<Payload, ErrorBody> {
    let params = Payload::encode(encoding, params);
    let caller = UserId::new(user).unwrap().into();
    service.call(CallRequest { caller, method: "messages.list".into(), params }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_thousand_members_pull_one_change_for_a_handful_of_look_ups() {
    let counted = Counted::new(config());
    let conversation = counted.crowd(MEMBERS).await;
    counted.house.send("ada", &conversation, "first").await;

    let before = counted.store_reads();
    let page = counted.storm(&conversation, MEMBERS, 0).await;
    let cost = counted.store_reads() - before;
    assert_eq!(page["messages"][0]["text"], "first");
    assert!(cost <= SEATS + PAGE, "{cost} look-ups");

    counted.house.send("ada", &conversation, "second").await;
    let before = counted.store_reads();
    let page = counted.storm(&conversation, MEMBERS, 1).await;
    let cost = counted.store_reads() - before;
    assert_eq!(page["messages"][0]["text"], "second");
    assert_eq!(cost, PAGE, "who the members are is known by now");

    let shared = ["joined", "kept"].map(|source| counted.count("doorbell_message_pulls_total", source));
    let read = counted.count("doorbell_message_pulls_total", "read");
    assert_eq!((read, shared[0] + shared[1]), (2, 2 * MEMBERS as u64 - 2));
    assert!(counted.count("doorbell_message_cache_bytes", "pages") > 200);
    assert_eq!(counted.count("doorbell_message_cache_items", "members"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_right_after_a_start_or_without_a_cache_costs_a_handful_as_well() {
    for (page_cache_bytes, pages_max) in [(Config::default().page_cache_bytes, PAGE), (0, 200)] {
        let counted = Counted::new(Config { page_cache_bytes, ..config() });
        let conversation = counted.crowd(500).await;
        counted.house.send("ada", &conversation, "first").await;
        let Counted { mut house, .. } = counted;
        house.close();
        let registry = Registry::new();
        let neighbours = neighbours(&house.bells, &Arc::default());
        let metrics = Arc::new(Metrics::register(&registry).unwrap());
        let (config, clock) = (house.config.clone(), house.hands.clock());
        let service = MessageService::open(config, house.dir.path(), clock, neighbours, metrics).unwrap();
        let house = House::around(service, house.bells, house.hands, house.config, house.dir);
        let counted = Counted { house, registry };

        counted.storm(&conversation, 500, 0).await;

        let cost = counted.store_reads();
        assert!(cost <= HEAD + SEATS + pages_max, "{cost} look-ups with {page_cache_bytes} bytes");
    }
}

#[tokio::test]
async fn each_encoding_range_and_limit_has_its_own_page() {
    let counted = Counted::new(config());
    let house = &counted.house;
    let conversation = house.group("ada", &["bob"]).await;
    for text in ["1", "2", "3", "4"] {
        house.send("ada", &conversation, text).await;
    }
    let all = [
        (json!({"after": 0}), vec!["1", "2", "3", "4"], false),
        (json!({"after": 1}), vec!["2", "3", "4"], false),
        (json!({"after": 0, "to": 2}), vec!["1", "2"], false),
        (json!({"after": 0, "limit": 2}), vec!["1", "2"], true),
        (json!({"after": 0, "to": 3, "limit": 2}), vec!["1", "2"], true),
        (json!({"limit": 2}), vec!["3", "4"], true),
        (json!({"before": 3}), vec!["1", "2"], false),
        (json!({"before": 3, "limit": 1}), vec!["2"], true),
        (json!({"before": 1}), vec![], false),
        (json!({"after": 4}), vec![], false),
        (json!({"after": 9, "to": 9}), vec![], false),
    ];
    for _ in 0..2 {
        for encoding in [Encoding::Json, Encoding::MsgPack] {
            for (more, texts, has_more) in &all {
                let mut params = more.clone();
                params["conversation"] = conversation.as_str().into();
                let page = house.call_in(encoding, "bob", "messages.list", &params).await.unwrap();
                let found: Vec<&str> = page["messages"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|m| m["text"].as_str().unwrap())
                    .collect();
                assert_eq!((&found, &page["more"]), (texts, &json!(has_more)), "{params}");
            }
        }
    }
    let read = counted.count("doorbell_message_pulls_total", "read");
    assert_eq!(read, 2 * 8, "of eight ranges that hold something, in two encodings");
}

#[tokio::test]
async fn who_was_removed_is_refused_what_is_kept_for_the_others() {
    let counted = Counted::new(config());
    let house = &counted.house;
    let conversation = counted.crowd(20).await;
    house.send("ada", &conversation, "for members").await;
    counted.storm(&conversation, 20, 0).await;
    counted.storm(&conversation, 20, 0).await;
    assert_eq!(counted.count("doorbell_message_cache_items", "members"), 1, "the members are kept");
    let params = json!({"conversation": conversation, "after": 0});

    let change = json!({"conversation": conversation, "users": ["member-7"]});
    for _ in 0..3 {
        house.ok("ada", "members.remove", change.clone()).await;
        assert_eq!(house.code("member-7", "messages.list", params.clone()).await, ErrorCode::NotFound);
        house.ok("member-8", "messages.list", params.clone()).await;
        house.ok("ada", "members.add", change.clone()).await;
        house.ok("member-7", "messages.list", params.clone()).await;
    }
    for stranger in ["member-20", "mallory"] {
        assert_eq!(house.code(stranger, "messages.list", params.clone()).await, ErrorCode::NotFound);
    }
    let read = counted.count("doorbell_message_pulls_total", "read");
    assert_eq!(read, 1, "all of it came from one page");
}

/// What the deleter has done, for readers who look before they pull.
#[derive(Default)]
struct Progress {
    /// The version of the last secret that was sent.
    sent: AtomicU64,
    /// The number of the last secret that is deleted and acknowledged.
    gone: AtomicU64,
}

const SECRETS: u64 = 150;

/// Sends secrets, edits them, and deletes them again.
async fn delete_secrets(service: Arc<MessageService>, conversation: String, progress: Arc<Progress>) {
    let call = async |method: &str, more: Value| {
        let mut params = more;
        params["conversation"] = conversation.as_str().into();
        params["key"] = fresh_key().into();
        let params = Payload::encode(Encoding::Json, &params);
        let caller = UserId::new("ada").unwrap().into();
        let sent = service.call(CallRequest { caller, method: method.into(), params }).await.unwrap();
        sent.parse::<Value>().unwrap()["version"].as_u64().unwrap()
    };
    for number in 1..=SECRETS {
        let of = call("messages.send", json!({"text": format!("secret-{number}-")})).await;
        progress.sent.store(of, Ordering::SeqCst);
        call("messages.edit", json!({"of": of, "text": format!("secret-{number}-again")})).await;
        // The readers have a moment to fill the cache with it.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        call("messages.delete", json!({"of": of})).await;
        progress.gone.store(number, Ordering::SeqCst);
    }
}

/// Asks in every way for what was sent, until all of it is gone.
async fn look_for_secrets(service: Arc<MessageService>, conversation: String, progress: Arc<Progress>) {
    let mut look = 0;
    loop {
        let gone = progress.gone.load(Ordering::SeqCst);
        let sent = progress.sent.load(Ordering::SeqCst).max(1);
        let (method, params) = match look % 6 {
            0 => ("messages.list", json!({"after": sent - 1, "to": sent + 1})),
            1 => ("messages.list", json!({"after": sent - 1})),
            2 => ("messages.list", json!({"before": sent + 2, "limit": 8})),
            3 => ("messages.list", json!({"limit": 8})),
            4 => ("conversations.get", json!({})),
            _ => ("conversations.list", json!({})),
        };
        look += 1;
        let mut params = params;
        params["conversation"] = conversation.as_str().into();
        let params = Payload::encode(Encoding::Json, &params);
        let caller = UserId::new("bob").unwrap().into();
        let answer = service.call(CallRequest { caller, method: method.into(), params }).await.unwrap();
        let text = answer.parse::<Value>().unwrap().to_string();
        for (_, rest) in text.match_indices("secret-").map(|(at, found)| text.split_at(at + found.len())) {
            let number: u64 = rest.split_once('-').unwrap().0.parse().unwrap();
            assert!(number > gone, "{method}: {number} is shown, and {gone} was gone before it was asked");
        }
        if gone == SECRETS {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_deleted_is_in_no_answer_to_a_call_that_comes_after() {
    let counted = Counted::new(config());
    let conversation = counted.house.group("ada", &["bob"]).await;
    let progress = Arc::new(Progress::default());
    let service = counted.house.service();
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        tasks.spawn(look_for_secrets(Arc::clone(service), conversation.clone(), Arc::clone(&progress)));
    }
    tasks.spawn(delete_secrets(Arc::clone(service), conversation.clone(), Arc::clone(&progress)));

    tasks.join_all().await;

    let kept = counted.count("doorbell_message_pulls_total", "kept");
    assert!(kept > SECRETS, "{kept}: the cache takes part");
}
