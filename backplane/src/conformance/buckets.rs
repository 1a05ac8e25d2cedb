//! Buckets of throttles, kept for whoever takes over.

use std::time::Duration;

use super::driver::{Driver, TICK};
use super::{Harness, THROTTLE_BUCKETS_MAX};
use crate::{BucketId, BucketLevel, Buckets as _, Partition};

const ANSWERS: &str = "the back-end answers";
const MINUTE: Duration = Duration::from_secs(60);

const fn level(bucket: BucketId, full_in: Duration) -> BucketLevel {
    BucketLevel { bucket, full_in }
}

/// The first buckets of one partition.
fn neighbours<H: Harness>(d: &Driver<H>, count: usize) -> (Partition, Vec<BucketId>) {
    let partitions = d.backend().partitions();
    let home = partitions.of_bucket(BucketId(u128::MAX));
    let of_home = (0..=u128::MAX).rev().map(BucketId).filter(|bucket| partitions.of_bucket(*bucket) == home);
    (home, of_home.take(count).collect())
}

async fn keep<H: Harness>(d: &Driver<H>, levels: &[BucketLevel]) {
    d.backend().keep(levels.to_vec()).await.expect(ANSWERS);
}

/// Everything that is kept of a partition.
async fn recall<H: Harness>(d: &Driver<H>, partition: Partition) -> Vec<BucketLevel> {
    d.backend().recall(partition, 0, 100).await.expect(ANSWERS)
}

pub(super) async fn a_bucket_is_recalled_with_the_time_that_is_left<H: Harness>(d: Driver<H>) {
    let (home, buckets) = neighbours(&d, 1);
    keep(&d, &[level(buckets[0], MINUTE)]).await;
    assert_eq!(recall(&d, home).await, [level(buckets[0], MINUTE)]);

    d.advance(MINUTE / 2).await;

    assert_eq!(recall(&d, home).await, [level(buckets[0], MINUTE / 2)]);
    for other in d.backend().partitions().all().filter(|partition| *partition != home) {
        assert_eq!(recall(&d, other).await, [], "partitions do not share buckets");
    }
}

pub(super) async fn the_last_level_of_a_bucket_holds<H: Harness>(d: Driver<H>) {
    let (home, buckets) = neighbours(&d, 1);
    keep(&d, &[level(buckets[0], TICK), level(buckets[0], 2 * MINUTE)]).await;
    assert_eq!(recall(&d, home).await, [level(buckets[0], 2 * MINUTE)]);

    keep(&d, &[level(buckets[0], MINUTE)]).await;

    assert_eq!(recall(&d, home).await, [level(buckets[0], MINUTE)]);
}

pub(super) async fn a_full_bucket_is_not_recalled<H: Harness>(d: Driver<H>) {
    let (home, buckets) = neighbours(&d, 2);
    keep(&d, &[level(buckets[0], MINUTE), level(buckets[1], Duration::ZERO)]).await;
    assert_eq!(recall(&d, home).await, [level(buckets[0], MINUTE)]);

    d.advance(MINUTE).await;

    assert_eq!(recall(&d, home).await, []);
}

pub(super) async fn buckets_are_recalled_in_steps_those_first_that_take_longest<H: Harness>(d: Driver<H>) {
    let (home, buckets) = neighbours(&d, 3);
    let levels = [(1, 2 * MINUTE), (0, MINUTE), (2, TICK)].map(|(at, left)| level(buckets[at], left));
    keep(&d, &[levels[1], levels[2], levels[0]]).await;

    let step = async |passed_over| d.backend().recall(home, passed_over, 2).await.expect(ANSWERS);

    assert_eq!(step(0).await, levels[..2]);
    assert_eq!(step(2).await, levels[2..]);
    assert_eq!(step(3).await, []);
}

pub(super) async fn beyond_the_most_those_that_are_full_soonest_are_forgotten<H: Harness>(d: Driver<H>) {
    let most = THROTTLE_BUCKETS_MAX.get() as usize;
    let (home, buckets) = neighbours(&d, most + 2);
    let mut levels: Vec<_> = (1..).zip(buckets).map(|(n, bucket)| level(bucket, n * MINUTE)).collect();
    keep(&d, &levels).await;

    levels.reverse();
    levels.truncate(most);

    assert_eq!(recall(&d, home).await, levels);
}

pub(super) async fn full_buckets_make_room_first<H: Harness>(d: Driver<H>) {
    let most = THROTTLE_BUCKETS_MAX.get() as usize;
    let (home, buckets) = neighbours(&d, 2 * most);
    let (before, after) = buckets.split_at(most);
    keep(&d, &before.iter().map(|bucket| level(*bucket, MINUTE)).collect::<Vec<_>>()).await;
    d.advance(MINUTE).await;

    let levels: Vec<_> = (1..).zip(after).map(|(n, bucket)| level(*bucket, n * MINUTE)).collect();
    keep(&d, &levels).await;

    assert!(recall(&d, home).await.iter().eq(levels.iter().rev()));
}

pub(super) async fn a_bucket_takes_up_to_a_millisecond_longer_and_never_less<H: Harness>(d: Driver<H>) {
    let (home, buckets) = neighbours(&d, 1);
    // For minutes: Redis lets go of what is full by its own clock, whatever the test's says.
    keep(&d, &[level(buckets[0], MINUTE + Duration::from_nanos(1))]).await;
    assert_eq!(recall(&d, home).await, [level(buckets[0], MINUTE + TICK)]);
}
