//! The neighbours of a gateway that is alone in its process: they agree, and keep nothing.

use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::{
    Enter, Entered, Entry, Error, Lease, LeaseRenewal, Partition, PartitionIdentity, Registry,
};
use doorbell_protocol::{
    Epoch, ErrorBody, ErrorCode, GatewayId, Hint, Payload, Raise, TopicId, UserId, Version,
};
use doorbell_rpc::{Audiences, CallRequest, ChannelLife, Channels, Messages, Move, Presence, Subscription};

#[derive(Default)]
pub struct Elsewhere {
    /// What everybody follows from the start.
    pub group: Option<Hint>,
}

fn store() -> PartitionIdentity {
    PartitionIdentity("store-1".into())
}

#[async_trait]
impl Registry for Elsewhere {
    async fn take_lease(&self, _: &GatewayId, _: Partition, _: Duration) -> Result<Lease, Error> {
        Ok(Lease { epoch: Epoch(1), identity: store() })
    }

    async fn renew_leases(
        &self,
        _: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
        _: Duration,
    ) -> Result<Vec<LeaseRenewal>, Error> {
        Ok(leases.iter().map(|_| LeaseRenewal::Renewed(store())).collect())
    }

    async fn end_leases(&self, _: &GatewayId, _: Vec<(Partition, Epoch)>) -> Result<(), Error> {
        Ok(())
    }

    async fn enter(&self, enters: Vec<Enter>) -> Result<Vec<Entered>, Error> {
        Ok(enters.iter().map(|_| Entered::Registered).collect())
    }

    async fn leave(&self, _: Vec<Enter>) -> Result<(), Error> {
        Ok(())
    }

    async fn look_up(&self, users: Vec<UserId>) -> Result<Vec<Vec<Entry>>, Error> {
        Ok(users.iter().map(|_| Vec::new()).collect())
    }

    async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Error> {
        Ok(users.iter().map(|_| false).collect())
    }

    async fn lapsed(&self, _: Partition, _: usize) -> Result<Vec<Enter>, Error> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Messages for Elsewhere {
    async fn call(&self, _: CallRequest) -> Result<Payload, ErrorBody> {
        Err(ErrorBody::new(ErrorCode::UnknownMethod, "nobody calls here"))
    }
}

#[async_trait]
impl Audiences for Elsewhere {
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, doorbell_rpc::Error> {
        Ok(vec![self.group.iter().cloned().collect(); users.len()])
    }

    async fn authorize(&self, _: &UserId, _: Vec<TopicId>) -> Result<Vec<Hint>, doorbell_rpc::Error> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Presence for Elsewhere {
    async fn moved(&self, _: Vec<Move>) -> Result<(), doorbell_rpc::Error> {
        Ok(())
    }
}

#[async_trait]
impl Channels for Elsewhere {
    async fn publish(&self, _: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, doorbell_rpc::Error> {
        Ok(Vec::new())
    }

    async fn subscribe(
        &self,
        _: &GatewayId,
        _: Vec<Subscription>,
    ) -> Result<ChannelLife, doorbell_rpc::Error> {
        Ok(ChannelLife(1))
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, doorbell_rpc::Error> {
        Ok(topics.iter().map(|_| 0).collect())
    }
}
