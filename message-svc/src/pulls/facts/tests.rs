use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Value(u64, usize);

impl Size for Value {
    fn bytes(&self) -> usize {
        self.1
    }
}

const SMALL: usize = 100;
const MANY: Bounds = Bounds { bytes_max: 1 << 20, items_max: 1_000 };

fn facts(bounds: Bounds) -> Arc<Facts<u64, Value>> {
    Arc::new(Facts::new(bounds))
}

async fn read(facts: &Facts<u64, Value>, key: u64, bytes: usize) -> Source {
    let (value, source) = facts.get(&key, async { Ok::<_, Infallible>(Value(key, bytes)) }).await.unwrap();
    assert_eq!(value.0, key);
    source
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_asks_during_a_reading_waits_for_it() {
    for bounds in [MANY, Bounds { bytes_max: 0, items_max: 0 }] {
        let facts = facts(bounds);
        let (let_go, held) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let leader = Arc::clone(&facts);
        tasks.spawn(async move {
            let read = async { held.await.map(|()| Value(1, SMALL)) };
            leader.get(&1, read).await.unwrap().1
        });
        settle().await;
        for _ in 0..100 {
            let follower = Arc::clone(&facts);
            tasks.spawn(async move { read(&follower, 1, SMALL).await });
        }
        settle().await;

        let_go.send(()).unwrap();

        let mut sources = tasks.join_all().await;
        sources.sort_unstable_by_key(|source| *source == Source::Read);
        assert_eq!(sources.pop(), Some(Source::Read));
        assert!(sources.iter().all(|source| *source == Source::Joined));
        let after = if facts.keeps() { Source::Kept } else { Source::Read };
        assert_eq!(read(&facts, 1, SMALL).await, after);
    }
}

#[tokio::test]
async fn a_reader_who_is_gone_leaves_the_reading_to_the_next() {
    let facts = facts(MANY);
    let leading = |facts: &Arc<Facts<u64, Value>>| {
        let facts = Arc::clone(facts);
        async move { facts.get(&1, std::future::pending::<Result<Value, Infallible>>()).await.map(|_| ()) }
    };
    let mut leaders = JoinSet::new();
    leaders.spawn(leading(&facts));
    settle().await;
    // In line behind the first; it never ends by itself either.
    leaders.spawn(leading(&facts));
    settle().await;
    let mut followers = JoinSet::new();
    for _ in 0..100 {
        let follower = Arc::clone(&facts);
        followers.spawn(async move { read(&follower, 1, SMALL).await });
    }
    settle().await;
    assert!(followers.try_join_next().is_none(), "they wait");

    leaders.shutdown().await;

    let sources = followers.join_all().await;
    assert_eq!(sources.iter().filter(|source| **source == Source::Read).count(), 1);
    assert_eq!(sources.len(), 100);
}

#[tokio::test]
async fn a_failure_is_of_the_one_who_met_it_and_is_not_kept() {
    let facts = facts(MANY);
    let (let_fail, held) = oneshot::channel::<()>();
    let mut tasks = JoinSet::new();
    let leader = Arc::clone(&facts);
    tasks.spawn(async move {
        let failing = async {
            held.await.unwrap();
            Err("the disk")
        };
        assert_eq!(leader.get(&1, failing).await, Err("the disk"));
    });
    settle().await;
    for _ in 0..100 {
        let follower = Arc::clone(&facts);
        tasks.spawn(async move { _ = read(&follower, 1, SMALL).await });
    }
    settle().await;

    let_fail.send(()).unwrap();

    tasks.join_all().await;
    assert_eq!(facts.get(&2, async { Err::<Value, _>("once more") }).await, Err("once more"));
    assert_eq!(read(&facts, 2, SMALL).await, Source::Read);
}

#[tokio::test]
async fn bytes_are_bounded_and_what_is_too_large_is_not_kept() {
    let facts = facts(Bounds { bytes_max: 100_000, items_max: 1_000 });
    for key in 0..1_000 {
        read(&facts, key, 5_000).await;
        let (bytes, items) = facts.size();
        assert!(bytes <= 100_000 && bytes >= 5_000 * items as u64, "{bytes} bytes in {items}");
    }
    assert!(facts.size().1 >= 10, "{:?}", facts.size());
    assert_eq!(read(&facts, 999, 5_000).await, Source::Kept);

    assert_eq!(read(&facts, 5_000, 200_000).await, Source::Read);
    assert_eq!(read(&facts, 5_000, 200_000).await, Source::Read);
}

#[tokio::test]
async fn items_are_bounded_however_small() {
    let facts = facts(Bounds { bytes_max: 1 << 20, items_max: 50 });
    for key in 0..1_000 {
        read(&facts, key, 1).await;
        assert!(facts.size().1 <= 50);
    }
    assert!(facts.size().1 >= 20, "{:?}", facts.size());
}
