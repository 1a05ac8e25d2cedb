//! The Redis back-end as the list of processes: beside the first partition, whose identity it shares.

use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::InstanceId;

use super::calls::marker;
use super::queue::millis;
use super::reply::{Reply, bytes, unexpected};
use super::{Error, Redis};
use crate::{Discovery, Instance, Instances, Partition, PartitionIdentity};

#[async_trait]
impl Discovery for Redis {
    async fn announce(&self, instance: &Instance, ttl: Duration) -> Result<Instances, Error> {
        let script = &self.scripts.announce;
        let said = serde_json::to_string(instance)
            .map_err(|error| Error::Unavailable { reason: error.to_string() })?;
        let mut command = self.command(script, self.first());
        command.arg(instance.id.as_str()).arg(millis(ttl)).arg(marker()).arg(said);
        let mut reply = Reply::list(self.call(script, self.first(), command).await?)?;
        let identity = PartitionIdentity(reply.text()?);
        let mut live = Vec::with_capacity(reply.left());
        while reply.left() > 0 {
            match serde_json::from_slice::<Instance>(&reply.bytes()?) {
                Ok(instance) => live.push(instance),
                Err(error) => tracing::warn!(%error, "what a process says of itself cannot be read"),
            }
        }
        live.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(Instances { identity, live })
    }

    async fn withdraw(&self, instance: &InstanceId) -> Result<(), Error> {
        let script = &self.scripts.withdraw;
        let mut command = self.command(script, self.first());
        command.arg(instance.as_str());
        self.call(script, self.first(), command).await.map(|_| ())
    }

    async fn settle_store(&self, store: &str) -> Result<String, Error> {
        let script = &self.scripts.settle_store;
        let mut command = self.command(script, self.first());
        command.arg(store);
        String::from_utf8(bytes(self.call(script, self.first(), command).await?)?).map_err(|_| unexpected())
    }
}

impl Redis {
    fn first(&self) -> Partition {
        self.partitions.all().next().expect("there is at least one partition")
    }
}
