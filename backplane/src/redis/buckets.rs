//! The Redis back-end as the store of buckets.

use std::time::Duration;

use async_trait::async_trait;

use super::calls::PIECE;
use super::reply::Reply;
use super::{Error, Redis};
use crate::{BucketId, BucketLevel, Buckets, Partition, Partitions};

/// Buckets in one answer: they are read, and nothing is written.
const RECALLED_MAX: usize = 1_000;

#[async_trait]
impl Buckets for Redis {
    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn keep(&self, levels: Vec<BucketLevel>) -> Result<(), Error> {
        let of = |level: &BucketLevel| self.partitions.of_bucket(level.bucket);
        self.spread(levels, of, |partition, piece| Box::pin(self.keep_piece(partition, piece)))
            .await
            .map(|_| ())
    }

    /// As the trait says, and at most 1,000.
    async fn recall(
        &self,
        partition: Partition,
        passed_over: usize,
        buckets_max: usize,
    ) -> Result<Vec<BucketLevel>, Error> {
        let script = &self.scripts.recall;
        let mut command = self.command(script, partition);
        command.arg(passed_over).arg(buckets_max.min(RECALLED_MAX));
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        let mut levels = Vec::with_capacity(reply.left() / 2);
        while reply.left() > 0 {
            let (bucket, full_in) = (reply.bytes()?, Duration::from_millis(reply.number()?));
            // What is no bucket was written by somebody else; it concerns nobody.
            levels.extend(read_id(&bucket).map(|bucket| BucketLevel { bucket, full_in }));
        }
        Ok(levels)
    }
}

impl Redis {
    async fn keep_piece(&self, partition: Partition, piece: Vec<BucketLevel>) -> Result<Vec<()>, Error> {
        let script = &self.scripts.keep;
        let mut command = self.command(script, partition);
        command.arg(self.throttle_buckets_max);
        for level in &piece {
            command.arg(write_id(level.bucket)).arg(level.full_in_ms());
        }
        self.call(script, partition, command).await?;
        Ok(vec![(); piece.len()])
    }
}

fn write_id(bucket: BucketId) -> String {
    format!("{:032x}", bucket.0)
}

fn read_id(bytes: &[u8]) -> Option<BucketId> {
    let text = std::str::from_utf8(bytes).ok()?;
    let bucket = BucketId(u128::from_str_radix(text, 16).ok()?);
    (text == write_id(bucket)).then_some(bucket)
}

const _: () = assert!(2 * PIECE < 1_000, "a script unpacks times and buckets onto Lua's stack");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_read_as_it_was_written_and_nothing_else_is() {
        for bucket in [0, 7, u128::MAX].map(BucketId) {
            assert_eq!(read_id(write_id(bucket).as_bytes()), Some(bucket));
        }
        for text in ["", "7", "+0000000000000000000000000000007", "x0000000000000000000000000000007"] {
            assert_eq!(read_id(text.as_bytes()), None, "{text}");
        }
    }
}
