//! Channels: the same to a back-end and to a list of what happened, looked through from end to end.

use doorbell_backplane::conformance::{CHANNEL_TOPICS_MAX, Harness};
use doorbell_backplane::{ChangeCounter, Look, Partition, Partitions, Versions as _};
use doorbell_protocol::{Hint, Raise, TopicId, Version};
use proptest::sample::Index;

use super::op::{RaiseOp, TOPICS};
use super::play::Play;

const ANSWERS: &str = "the back-end answers";

/// What was raised, and what its callers remember.
pub struct Channels {
    partitions: Partitions,
    topics: Vec<TopicId>,
    /// The partition of most topics, and that of the last one.
    homes: [Partition; 2],
    /// Every change in its order, by the call that made it: topic and version. The last of them is the call that is under way.
    calls: Vec<Vec<(TopicId, u64)>>,
    /// Counters that looks have answered.
    seen: Vec<(Partition, ChangeCounter)>,
}

impl Channels {
    pub fn new(partitions: Partitions) -> Self {
        let named = |n| TopicId::new(format!("room:{n}")).expect("a valid topic");
        let home = partitions.of_topic(&named(0));
        let (here, there): (Vec<_>, Vec<_>) =
            (0..1_000).map(named).partition(|topic| partitions.of_topic(topic) == home);
        let topics: Vec<_> = here.into_iter().take(TOPICS - 1).chain(there.into_iter().take(1)).collect();
        let homes = [home, partitions.of_topic(&topics[TOPICS - 1])];
        let seen = homes.into_iter().map(|home| (home, ChangeCounter(0))).collect();
        Self { partitions, topics, homes, calls: vec![Vec::new()], seen }
    }

    /// What is stored in a partition, each with the counter of its last change and in the order of those; the latest change that was
    /// forgotten; and the newest.
    fn stored(&self, home: Partition) -> (Vec<(u64, &TopicId, u64)>, u64, u64) {
        let (mut kept, mut forgotten): (Vec<(u64, &TopicId, u64)>, _) = (Vec::new(), 0);
        let mut counter = 0;
        for (nth, changes) in self.calls.iter().enumerate() {
            for (topic, version) in
                changes.iter().filter(|(topic, _)| self.partitions.of_topic(topic) == home)
            {
                counter += 1;
                kept.retain(|(_, own, _)| *own != topic);
                kept.push((counter, topic, *version));
            }
            // A call makes room at its end.
            while nth + 1 < self.calls.len() && kept.len() > CHANNEL_TOPICS_MAX.get() as usize {
                forgotten = kept.remove(0).0;
            }
        }
        (kept, forgotten, counter)
    }

    fn version(&self, topic: &TopicId) -> u64 {
        let (stored, ..) = self.stored(self.partitions.of_topic(topic));
        stored.into_iter().find(|(_, own, _)| *own == topic).map_or(0, |(_, _, version)| version)
    }

    fn raise(&mut self, topic: &TopicId, raise: Raise, now: u64) -> u64 {
        let stored = self.version(topic);
        let version = match raise {
            Raise::To(version) => version.get(),
            Raise::Next => now.max(stored + 1),
        };
        if version > stored {
            self.calls.last_mut().expect("one is under way").push((topic.clone(), version));
        }
        version.max(stored)
    }

    /// What a look shows: the counter, the changes or a gap, whether there is more.
    fn look(&self, home: Partition, since: u64, changes_max: usize) -> (u64, Option<Vec<Hint>>, bool) {
        let (stored, forgotten, newest) = self.stored(home);
        if since < forgotten || since > newest {
            return (newest, None, false);
        }
        let later: Vec<_> = stored.into_iter().filter(|(counter, ..)| *counter > since).collect();
        let shown = &later[..later.len().min(changes_max)];
        let hint = |(_, topic, version): &(u64, &TopicId, u64)| Hint {
            topic: (*topic).clone(),
            version: Version::new(*version).expect("small"),
        };
        let counter = shown.last().map_or(since, |(counter, ..)| *counter);
        (counter, Some(shown.iter().map(hint).collect()), later.len() > shown.len())
    }
}

impl<H: Harness> Play<H> {
    pub async fn raise(&mut self, raises: &[(usize, RaiseOp)]) {
        let raises: Vec<(TopicId, Raise)> = raises
            .iter()
            .map(|(topic, op)| {
                let raise = match op {
                    RaiseOp::To(version) => Raise::To(Version::new(*version).expect("small")),
                    RaiseOp::Next => Raise::Next,
                };
                (self.channels.topics[*topic].clone(), raise)
            })
            .collect();
        let stored = self.harness.backend().raise(raises.clone()).await.expect(ANSWERS);
        let now = self.reference.now;
        let expected: Vec<u64> =
            raises.iter().map(|(topic, raise)| self.channels.raise(topic, *raise, now)).collect();
        self.channels.calls.push(Vec::new());
        assert_eq!(stored.into_iter().map(Version::get).collect::<Vec<_>>(), expected);
    }

    pub async fn read(&self, topics: &[usize]) {
        let topics: Vec<TopicId> = topics.iter().map(|topic| self.channels.topics[*topic].clone()).collect();
        let stored = self.harness.backend().read(topics.clone()).await.expect(ANSWERS);
        let expected: Vec<u64> = topics.iter().map(|topic| self.channels.version(topic)).collect();
        assert_eq!(stored.into_iter().map(Version::get).collect::<Vec<_>>(), expected);
    }

    pub async fn look(&mut self, partition: usize, seen: &Index, further: u64, changes_max: usize) {
        let home = self.channels.homes[partition];
        let own: Vec<_> = self.channels.seen.iter().filter(|(partition, _)| *partition == home).collect();
        let since = ChangeCounter(seen.get(&own).1.0 + further);
        let looks = self.harness.backend().look(vec![(home, Some(since))], changes_max).await.expect(ANSWERS);
        let [Look { counter, changed, more, .. }] = <[Look; 1]>::try_from(looks).expect("one answer");
        self.saw("look with changes, with more", (changed.as_ref().map(|shown| !shown.is_empty()), more));
        let found = (counter.0, changed, more);
        assert_eq!(found, self.channels.look(home, since.0, changes_max), "since {since:?}");
        self.channels.seen.push((home, counter));
    }

    /// Everything that is stored of channels is equal.
    pub async fn compare_channels(&self) {
        self.read(&(0..TOPICS).collect::<Vec<_>>()).await;
    }
}
