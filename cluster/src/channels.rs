//! Calls to the channel services: each topic at its owner.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::{Instance, Role, Versions};
use doorbell_protocol::{GatewayId, InstanceId, Raise, TopicId, Version};
use doorbell_rpc::{ChannelLife, Channels, Error, Subscription};
use futures_util::future::join_all;
use tokio::time::timeout;
use xxhash_rust::xxh3::xxh3_128;

use crate::owner::owner;
use crate::{Config, Links, Metrics, Others};

/// All channel services of the installation, as one.
pub struct OwnedChannels {
    links: Arc<Links>,
    others: Others,
    versions: Arc<dyn Versions>,
    config: Config,
    metrics: Metrics,
}

/// Where each item of a call goes, with its place in the call.
type Shares<T> = BTreeMap<usize, Vec<(usize, T)>>;

impl OwnedChannels {
    /// Finds owners among the others; what an owner does not take is stored in `versions`.
    #[must_use]
    pub const fn new(
        links: Arc<Links>,
        others: Others,
        versions: Arc<dyn Versions>,
        config: Config,
        metrics: Metrics,
    ) -> Self {
        Self { links, others, versions, config, metrics }
    }

    async fn services(&self) -> Result<Vec<Arc<Instance>>, Error> {
        let some = |view: &crate::View| {
            let services: Vec<_> = view.with(Role::Channel).cloned().collect();
            (!services.is_empty()).then_some(services)
        };
        self.others.find(some).await.ok_or_else(|| unavailable("there is none"))
    }

    /// The channel service of this process, where it owns every topic.
    fn sole(&self) -> Option<Arc<dyn Channels>> {
        let view = self.others.view();
        let mut services = view.with(Role::Channel);
        let only = services.next().filter(|only| self.links.is_own(only))?;
        if services.next().is_some() { None } else { self.at(only).ok() }
    }

    fn at(&self, service: &Instance) -> Result<Arc<dyn Channels>, Error> {
        if self.links.is_own(service) {
            return self
                .links
                .local()
                .channels
                .get()
                .cloned()
                .ok_or_else(|| unavailable("it has not started"));
        }
        Ok(self.links.to(service))
    }

    /// Publishes what one service owns; where it does not take it, the store does (CL-3).
    async fn publish_at(
        &self,
        service: &Instance,
        raises: Vec<(TopicId, Raise)>,
    ) -> Result<Vec<Version>, Error> {
        let again = raises.clone();
        if let Ok(stored) =
            within(self.config.owner_timeout, async { self.at(service)?.publish(raises).await }).await
        {
            return Ok(stored);
        }
        self.metrics.unowned(again.len());
        self.versions.raise(again).await.map_err(|error| unavailable(&error.to_string()))
    }
}

#[async_trait]
impl Channels for OwnedChannels {
    async fn publish(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        if let Some(own) = self.sole() {
            return own.publish(raises).await;
        }
        let Ok(services) = self.services().await else {
            self.metrics.unowned(raises.len());
            return self.versions.raise(raises).await.map_err(|error| unavailable(&error.to_string()));
        };
        let total = raises.len();
        let calls = shares(raises, &services, |(topic, _)| topic).into_iter().map(|(at, share)| {
            let (places, raises): (Vec<_>, Vec<_>) = share.into_iter().unzip();
            let service = &services[at];
            async move { (places, self.publish_at(service, raises).await) }
        });
        let mut stored = vec![Version::ZERO; total];
        for (places, answer) in join_all(calls).await {
            let answer = answer?;
            places.into_iter().zip(answer).for_each(|(place, version)| stored[place] = version);
        }
        Ok(stored)
    }

    /// Every service hears from the gateway, each what it owns. The life answered is that of all of them together: it is
    /// another one when a service comes, goes, begins anew, falls silent or is heard again, and then everything is said
    /// to everybody once more.
    async fn subscribe(
        &self,
        gateway: &GatewayId,
        subscriptions: Vec<Subscription>,
    ) -> Result<ChannelLife, Error> {
        if let Some(own) = self.sole() {
            return own.subscribe(gateway, subscriptions).await;
        }
        let services = self.services().await?;
        // Who owned a topic before remembers it until it hears of the end.
        let (ends, begins): (Vec<_>, Vec<_>) =
            subscriptions.into_iter().partition(|word| word.followers == 0);
        let mut shares = shares(begins, &services, |subscription| &subscription.topic);
        let calls = services.iter().enumerate().map(|(at, service)| {
            let share = shares.remove(&at).unwrap_or_default();
            let words = share.into_iter().map(|(_, word)| word).chain(ends.iter().cloned()).collect();
            let limit = self.config.subscribe_timeout;
            async move { within(limit, async { self.at(service)?.subscribe(gateway, words).await }).await }
        });
        let mut lives = Vec::with_capacity(services.len());
        let mut failed = None;
        for (service, answer) in services.iter().zip(join_all(calls).await) {
            lives.push((&service.id, answer.map_err(|error| failed = Some(error)).ok()));
        }
        match failed {
            Some(error) if lives.iter().all(|(_, life)| life.is_none()) => Err(error),
            _ => Ok(life_of(&lives)),
        }
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, Error> {
        if let Some(own) = self.sole() {
            return own.followers(topics).await;
        }
        let services = self.services().await?;
        let mut followers = vec![0; topics.len()];
        let calls = shares(topics, &services, |topic| topic).into_iter().map(|(at, share)| {
            let (places, topics): (Vec<_>, Vec<_>) = share.into_iter().unzip();
            let (service, limit) = (&services[at], self.config.owner_timeout);
            async move { (places, within(limit, async { self.at(service)?.followers(topics).await }).await) }
        });
        for (places, answer) in join_all(calls).await {
            // Of a service that is away nobody knows: too few for a while, as after its start.
            places
                .into_iter()
                .zip(answer.unwrap_or_default())
                .for_each(|(place, count)| followers[place] = count);
        }
        Ok(followers)
    }
}

fn shares<T>(items: Vec<T>, services: &[Arc<Instance>], topic: impl Fn(&T) -> &TopicId) -> Shares<T> {
    let mut shares = Shares::new();
    for (place, item) in items.into_iter().enumerate() {
        let owner = owner(topic(&item), services).expect("there is a service");
        let at = services.iter().position(|service| service.id == owner.id).expect("it is one of them");
        shares.entry(at).or_default().push((place, item));
    }
    shares
}

fn life_of(lives: &[(&InstanceId, Option<ChannelLife>)]) -> ChannelLife {
    let mut text = Vec::new();
    for (id, life) in lives {
        text.extend_from_slice(id.as_str().as_bytes());
        text.push(0);
        // A service that does not answer is one with another life.
        text.push(u8::from(life.is_some()));
        text.extend_from_slice(&life.map_or(0, |ChannelLife(life)| life).to_be_bytes());
    }
    ChannelLife(xxh3_128(&text))
}

/// A call to one service, within its time.
async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(limit, call).await.unwrap_or_else(|_| Err(unavailable("it is late")))
}

fn unavailable(reason: &str) -> Error {
    Error::Unavailable { service: "channel-svc", reason: reason.to_owned() }
}
