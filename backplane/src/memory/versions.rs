//! The memory back-end as the store of channels' versions.

use std::collections::HashSet;

use async_trait::async_trait;
use doorbell_protocol::{Raise, TopicId, Version};

use super::Memory;
use crate::{ChangeCounter, Error, Look, Partition, Partitions, Versions};

#[async_trait]
impl Versions for Memory {
    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn raise(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        let mut raised = HashSet::new();
        let raise = |(topic, raise): (TopicId, Raise)| {
            let now = self.now();
            let partition = self.partitions.of_topic(&topic);
            raised.insert(partition);
            self.channels(partition).raise(topic, raise, now)
        };
        let stored = raises.into_iter().map(raise).collect();
        raised.into_iter().for_each(|partition| self.channels(partition).make_room());
        Ok(stored)
    }

    async fn read(&self, topics: Vec<TopicId>) -> Result<Vec<Version>, Error> {
        let read = |topic: &TopicId| self.channels(self.partitions.of_topic(topic)).read(topic);
        Ok(topics.iter().map(read).collect())
    }

    async fn look(
        &self,
        since: Vec<(Partition, Option<ChangeCounter>)>,
        changes_max: usize,
    ) -> Result<Vec<Look>, Error> {
        let look = |(partition, since)| {
            let identity = self.identity(partition);
            self.channels(partition).look(since, changes_max, identity)
        };
        Ok(since.into_iter().map(look).collect())
    }
}
