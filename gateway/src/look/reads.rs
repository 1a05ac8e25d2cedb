//! Reads of stored versions for sessions that wait for them, a call for many: where everybody comes back at once, all of them ask for the
//! same few topics.

use std::collections::HashMap;

use doorbell_backplane::{Partition, Partitions};
use doorbell_protocol::{TopicId, Version};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::{Notify, oneshot};

use super::{READ_MAX, within};
use crate::gateway::Gateway;

/// Whoever waits for a topic's version.
type Readers = SmallVec<[oneshot::Sender<Version>; 1]>;

/// What sessions asked for and nobody has begun to read. A read is of one partition, and of each partition one at a time: whoever comes during
/// one waits for the next, so that no answer is older than the question, and a partition whose store does not answer holds up no other.
pub(super) struct Reads {
    partitions: Partitions,
    /// By partition.
    waiting: Mutex<Vec<Waiting>>,
    bell: Notify,
}

#[derive(Default)]
struct Waiting {
    topics: HashMap<TopicId, Readers>,
    /// A read of it is under way.
    is_read: bool,
}

impl Reads {
    pub(super) fn new(partitions: Partitions) -> Self {
        let waiting = partitions.all().map(|_| Waiting::default()).collect();
        Self { partitions, waiting: Mutex::new(waiting), bell: Notify::new() }
    }

    /// Wants a topic's version as of a moment after this. Where there is no answer, the other end is dropped.
    pub(super) fn want(&self, topic: &TopicId) -> oneshot::Receiver<Version> {
        let (reader, waits) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let of_partition = &mut waiting[self.partitions.of_topic(topic).index()];
        of_partition.topics.entry(topic.clone()).or_default().push(reader);
        if !of_partition.is_read {
            self.bell.notify_one();
        }
        waits
    }

    /// What is to be read next: of a partition where no read is under way, without those who gave up.
    fn take(&self) -> Option<(Partition, HashMap<TopicId, Readers>)> {
        let mut waiting = self.waiting.lock();
        self.partitions.all().find_map(|partition| {
            let Waiting { topics, is_read } = &mut waiting[partition.index()];
            if *is_read || topics.is_empty() {
                return None;
            }
            topics.retain(|_, readers| {
                readers.retain(|reader| !reader.is_closed());
                !readers.is_empty()
            });
            let batch = if topics.len() <= READ_MAX {
                std::mem::take(topics)
            } else {
                let names: Vec<_> = topics.keys().take(READ_MAX).cloned().collect();
                names.into_iter().filter_map(|name| topics.remove_entry(&name)).collect()
            };
            *is_read = !batch.is_empty();
            is_read.then_some((partition, batch))
        })
    }

    fn ended(&self, partition: Partition) {
        self.waiting.lock()[partition.index()].is_read = false;
    }
}

impl Gateway {
    /// Reads for whoever waits, as long as it is polled.
    pub(crate) async fn read_for_sessions(&self) {
        let reads = &self.store_reader().reads;
        let mut under_way = FuturesUnordered::new();
        loop {
            while let Some((partition, batch)) = reads.take() {
                under_way.push(async move {
                    self.read_for(batch).await;
                    partition
                });
            }
            tokio::select! {
                Some(partition) = under_way.next(), if !under_way.is_empty() => reads.ended(partition),
                () = reads.bell.notified() => {}
            }
        }
    }

    async fn read_for(&self, batch: HashMap<TopicId, Readers>) {
        let (topics, readers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let read = within(self, self.store_reader().versions.read(topics)).await;
        // Without an answer all of them are dropped, and so told.
        for (readers, version) in readers.into_iter().zip(read.into_iter().flatten()) {
            for reader in readers {
                // Whoever asked may have given up.
                let _ = reader.send(version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn topic(name: &str) -> TopicId {
        TopicId::new(name).unwrap()
    }

    fn reads() -> Reads {
        Reads::new(Partitions::default())
    }

    #[test]
    fn a_crowd_shares_a_read_and_who_comes_during_one_waits_for_the_next() {
        let (reads, hot) = (reads(), topic("feed:hot"));
        let crowd: Vec<_> = (0..3).map(|_| reads.want(&hot)).collect();

        let (partition, batch) = reads.take().unwrap();
        let late = reads.want(&hot);

        assert_eq!((batch.len(), batch[&hot].len()), (1, 3));
        assert!(reads.take().is_none(), "one at a time");
        drop(crowd);
        reads.ended(partition);
        assert_eq!(reads.take().unwrap().1[&hot].len(), 1);
        drop(late);
    }

    #[test]
    fn a_partition_that_does_not_answer_holds_up_no_other() {
        let reads = reads();
        let names: Vec<_> = (0..50).map(|number| topic(&format!("feed:{number}"))).collect();
        let _waits: Vec<_> = names.iter().map(|name| reads.want(name)).collect();

        let taken: Vec<_> = std::iter::from_fn(|| reads.take()).collect();

        assert_eq!(taken.iter().map(|(_, batch)| batch.len()).sum::<usize>(), names.len());
        for (partition, batch) in &taken {
            assert!(batch.keys().all(|name| reads.partitions.of_topic(name) == *partition));
        }
        assert!(taken.len() > 1);
    }

    #[test]
    fn nothing_is_read_for_who_gave_up_and_a_call_has_its_size() {
        let reads = Reads::new(Partitions::new(NonZeroU16::MIN));
        drop(reads.want(&topic("feed:gone")));
        assert!(reads.take().is_none());

        let _waits: Vec<_> = (0..=READ_MAX).map(|nth| reads.want(&topic(&format!("feed:{nth}")))).collect();
        let (partition, batch) = reads.take().unwrap();
        assert_eq!(batch.len(), READ_MAX);
        reads.ended(partition);
        assert_eq!(reads.take().unwrap().1.len(), 1);
    }
}
