//! The Redis back-end on a server that all cases share, each under a prefix of its own, with a clock that moves by hand.

use std::cell::RefCell;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::conformance::{CHANNEL_TOPICS_MAX, Harness, THROTTLE_BUCKETS_MAX, UserView};
use doorbell_backplane::redis::{Address, Config};
use doorbell_backplane::{Metered, Metrics, Redis};
use doorbell_protocol::{Timestamp, UserId};

/// 2026-01-01: a time as a real clock gives it.
const START_MS: u64 = 1_767_225_600_000;
/// Few, so that looking at all of them takes little time; enough to meet every server of a Cluster.
const PARTITIONS: NonZeroU16 = NonZeroU16::new(4).expect("4 is not zero");

thread_local! {
    /// Those of the test on this thread.
    static SERVERS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Says where the servers are, before the first case, on the thread of all cases.
pub fn use_servers(urls: Vec<String>) {
    SERVERS.set(urls);
}

/// A section for these servers, under a prefix that no other has.
pub fn section(urls: &[String]) -> Config {
    static LIVES: AtomicU64 = AtomicU64::new(1);
    let life = LIVES.fetch_add(1, Ordering::Relaxed);
    let urls = urls.iter().map(|url| Address::new(url.as_str())).collect();
    Config { urls, key_prefix: format!("life-{life}"), ..Config::default() }
}

pub fn backplane() -> doorbell_backplane::Config {
    doorbell_backplane::Config {
        partitions: PARTITIONS,
        channel_topics_max: CHANNEL_TOPICS_MAX,
        throttle_buckets_max: THROTTLE_BUCKETS_MAX,
        ..doorbell_backplane::Config::default()
    }
}

pub struct RedisHarness {
    backend: Metered<Redis>,
    now: Arc<AtomicU64>,
}

#[async_trait]
impl Harness for RedisHarness {
    type Backend = Metered<Redis>;

    async fn fresh() -> Self {
        let servers = SERVERS.with_borrow(Clone::clone);
        let now = Arc::new(AtomicU64::new(START_MS));
        let clock = Arc::clone(&now);
        let clock = Arc::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)));
        let redis = Redis::connect_by_clock(&backplane(), &section(&servers), clock).await;
        let metrics = Metrics::register(&prometheus::Registry::new()).expect("the names are free");
        Self { backend: Metered::new(redis.expect("the servers are there"), Arc::new(metrics)), now }
    }

    fn backend(&self) -> &Self::Backend {
        &self.backend
    }

    async fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    async fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).expect("a short time");
        self.now.fetch_add(by, Ordering::Relaxed);
    }

    async fn user(&self, user: &UserId) -> UserView {
        self.backend.inner().user(user).await.expect("redis answers")
    }
}
