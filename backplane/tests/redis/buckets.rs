//! Buckets of throttles, by the server's own time.

use std::time::Duration;

use doorbell_backplane::{BucketId, BucketLevel, Buckets as _, Partition, Redis};
use redis::Value;

use super::caller::{connect, until, user};
use super::server::Server;

const MINUTE: Duration = Duration::from_secs(60);

/// A partition with a bucket, and its key.
fn bucket(redis: &Redis) -> (Partition, BucketId, String) {
    let (alice, partitions) = (user("alice"), redis.partitions());
    let home = partitions.of(&alice);
    let bucket = (0..).map(BucketId).find(|bucket| partitions.of_bucket(*bucket) == home).expect("endless");
    (home, bucket, redis.key_of(&alice, "buckets"))
}

async fn left_ms(redis: &Redis, key: &str) -> i64 {
    let Value::Int(left) = redis.ask(&[b"PTTL", key.as_bytes()]).await.expect("it answers") else {
        panic!("a number")
    };
    left
}

#[tokio::test]
async fn what_nobody_writes_any_more_expires_with_the_last_bucket_that_is_full() {
    let server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    let (home, bucket, key) = bucket(&redis);
    let keep = |full_in| redis.keep(vec![BucketLevel { bucket, full_in }]);
    keep(MINUTE).await.unwrap();
    assert!((1..=60_000).contains(&left_ms(&redis, &key).await));
    let recalled = redis.recall(home, 0, 10).await.unwrap();
    assert!(recalled.len() == 1 && recalled[0].full_in <= MINUTE, "{recalled:?}");

    keep(Duration::from_millis(20)).await.unwrap();

    until("it is gone", async || match left_ms(&redis, &key).await {
        -2 => Ok(()),
        left => Err(left),
    })
    .await;
    assert_eq!(redis.recall(home, 0, 10).await.unwrap(), []);
}

/// R8.
#[tokio::test]
async fn what_is_no_bucket_of_ours_is_passed_over() {
    let server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    let (home, bucket, key) = bucket(&redis);
    redis.keep(vec![BucketLevel { bucket, full_in: MINUTE }]).await.unwrap();
    let far = b"99999999999999";
    for foreign in [&b"nonsense"[..], b"", b"\xff", b"+0000000000000000000000000000007"] {
        redis.ask(&[b"ZADD", key.as_bytes(), far, foreign]).await.unwrap();
    }

    let recalled = redis.recall(home, 0, 10).await.unwrap();

    assert_eq!(recalled.iter().map(|level| level.bucket).collect::<Vec<_>>(), [bucket]);
}

/// R8.
#[tokio::test]
async fn a_time_that_never_comes_neither_ends_what_is_kept_nor_is_recalled() {
    let server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    let (home, bucket, key) = bucket(&redis);
    let keep = || redis.keep(vec![BucketLevel { bucket, full_in: MINUTE }]);
    keep().await.unwrap();
    let buckets = async || {
        let recalled = redis.recall(home, 0, 10).await.unwrap();
        recalled.iter().map(|level| level.bucket).collect::<Vec<_>>()
    };
    for never in [&b"inf"[..], b"1e300", b"-inf"] {
        redis.ask(&[b"ZADD", key.as_bytes(), never, b"00000000000000000000000000000007"]).await.unwrap();

        assert_eq!(buckets().await, [bucket], "before the next round");
        keep().await.unwrap();

        assert_eq!(buckets().await, [bucket]);
        assert!((1..=60_000).contains(&left_ms(&redis, &key).await), "it expires with what is ours");
    }
}
