//! What channel services are asked, and what they answer.

use doorbell_protocol::{Generation, Raise, TopicId, Version};

use super::{BadMessage, Checked, each, version};
use crate::remote::wire;
use crate::{ChannelLife, Subscription};

pub(crate) fn raises_out(raises: &[(TopicId, Raise)]) -> wire::ChannelPublish {
    let raise = |raise: &Raise| match raise {
        Raise::To(version) => wire::raise::Raise::To(version.get()),
        Raise::Next => wire::raise::Raise::Next(wire::Done {}),
    };
    let raises =
        raises.iter().map(|(topic, one)| wire::Raise { topic: topic.to_string(), raise: Some(raise(one)) });
    wire::ChannelPublish { raises: raises.collect() }
}

pub(crate) fn raises_in(publish: wire::ChannelPublish) -> Checked<Vec<(TopicId, Raise)>> {
    each("raises", publish.raises, |one| {
        let raise = match one.raise {
            Some(wire::raise::Raise::To(number)) => Raise::To(version(number)?),
            Some(wire::raise::Raise::Next(wire::Done {})) => Raise::Next,
            None => return Err(BadMessage::missing("what to raise to")),
        };
        Ok((TopicId::new(one.topic)?, raise))
    })
}

pub(crate) fn versions_out(versions: &[Version]) -> wire::Versions {
    wire::Versions { versions: versions.iter().map(|version| version.get()).collect() }
}

pub(crate) fn versions_in(versions: wire::Versions) -> Checked<Vec<Version>> {
    each("versions", versions.versions, version)
}

pub(crate) fn subscriptions_out(subscriptions: &[Subscription]) -> Vec<wire::Subscription> {
    let out = |one: &Subscription| wire::Subscription {
        topic: one.topic.to_string(),
        generation: one.generation.0,
        followers: one.followers,
        version: one.version.get(),
    };
    subscriptions.iter().map(out).collect()
}

pub(crate) fn subscriptions_in(subscriptions: Vec<wire::Subscription>) -> Checked<Vec<Subscription>> {
    each("subscriptions", subscriptions, |one| {
        Ok(Subscription {
            topic: TopicId::new(one.topic)?,
            generation: Generation(one.generation),
            followers: one.followers,
            version: version(one.version)?,
        })
    })
}

pub(crate) fn life_out(life: ChannelLife) -> wire::Life {
    wire::Life { life: life.0.to_be_bytes().to_vec().into() }
}

pub(crate) fn life_in(life: &wire::Life) -> Checked<ChannelLife> {
    let bytes = <[u8; 16]>::try_from(&*life.life).map_err(|_| BadMessage::new("a life has 16 bytes"))?;
    Ok(ChannelLife(u128::from_be_bytes(bytes)))
}
