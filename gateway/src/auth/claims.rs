//! What a token grants beside its user: topics, a rate of its own, a device.

use std::num::NonZeroU32;

use doorbell_protocol::ids::TOPIC_ID_BYTES_MAX;
use doorbell_protocol::{DeviceId, TopicId};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Topics that one token may name. A token is at most 8 KiB, so that few are longer; the sessions keep them.
pub const GRANTS_MAX: usize = 64;
/// Kinds that message-svc alone says who may follow: nobody gets into somebody else's conversation by a token.
const RESERVED: [&str; 2] = ["conversation:", "inbox:"];
/// What a prefix ends with in a token.
const WILDCARD: char = '*';

/// What a token grants. Most grant nothing, and their sessions keep nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct Claims {
    /// Topics that the user may subscribe to beside their own.
    #[serde(default)]
    pub topics: TopicGrants,
    /// Messages that the user may send in one period of the throttle, in place of the configured number.
    pub throttle: Option<NonZeroU32>,
    /// The session's device, whatever its `hello` names.
    pub device: Option<DeviceId>,
}

impl Claims {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.0.is_empty() && self.throttle.is_none() && self.device.is_none()
    }
}

/// Topics that a token grants: exact ones, and all that begin with a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TopicGrants(Box<[Grant]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Grant {
    Exact(TopicId),
    /// With its kind and the colon: a prefix never reaches into another kind.
    Prefix(Box<str>),
}

impl TopicGrants {
    /// Whether the user may subscribe to this topic.
    #[must_use]
    pub fn allows(&self, topic: &TopicId) -> bool {
        self.0.iter().any(|grant| match grant {
            Grant::Exact(granted) => granted == topic,
            Grant::Prefix(prefix) => topic.as_str().starts_with(&**prefix),
        })
    }
}

/// Whether a token may grant this: a topic, or a prefix that ends in `*`.
#[must_use]
pub fn is_grant(text: &str) -> bool {
    Grant::parse(text).is_some()
}

impl Grant {
    fn parse(text: &str) -> Option<Self> {
        if RESERVED.iter().any(|kind| text.starts_with(kind)) {
            return None;
        }
        let Some(prefix) = text.strip_suffix(WILDCARD) else {
            return TopicId::new(text).ok().map(Self::Exact);
        };
        // Some topic must be able to begin so: its kind is whole, and what follows is as a key may be.
        let sample = format!("{prefix}x");
        let is_prefix =
            prefix.contains(':') && TopicId::new(sample).is_ok() && text.len() <= TOPIC_ID_BYTES_MAX;
        is_prefix.then(|| Self::Prefix(prefix.into()))
    }
}

impl<'de> Deserialize<'de> for TopicGrants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.len() > GRANTS_MAX {
            return Err(Error::custom("more than 64 topics"));
        }
        let grants = texts.iter().map(|text| Grant::parse(text)).collect::<Option<_>>();
        grants.map(Self).ok_or_else(|| Error::custom("a topic, or a prefix with its kind and `*` at its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Claims> {
        serde_json::from_str(json).ok()
    }

    fn allows(grants: &str, topic: &str) -> bool {
        let claims = read(&format!(r#"{{"topics":{grants}}}"#)).unwrap();
        claims.topics.allows(&TopicId::new(topic).unwrap())
    }

    #[test]
    fn a_grant_is_a_topic_or_a_prefix_within_a_kind() {
        assert!(allows(r#"["news:sport"]"#, "news:sport"));
        assert!(!allows(r#"["news:sport"]"#, "news:sports"));
        assert!(allows(r#"["news:*"]"#, "news:sport"));
        assert!(allows(r#"["x:y", "news:sport-*"]"#, "news:sport-7"));
        assert!(!allows(r#"["news:sport-*"]"#, "news:sport"));
        assert!(!allows(r#"["news:*"]"#, "newsroom:a"));
        assert!(!allows("[]", "news:sport"));
    }

    #[test]
    fn what_is_no_grant_is_refused_and_not_ignored() {
        let many = format!(r#"["{}"]"#, vec!["a:b"; GRANTS_MAX + 1].join(r#"",""#));
        let long = format!(r#"["a:{}*"]"#, "x".repeat(TOPIC_ID_BYTES_MAX));
        for bad in
            [r#"["*"]"#, r#"["news*"]"#, r#"["News:*"]"#, r#"[":*"]"#, r#"[""]"#, r#"["news"]"#, "7", "[7]"]
        {
            assert_eq!(read(&format!(r#"{{"topics":{bad}}}"#)), None, "{bad}");
        }
        for bad in [r#"["conversation:*"]"#, r#"["inbox:ada"]"#, r#"["news:a","conversation:x"]"#] {
            assert_eq!(read(&format!(r#"{{"topics":{bad}}}"#)), None, "{bad}");
        }
        for bad in [many, long] {
            assert_eq!(read(&format!(r#"{{"topics":{bad}}}"#)), None, "{bad}");
        }
        for bad in [r#"{"throttle":0}"#, r#"{"throttle":-1}"#, r#"{"throttle":1.5}"#, r#"{"device":""}"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_without_grants_leaves_nothing_to_keep() {
        assert!(read(r#"{"sub":"ada"}"#).unwrap().is_empty());
        assert!(read(r#"{"topics":[],"throttle":null,"device":null}"#).unwrap().is_empty());
        for some in [r#"{"topics":["a:b"]}"#, r#"{"throttle":50}"#, r#"{"device":"phone"}"#] {
            assert!(!read(some).unwrap().is_empty(), "{some}");
        }
    }
}
