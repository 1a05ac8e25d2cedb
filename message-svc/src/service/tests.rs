//! What waits for what: reads and turns that are held, from within.

use std::future::Future;
use std::sync::mpsc;

use doorbell_backplane::Memory;
use doorbell_protocol::{Encoding, Timestamp, TopicId, UserId};
use doorbell_rpc::{
    Audiences, LocalGateways, Missed, Mutes, NoChannels, Presence, Signal, SignalReply, Signals,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::reader::tests::hold;

/// A wait for something that must come; far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// A wait for something that must not come.
const A_WHILE: Duration = Duration::from_millis(100);

struct House {
    service: Arc<MessageService>,
    registry: prometheus::Registry,
    held: JoinSet<Result<(), Refusal>>,
    _dir: TempDir,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { disk_reserve_bytes: 1 << 20, ..Config::default() };
        let clock: Clock = Arc::new(|| Timestamp::from_millis(1_700_000_000_000));
        let memory = Arc::new(Memory::new(&doorbell_backplane::Config::default(), Arc::clone(&clock)));
        let neighbours = Neighbours {
            queue: Arc::clone(&memory) as _,
            channels: Arc::new(NoChannels),
            registry: Arc::clone(&memory) as _,
            versions: memory,
            buckets: None,
            gateways: Arc::new(LocalGateways::default()),
            offline: None,
        };
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(Metrics::register(&registry).unwrap());
        let service = MessageService::open(config, dir.path(), clock, neighbours, metrics).unwrap();
        Self { service, registry, held: JoinSet::new(), _dir: dir }
    }

    /// Keeps both threads of a reader busy until what is answered is dropped.
    async fn hold(&mut self, reader: &Reader) -> [mpsc::Sender<()>; 2] {
        [hold(reader, &mut self.held).await, hold(reader, &mut self.held).await]
    }

    async fn ask_for_status(&self, user: &str) -> Result<Payload, ErrorBody> {
        let params = Payload::encode(Encoding::Json, &json!({"users": [user]}));
        let caller = UserId::new(user).unwrap().into();
        self.service.call(CallRequest { caller, method: "status.get".into(), params }).await
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it waits for something that it must not wait for")
}

#[tokio::test]
async fn a_signal_whose_store_does_not_answer_is_dropped_within_its_deadline() {
    let mut house = House::new();
    let reader = house.service.signals.reader.clone();
    let _held = house.hold(&reader).await;

    let signal = Signal {
        topic: TopicId::new("conversation:some").unwrap(),
        from: UserId::new("ada").unwrap(),
        data: Payload::encode(Encoding::Json, &json!({"typing": true})),
    };
    assert_eq!(soon(house.service.signal(signal)).await.unwrap(), SignalReply::Dropped);

    let shown = prometheus::TextEncoder::new().encode_to_string(&house.registry.gather()).unwrap();
    assert!(shown.contains("doorbell_message_signals_total{outcome=\"no_store\"} 1"), "{shown}");
}

#[tokio::test]
async fn moves_wait_for_no_mutes_and_for_their_own_reads_only_so_long() {
    let mut house = House::new();
    let (mutes, moves) = (house.service.mutes.clone(), house.service.moves.clone());
    let muted = house.hold(&mutes).await;
    let asked: Vec<Missed> = Vec::new();
    assert!(timeout(A_WHILE, house.service.unmuted(asked)).await.is_err(), "both threads are held");

    soon(house.service.moved(Vec::new())).await.unwrap();

    let _held = house.hold(&moves).await;
    soon(house.service.moved(Vec::new())).await.unwrap_err();
    drop(muted);
    soon(house.service.unmuted(Vec::new())).await.unwrap();
}

#[tokio::test]
async fn what_gateways_ask_about_audiences_waits_for_no_call_and_no_call_for_it() {
    let (mut house, ada) = (House::new(), UserId::new("ada").unwrap());
    let (calls, audiences) = (house.service.reader.clone(), house.service.audiences.clone());
    let mut calling = Vec::new();
    for _ in 0..house.service.tools.config.reads_max.get() {
        calling.push(hold(&calls, &mut house.held).await);
    }
    assert!(timeout(A_WHILE, house.ask_for_status("ada")).await.is_err(), "every read of calls is held");

    soon(house.service.large_topics(vec![ada.clone()])).await.unwrap();
    soon(house.service.authorize(&ada, Vec::new())).await.unwrap();

    drop(calling);
    let mut asking = Vec::new();
    for _ in 0..AUDIENCE_READS_MAX {
        asking.push(hold(&audiences, &mut house.held).await);
    }
    assert!(
        timeout(A_WHILE, house.service.large_topics(vec![ada.clone()])).await.is_err(),
        "every read of theirs is held"
    );
    soon(house.ask_for_status("ada")).await.unwrap();
}

#[tokio::test]
async fn statuses_and_questions_of_gateways_wait_for_their_user_s_turn() {
    let (house, ada, bob) = (House::new(), UserId::new("ada").unwrap(), UserId::new("bob").unwrap());
    let turns = [house.service.turns.take(&ada).await, house.service.turns.take(&ada).await];
    let mut status = Box::pin(house.ask_for_status("ada"));
    let mut question = house.service.authorize(&ada, Vec::new());

    assert!(timeout(A_WHILE, &mut status).await.is_err(), "`status.get` took no turn");
    assert!(timeout(A_WHILE, &mut question).await.is_err(), "`authorize` took no turn");
    soon(house.ask_for_status("bob")).await.unwrap();
    soon(house.service.authorize(&bob, Vec::new())).await.unwrap();

    drop(turns);
    soon(status).await.unwrap();
    soon(question).await.unwrap();
}
