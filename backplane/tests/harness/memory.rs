//! The memory back-end with a clock that moves by hand and tokens that count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::conformance::{CHANNEL_TOPICS_MAX, Harness, THROTTLE_BUCKETS_MAX, UserView};
use doorbell_backplane::{Config, Memory, Metered, Metrics};
use doorbell_protocol::{Timestamp, UserId};

/// 2026-01-01: a time as a real clock gives it.
const START_MS: u64 = 1_767_225_600_000;

pub struct MemoryHarness {
    backend: Metered<Memory>,
    now: Arc<AtomicU64>,
}

#[async_trait]
impl Harness for MemoryHarness {
    type Backend = Metered<Memory>;

    async fn fresh() -> Self {
        static LIVES: AtomicU64 = AtomicU64::new(1);
        let now = Arc::new(AtomicU64::new(START_MS));
        let clock = Arc::clone(&now);
        let life = u128::from(LIVES.fetch_add(1, Ordering::Relaxed)) << 64;
        let count = AtomicU64::new(0);
        let memory = Memory::with_random(
            &Config {
                channel_topics_max: CHANNEL_TOPICS_MAX,
                throttle_buckets_max: THROTTLE_BUCKETS_MAX,
                ..Config::default()
            },
            Arc::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed))),
            Arc::new(move || life + u128::from(count.fetch_add(1, Ordering::Relaxed))),
        );
        let metrics = Metrics::register(&prometheus::Registry::new()).expect("the names are free");
        Self { backend: Metered::new(memory, Arc::new(metrics)), now }
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
        self.backend.inner().user(user).into()
    }
}
