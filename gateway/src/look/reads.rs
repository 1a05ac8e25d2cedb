//! Reads of stored versions for sessions that wait for them, a call for many: where everybody comes back at once, all of them ask for the
//! same few topics.

use std::collections::{HashMap, VecDeque};

use doorbell_backplane::{Partition, Partitions};
use doorbell_protocol::{TopicId, Version};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::{Notify, oneshot};

use super::within;
use crate::gateway::Gateway;

/// Topics in one read: as many as Redis is asked for in two pieces.
const TOPICS_MAX: usize = 500;
/// Reads of one partition at a time, where as many topics wait as go into one; otherwise it is one.
const UNDER_WAY_MAX: usize = 4;

/// Whoever waits for a topic's version.
type Readers = SmallVec<[oneshot::Sender<Version>; 1]>;

/// What sessions asked for and nobody has begun to read, the oldest first. A read is of one partition, and whoever comes during one is in a
/// later one: so no answer is older than the question, and a partition whose store does not answer holds up no other. Each waits until its
/// turn at most, and a session asks for no more than `subscriptions_max` topics.
pub(super) struct Reads {
    partitions: Partitions,
    /// By partition.
    waiting: Vec<Mutex<Waiting>>,
    bell: Notify,
}

#[derive(Default)]
struct Waiting {
    topics: HashMap<TopicId, Readers>,
    /// The same topics, in the order in which they were first asked for.
    order: VecDeque<TopicId>,
    /// Reads under way.
    under_way: usize,
}

impl Waiting {
    /// Whether a read may begin.
    fn is_due(&self) -> bool {
        self.under_way == 0 || (self.under_way < UNDER_WAY_MAX && self.order.len() >= TOPICS_MAX)
    }

    /// What is to be read next, without those who gave up; `None` where nobody waits, or has to wait for a read under way.
    fn take(&mut self) -> Option<HashMap<TopicId, Readers>> {
        if !self.is_due() {
            return None;
        }
        let mut batch = HashMap::new();
        while batch.len() < TOPICS_MAX
            && let Some(topic) = self.order.pop_front()
        {
            let mut readers = self.topics.remove(&topic).unwrap_or_default();
            readers.retain(|reader| !reader.is_closed());
            if !readers.is_empty() {
                batch.insert(topic, readers);
            }
        }
        if self.order.is_empty() {
            // Without the room that a crowd took.
            (self.topics, self.order) = (HashMap::new(), VecDeque::new());
        }
        let is_any = !batch.is_empty();
        self.under_way += usize::from(is_any);
        is_any.then_some(batch)
    }
}

impl Reads {
    pub(super) fn new(partitions: Partitions) -> Self {
        let waiting = partitions.all().map(|_| Mutex::default()).collect();
        Self { partitions, waiting, bell: Notify::new() }
    }

    /// Wants a topic's version as of a moment after this. Where there is no answer, the other end is dropped.
    pub(super) fn want(&self, topic: &TopicId) -> oneshot::Receiver<Version> {
        let (reader, waits) = oneshot::channel();
        let mut waiting = self.waiting[self.partitions.of_topic(topic).index()].lock();
        let Waiting { topics, order, .. } = &mut *waiting;
        let readers = topics.entry(topic.clone()).or_insert_with(|| {
            order.push_back(topic.clone());
            Readers::new()
        });
        readers.push(reader);
        // Where it is not, the end of a read looks again.
        if waiting.is_due() {
            self.bell.notify_one();
        }
        waits
    }

    fn take(&self) -> Option<(Partition, HashMap<TopicId, Readers>)> {
        let take = |partition: Partition| Some((partition, self.waiting[partition.index()].lock().take()?));
        self.partitions.all().find_map(take)
    }

    fn ended(&self, partition: Partition) {
        self.waiting[partition.index()].lock().under_way -= 1;
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
                // A crowd may be thousands.
                tokio::task::consume_budget().await;
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
    fn nothing_is_read_for_who_gave_up() {
        let reads = Reads::new(Partitions::new(NonZeroU16::MIN));
        drop(reads.want(&topic("feed:gone")));

        assert!(reads.take().is_none());

        let _waits = reads.want(&topic("feed:here"));
        assert_eq!(reads.take().unwrap().1.len(), 1);
    }

    #[test]
    fn where_many_topics_wait_there_are_some_reads_at_a_time_and_the_oldest_go_first() {
        let reads = Reads::new(Partitions::new(NonZeroU16::MIN));
        let name = |nth: usize| topic(&format!("feed:{nth}"));
        let _waits: Vec<_> =
            (0..TOPICS_MAX * UNDER_WAY_MAX + TOPICS_MAX).map(|nth| reads.want(&name(nth))).collect();

        for nth in 0..UNDER_WAY_MAX {
            let (_, batch) = reads.take().unwrap();
            assert_eq!(batch.len(), TOPICS_MAX);
            assert!(
                batch.contains_key(&name(nth * TOPICS_MAX))
                    && batch.contains_key(&name((nth + 1) * TOPICS_MAX - 1))
            );
        }
        assert!(reads.take().is_none());
        reads.partitions.all().for_each(|partition| reads.ended(partition));
        assert_eq!(reads.take().unwrap().1.len(), TOPICS_MAX);
    }
}
