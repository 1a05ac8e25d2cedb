//! The Redis back-end as the store of channels' versions.

use async_trait::async_trait;
use doorbell_protocol::{Hint, Raise, TopicId, Version};
use futures_util::future::join_all;
use redis::Value;

use super::calls::{PIECE, marker};
use super::reply::{Reply, unexpected};
use super::{Error, Redis};
use crate::{ChangeCounter, Look, Partition, PartitionIdentity, Partitions, Versions};

#[async_trait]
impl Versions for Redis {
    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn raise(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        let of = |(topic, _): &(TopicId, Raise)| self.partitions.of_topic(topic);
        self.spread(raises, of, |partition, piece| Box::pin(self.raise_piece(partition, piece))).await
    }

    async fn read(&self, topics: Vec<TopicId>) -> Result<Vec<Version>, Error> {
        let of = |topic: &TopicId| self.partitions.of_topic(topic);
        self.spread(topics, of, |partition, piece| Box::pin(self.read_piece(partition, piece))).await
    }

    /// As the trait says, and at most 250 changes a partition: there is more then.
    async fn look(
        &self,
        since: Vec<(Partition, Option<ChangeCounter>)>,
        changes_max: usize,
    ) -> Result<Vec<Look>, Error> {
        let looks = since.into_iter().map(|(partition, since)| self.look_at(partition, since, changes_max));
        join_all(looks).await.into_iter().collect()
    }
}

impl Redis {
    async fn raise_piece(
        &self,
        partition: Partition,
        piece: Vec<(TopicId, Raise)>,
    ) -> Result<Vec<Version>, Error> {
        let script = &self.scripts.raise;
        let mut command = self.command(script, partition);
        command.arg(self.channel_topics_max);
        for (topic, raise) in &piece {
            command.arg(topic.as_str());
            match raise {
                Raise::To(version) => command.arg(version.get()),
                Raise::Next => command.arg(""),
            };
        }
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        piece.iter().map(|_| version(reply.number()?)).collect()
    }

    async fn read_piece(&self, partition: Partition, piece: Vec<TopicId>) -> Result<Vec<Version>, Error> {
        let script = &self.scripts.read;
        let mut command = self.command(script, partition);
        for topic in &piece {
            command.arg(topic.as_str());
        }
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        let read = |value| match value {
            Value::Nil => Ok(Version::ZERO),
            // What is no version reads as nothing: the next raise puts it right.
            stored => Ok(stored_version(&super::reply::bytes(stored)?)),
        };
        piece.iter().map(|_| read(reply.value()?)).collect()
    }

    async fn look_at(
        &self,
        partition: Partition,
        since: Option<ChangeCounter>,
        changes_max: usize,
    ) -> Result<Look, Error> {
        let script = &self.scripts.look;
        let mut command = self.command(script, partition);
        command.arg(marker()).arg(changes_max.min(PIECE));
        match since {
            Some(ChangeCounter(counter)) => command.arg(counter),
            None => command.arg(""),
        };
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        let identity = PartitionIdentity(reply.text()?);
        let counter = ChangeCounter(reply.number()?);
        let shown = reply.number()?;
        if shown == 0 {
            return Ok(Look { identity, counter, changed: None, more: false });
        }
        let mut changed = Vec::with_capacity(reply.left() / 2);
        while reply.left() > 0 {
            let (topic, version) = (reply.bytes()?, reply.bytes()?);
            let topic = std::str::from_utf8(&topic).ok().and_then(|topic| TopicId::new(topic).ok());
            // What is no topic is followed by nobody.
            if let Some(topic) = topic {
                changed.push(Hint { topic, version: stored_version(&version) });
            }
        }
        Ok(Look { identity, counter, changed: Some(changed), more: shown == 2 })
    }
}

fn version(number: u64) -> Result<Version, Error> {
    Version::new(number).ok_or_else(unexpected)
}

fn stored_version(bytes: &[u8]) -> Version {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.and_then(Version::new).unwrap_or(Version::ZERO)
}
