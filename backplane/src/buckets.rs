//! How full the buckets of throttles are: kept for whoever takes over from who fills them.
//!
//! One process decides about a bucket, from its own memory, and tells this store now and then how it stands: nobody waits
//! for the store before something is let through. What is kept goes by the store's time and is told as the time that is
//! left, so that no two clocks have to agree.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Error, Partition, Partitions};

/// 3,000 years.
const FULL_IN_MS_MAX: u64 = 99_999_999_999_999;

/// Whose bucket: 128 bits that mean something to who keeps it, and nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketId(pub u128);

/// How one bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketLevel {
    /// Whose.
    pub bucket: BucketId,
    /// How long until it is full if nothing more is taken from it; kept to the ms, rounded up.
    pub full_in: Duration,
}

impl BucketLevel {
    /// In ms; never so many that a time to which a store adds them loses a digit.
    pub(crate) fn full_in_ms(self) -> u64 {
        u64::try_from(self.full_in.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(FULL_IN_MS_MAX)
    }
}

/// Where buckets outlive the process that fills them.
///
/// A full bucket is not kept: what nobody speaks of is full. A partition keeps at most
/// [`crate::Config::throttle_buckets_max`]; beyond it, those that are full soonest are forgotten.
#[async_trait]
pub trait Buckets: Send + Sync {
    /// How buckets are spread.
    fn partitions(&self) -> Partitions;

    /// Keeps how buckets stand, in place of what was kept of them before; of a bucket that is named twice, the last counts.
    ///
    /// *Repeats*: a repeated call has its buckets full later, by the time between the two.
    /// *Cancel safety*: a dropped call may have kept some of them.
    async fn keep(&self, levels: Vec<BucketLevel>) -> Result<(), Error>;

    /// Buckets of a partition that are not full, those first that take longest; at most `buckets_max`, after as many as are
    /// to be passed over. None: that was all.
    async fn recall(
        &self,
        partition: Partition,
        passed_over: usize,
        buckets_max: usize,
    ) -> Result<Vec<BucketLevel>, Error>;
}
