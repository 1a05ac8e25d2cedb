//! Large audiences: which gateways have followers of a topic, and telling them.

use async_trait::async_trait;
use doorbell_protocol::{GatewayId, Generation, Raise, TopicId, Version};

use crate::Error;

/// What a gateway says about one topic that it follows for its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Which topic.
    pub topic: TopicId,
    /// The gateway's counter at this word: a smaller one changes nothing, so that a late word undoes no newer one.
    pub generation: Generation,
    /// Users of this gateway who follow the topic. None: it follows no longer.
    pub followers: u32,
    /// The topic's version as this gateway had it from message-svc, the stream or the look, never from a client. A
    /// greater one than the stored counts as a publish.
    pub version: Version,
}

/// One life of a channel service's memory. Another one than before: say everything again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelLife(pub u128);

/// What channel-svc serves. Its memory is for speed: what a lost stream or a lost owner hides, the gateways' look at
/// the stored versions shows within two seconds.
#[async_trait]
pub trait Channels: Send + Sync {
    /// Publishes: answers the stored versions, in the order asked.
    ///
    /// *Ordering*: stored with the backplane before it returns; then sent once to each subscribed gateway, where
    /// versions of one topic that wait are merged into the greatest.
    /// *Cancel safety*: a dropped call may have happened; repeat it.
    ///
    /// # Errors
    /// Nothing is known to be stored: repeat it.
    async fn publish(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error>;

    /// Takes what one gateway says about topics; said again it changes nothing. Also said empty, now and then, to
    /// learn the life of the service's memory.
    ///
    /// # Errors
    /// Nothing is known to be taken: say it again.
    async fn subscribe(
        &self,
        gateway: &GatewayId,
        subscriptions: Vec<Subscription>,
    ) -> Result<ChannelLife, Error>;

    /// Followers of each topic over all gateways, in the order asked: users who are online, each counted once a gateway.
    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, Error>;
}
