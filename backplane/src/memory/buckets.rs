//! The memory back-end as the store of buckets: of use where several services share one process.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use doorbell_protocol::Timestamp;

use super::Memory;
use crate::buckets::{BucketId, BucketLevel, Buckets};
use crate::{Error, Partition, Partitions};

/// The buckets of one partition that are not full.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The latest time seen: a bucket that was full is not filled again by a time that goes back.
    now: Timestamp,
    full_at: HashMap<BucketId, Timestamp>,
    /// Each bucket once, under the time at which it is full.
    order: BTreeSet<(Timestamp, BucketId)>,
}

impl Kept {
    fn keep(&mut self, level: BucketLevel, now: Timestamp, buckets_max: usize) {
        self.now = self.now.max(now);
        let full_at = Timestamp::from_millis(self.now.as_millis() + level.full_in_ms());
        if let Some(before) = self.full_at.insert(level.bucket, full_at) {
            self.order.remove(&(before, level.bucket));
        }
        self.order.insert((full_at, level.bucket));
        while let Some(&(soonest, bucket)) = self.order.first() {
            if self.now < soonest && self.order.len() <= buckets_max {
                break;
            }
            self.order.pop_first();
            self.full_at.remove(&bucket);
        }
    }

    fn recall(&self, now: Timestamp, passed_over: usize, buckets_max: usize) -> Vec<BucketLevel> {
        let now = self.now.max(now);
        let longest = self.order.iter().rev().take_while(|(full_at, _)| now < *full_at);
        let level = |(full_at, bucket): &(Timestamp, BucketId)| BucketLevel {
            bucket: *bucket,
            full_in: full_at.since(now),
        };
        longest.skip(passed_over).take(buckets_max).map(level).collect()
    }
}

#[async_trait]
impl Buckets for Memory {
    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn keep(&self, levels: Vec<BucketLevel>) -> Result<(), Error> {
        for level in levels {
            let now = self.now();
            let partition = self.partitions.of_bucket(level.bucket);
            self.buckets[partition.index()].lock().keep(level, now, self.throttle_buckets_max);
        }
        Ok(())
    }

    async fn recall(
        &self,
        partition: Partition,
        passed_over: usize,
        buckets_max: usize,
    ) -> Result<Vec<BucketLevel>, Error> {
        Ok(self.buckets[partition.index()].lock().recall(self.now(), passed_over, buckets_max))
    }
}
