//! What an operator can set about the door. Every limit says where its number comes from.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::handshake::origin::Origin;

/// The door: connections before they are sessions, and HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Connections in HTTP at once, handshakes included; an upgraded socket no longer counts. At some 30 KB each
    /// this bounds what strangers can make us hold to about 120 MB; in TLS a handshake that does not end holds up to 40 KB more.
    pub connections_max: NonZeroUsize,
    /// Connections accepted a second, for ever; beyond it 503 with `Retry-After`. Two cores answer about four
    /// times as many handshakes, so that sessions go on while everybody returns at once.
    pub accepts_per_second: NonZeroU32,
    /// Connections that may come at once. No less than a second's worth of `accepts_per_second`: who is refused is told to come back after
    /// whole seconds, and so comes with others.
    pub accepts_burst: NonZeroU32,
    /// From accepting a connection to the end of its TLS handshake, where TLS is spoken.
    #[serde(with = "humantime_serde")]
    pub tls_handshake_timeout: Duration,
    /// From the first byte that may come to the end of a request's head, in all; also how long a connection may
    /// wait for its next request.
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    /// From the head to the end of the body, in all.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// How long a connection may stay in HTTP, whatever it does: bounds a client that reads its answers slowly.
    #[serde(with = "humantime_serde")]
    pub connection_age_max: Duration,
    /// How long the requests at hand may take to end, at a stop or at the greatest age.
    #[serde(with = "humantime_serde")]
    pub stop_timeout: Duration,
    /// Pages that may open sockets, as `https://chat.example`, beside those that this server serves by its address
    /// or as `localhost`.
    pub origins: Vec<Origin>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: NonZeroUsize::new(4096).expect("not zero"),
            accepts_per_second: NonZeroU32::new(5000).expect("not zero"),
            accepts_burst: NonZeroU32::new(10_000).expect("not zero"),
            tls_handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            connection_age_max: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            origins: Vec::new(),
        }
    }
}

/// Two keys that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("listener: `{key}` must be {relation} `{other}`")]
pub struct InvalidConfig {
    /// The key to change.
    pub key: &'static str,
    /// How it must stand to the other.
    pub relation: &'static str,
    /// The other key, or a bound.
    pub other: &'static str,
}

impl Config {
    /// Checks how the keys stand to each other.
    ///
    /// # Errors
    /// The first relation that does not hold, with both keys.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let rules = [
            (!self.tls_handshake_timeout.is_zero(), "tls_handshake_timeout", "more than", "0s"),
            (!self.head_timeout.is_zero(), "head_timeout", "more than", "0s"),
            (!self.body_timeout.is_zero(), "body_timeout", "more than", "0s"),
            (self.connection_age_max >= self.head_timeout, "connection_age_max", "at least", "head_timeout"),
            (self.connection_age_max >= self.body_timeout, "connection_age_max", "at least", "body_timeout"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, key, relation, other)) => Err(InvalidConfig { key, relation, other }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_their_own_relations() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_bad_relation_names_both_keys() {
        let config = Config { head_timeout: Duration::from_secs(90), ..Config::default() };
        let said = config.validate().unwrap_err().to_string();
        assert!(said.contains("connection_age_max") && said.contains("head_timeout"), "{said}");
    }

    #[test]
    fn origins_are_read_and_checked() {
        let config: Config = serde_json::from_str(r#"{"origins": ["https://chat.example"]}"#).unwrap();
        assert_eq!(config.origins, [Origin::parse("https://chat.example").unwrap()]);
        let error = serde_json::from_str::<Config>(r#"{"origins": ["chat.example"]}"#).unwrap_err();
        assert!(error.to_string().contains("https://chat.example"), "{error}");
    }
}
