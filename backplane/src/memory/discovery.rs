//! The memory back-end as the list of processes: of one, as a rule.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{InstanceId, Timestamp};

use super::Memory;
use crate::{Discovery, Error, Instance, Instances};

/// What processes said of themselves.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The latest time seen: a word that has ended does not hold again.
    now: Timestamp,
    instances: BTreeMap<InstanceId, (Timestamp, Instance)>,
    store: Option<String>,
}

#[async_trait]
impl Discovery for Memory {
    async fn announce(&self, instance: &Instance, ttl: Duration) -> Result<Instances, Error> {
        let first = self.partitions.all().next().expect("there is at least one partition");
        let mut said = self.said.lock();
        let now = said.now.max(self.now());
        said.now = now;
        said.instances.insert(instance.id.clone(), (now.plus(ttl), instance.clone()));
        said.instances.retain(|_, (until, _)| now < *until);
        let live = said.instances.values().map(|(_, instance)| instance.clone()).collect();
        Ok(Instances { identity: self.identity(first), live })
    }

    async fn withdraw(&self, instance: &InstanceId) -> Result<(), Error> {
        self.said.lock().instances.remove(instance);
        Ok(())
    }

    async fn settle_store(&self, store: &str) -> Result<String, Error> {
        Ok(self.said.lock().store.get_or_insert_with(|| store.to_owned()).clone())
    }
}
