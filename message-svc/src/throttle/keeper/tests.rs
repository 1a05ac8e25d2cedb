//! Rounds, their failures, and what a successor finds.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use doorbell_backplane::{Memory, Partitions};
use doorbell_protocol::{Timestamp, UserId};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};

use super::*;
use crate::Config;

/// How a store of buckets behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Answers,
    Refuses,
    Hangs,
}

/// The memory back-end, with moods.
struct Store {
    memory: Memory,
    mood: Mutex<Mood>,
    kept: AtomicUsize,
}

impl Store {
    fn new() -> Arc<Self> {
        let clock = Arc::new(|| Timestamp::from_millis(1_700_000_000_000));
        let memory = Memory::new(&doorbell_backplane::Config::default(), clock);
        Arc::new(Self { memory, mood: Mutex::new(Mood::Answers), kept: AtomicUsize::new(0) })
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    async fn answer(&self) -> Result<(), Error> {
        let mood = *self.mood.lock();
        match mood {
            Mood::Answers => Ok(()),
            Mood::Refuses => Err(Error::Unavailable { reason: "a test said so".into() }),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Buckets for Store {
    fn partitions(&self) -> Partitions {
        Buckets::partitions(&self.memory)
    }

    async fn keep(&self, levels: Vec<BucketLevel>) -> Result<(), Error> {
        self.kept.fetch_add(1, Ordering::SeqCst);
        assert!(levels.len() <= KEPT_MAX);
        self.answer().await?;
        self.memory.keep(levels).await
    }

    async fn recall(
        &self,
        partition: Partition,
        after: usize,
        most: usize,
    ) -> Result<Vec<BucketLevel>, Error> {
        self.answer().await?;
        // Steps of two, so that several are needed.
        self.memory.recall(partition, after, most.min(2)).await
    }
}

/// What comes back takes an hour: no test waits for it.
fn keeper(store: &Arc<Store>) -> Keeper {
    let hour = Duration::from_secs(3_600);
    let config = Config { throttle_period: hour, throttle_conversations_period: hour, ..Config::default() };
    Keeper {
        throttles: Arc::new(Throttles::new(&config).noting()),
        buckets: Arc::clone(store) as _,
        metrics: Arc::new(Metrics::register(&prometheus::Registry::new()).unwrap()),
    }
}

fn send(throttles: &Throttles, user: &str, messages: usize) -> usize {
    let caller = UserId::new(user).unwrap().into();
    (0..messages).filter(|_| throttles.messages.admit(&caller).is_ok()).count()
}

/// What whoever takes over lets a user do.
async fn left_after_a_crash(store: &Arc<Store>, user: &str) -> usize {
    let next = keeper(store);
    next.recall().await;
    send(&next.throttles, user, 100)
}

/// A keeper that runs; it ends in order when it is told to.
struct Running {
    throttles: Arc<Throttles>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

async fn run(store: &Arc<Store>) -> Running {
    let (keeper, stop) = (keeper(store), CancellationToken::new());
    let (throttles, metrics) = (Arc::clone(&keeper.throttles), Arc::clone(&keeper.metrics));
    let mut task = JoinSet::new();
    task.spawn(keeper.run(stop.clone()));
    settle().await;
    Running { throttles, metrics, stop, task }
}

/// Lets the task do what it can do now.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

async fn next_round() {
    advance(KEEP_INTERVAL).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn many_takes_are_one_call_and_whoever_takes_over_knows_of_them() {
    let store = Store::new();
    let running = run(&store).await;
    assert_eq!(send(&running.throttles, "ada", 10), 10);
    assert_eq!(send(&running.throttles, "bob", 4), 4);
    assert_eq!(store.kept.load(Ordering::SeqCst), 0, "no send asks anybody");
    assert_eq!(left_after_a_crash(&store, "ada").await, 10, "the last interval is forgotten");

    next_round().await;
    next_round().await;

    assert_eq!(store.kept.load(Ordering::SeqCst), 1);
    assert_eq!(running.metrics.throttles.rounds(Round::Kept), 1);
    let left = [left_after_a_crash(&store, "ada").await, left_after_a_crash(&store, "bob").await];
    assert_eq!(left, [0, 6]);
    assert_eq!(left_after_a_crash(&store, "eve").await, 10);
}

#[tokio::test(start_paused = true)]
async fn all_users_are_taken_over_in_as_many_steps_as_it_takes() {
    let store = Store::new();
    let running = run(&store).await;
    let users: Vec<String> = (0..200).map(|number| format!("user-{number}")).collect();
    assert!(users.iter().all(|user| send(&running.throttles, user, 10) == 10));
    next_round().await;

    let next = keeper(&store);
    next.recall().await;

    assert!(users.iter().all(|user| send(&next.throttles, user, 1) == 0));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_kept_is_kept_when_that_works_again() {
    for mood in [Mood::Refuses, Mood::Hangs] {
        let store = Store::new();
        let running = run(&store).await;
        store.is(mood);
        assert_eq!(send(&running.throttles, "ada", 6), 6);
        next_round().await;
        assert_eq!(send(&running.throttles, "ada", 2), 2, "sends go on");
        advance(KEEP_TIMEOUT).await;
        settle().await;
        assert!(running.metrics.throttles.rounds(Round::Failed) > 0);

        store.is(Mood::Answers);
        advance(KEEP_TIMEOUT).await;
        settle().await;
        next_round().await;

        assert_eq!(left_after_a_crash(&store, "ada").await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn who_ends_in_order_leaves_nothing_out() {
    let store = Store::new();
    let mut running = run(&store).await;
    assert_eq!(send(&running.throttles, "ada", 9), 9);

    running.stop.cancel();
    running.task.join_next().await.unwrap().unwrap();

    assert_eq!(left_after_a_crash(&store, "ada").await, 1);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_buckets_begin_full_and_in_time() {
    let store = Store::new();
    let running = run(&store).await;
    assert_eq!(send(&running.throttles, "ada", 10), 10);
    next_round().await;

    for mood in [Mood::Refuses, Mood::Hangs] {
        store.is(mood);
        let began = Instant::now();
        assert_eq!(left_after_a_crash(&store, "ada").await, 10);
        assert_eq!(began.elapsed(), RECALL_TIMEOUT, "a refusal may be over sooner, so it is asked again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_full_before_the_next_round_is_nobody_s_business() {
    let store = Store::new();
    let many = Config { throttle_messages: 1_000_000, ..Config::default() };
    let keeper = Keeper { throttles: Arc::new(Throttles::new(&many).noting()), ..keeper(&store) };
    assert_eq!(send(&keeper.throttles, "bot", 1_000), 1_000);

    keeper.round(&Peer::new("a store")).await;

    assert_eq!(store.kept.load(Ordering::SeqCst), 0);
    assert_eq!(keeper.metrics.throttles.rounds(Round::Quiet), 1);
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_asks_again_while_there_is_time() {
    let store = Store::new();
    let running = run(&store).await;
    assert_eq!(send(&running.throttles, "ada", 6), 6);
    next_round().await;

    store.is(Mood::Refuses);
    let next = keeper(&store);
    let comes_back = async {
        // The clock is paused: time passes while nobody answers.
        let _ = tokio::time::timeout(RECALL_TIMEOUT / 2, std::future::pending::<()>()).await;
        store.is(Mood::Answers);
    };
    tokio::join!(next.recall(), comes_back);

    assert_eq!(send(&next.throttles, "ada", 100), 4, "of ten");
}
