//! Large audiences: which gateways have followers of a topic, and telling them.

use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{GatewayId, Generation, Raise, TopicId, Version};

use crate::Error;

/// A gateway calls [`Channels::subscribe`] at least this often, if only with nothing to say.
pub const SAID_WITHIN: Duration = Duration::from_secs(2);

/// What a gateway says about one topic that it follows for its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Which topic.
    pub topic: TopicId,
    /// The gateway's counter at this word: a smaller one changes nothing, so that a late word undoes no newer one. A
    /// word that begins or ends a subscription takes the counter's next value; one that is said again, or brings
    /// another number of followers, may repeat it.
    pub generation: Generation,
    /// Users of this gateway who follow the topic. None: it follows no longer.
    pub followers: u32,
    /// The topic's version as this gateway had it from message-svc, the stream or the look, never from a client. A
    /// greater one than the stored counts as a publish.
    pub version: Version,
}

/// One life of what a channel service remembers of a gateway: it ends with the service's process, and when nothing
/// was heard of the gateway for too long. Another one than before: say everything again.
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

    /// Takes what one gateway says about topics; said again it changes nothing. Also called empty, so that there is a
    /// call within each [`SAID_WITHIN`]: so the gateway learns that the service's memory of it has begun anew, and the service that the gateway is
    /// there. A gateway of which nothing was heard for several times as long is forgotten with all that it said.
    ///
    /// *Ordering*: when it returns, every publish that begins is sent to the gateway for these topics.
    /// *Cancel safety*: a dropped call may have been taken in part; say it again.
    ///
    /// # Errors
    /// Nothing is known to be taken: say it again.
    async fn subscribe(
        &self,
        gateway: &GatewayId,
        subscriptions: Vec<Subscription>,
    ) -> Result<ChannelLife, Error>;

    /// Followers of each topic over all gateways, in the order asked: users who are online, each counted once a
    /// gateway. Too few for some seconds after a start of the service, while the gateways say everything again.
    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, Error>;
}

/// Where there is no channel service: every call fails, and says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoChannels;

impl NoChannels {
    fn refuse<T>() -> Result<T, Error> {
        Err(Error::Unavailable { service: "channel-svc", reason: "there is none here".to_owned() })
    }
}

#[async_trait]
impl Channels for NoChannels {
    async fn publish(&self, _: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        Self::refuse()
    }

    async fn subscribe(&self, _: &GatewayId, _: Vec<Subscription>) -> Result<ChannelLife, Error> {
        Self::refuse()
    }

    async fn followers(&self, _: Vec<TopicId>) -> Result<Vec<u64>, Error> {
        Self::refuse()
    }
}
