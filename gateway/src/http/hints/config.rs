//! What an operator can set about hints from other back ends.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `POST /v1/hints`: the limits for other back ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Largest body, in bytes. Room for some 50,000 users of 20 bytes.
    pub body_bytes_max: NonZeroUsize,
    /// Hints of one call at most.
    pub hints_max: NonZeroUsize,
    /// Users of one hint at most. Above it, let clients follow the topic.
    pub users_max: NonZeroUsize,
    /// Users that one API key may ring a second, for ever; a hint for a topic's followers counts as one.
    pub users_per_second: NonZeroU32,
    /// Users that may be rung at once, and by one call at most.
    pub users_burst: NonZeroU32,
    /// Calls under way at most, over all API keys; further ones are told to come back.
    pub calls_in_flight_max: NonZeroUsize,
    /// From the body to the answer; then it is `unavailable`.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            body_bytes_max: NonZeroUsize::new(1024 * 1024).expect("not zero"),
            hints_max: NonZeroUsize::new(1_000).expect("not zero"),
            users_max: NonZeroUsize::new(10_000).expect("not zero"),
            users_per_second: NonZeroU32::new(50_000).expect("not zero"),
            users_burst: NonZeroU32::new(100_000).expect("not zero"),
            calls_in_flight_max: NonZeroUsize::new(32).expect("not zero"),
            call_timeout: Duration::from_secs(10),
        }
    }
}

/// Two keys that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hints: `{key}` must be {relation} `{other}`")]
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
        let burst = self.users_burst.get() as usize;
        let rules = [
            (burst >= self.users_max.get(), "users_burst", "at least", "users_max"),
            (!self.call_timeout.is_zero(), "call_timeout", "more than", "0s"),
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
    fn defaults_hold_and_a_bad_relation_names_both_keys() {
        assert_eq!(Config::default().validate(), Ok(()));
        let config = Config { users_burst: NonZeroU32::new(10).unwrap(), ..Config::default() };
        let said = config.validate().unwrap_err().to_string();
        assert!(said.contains("users_burst") && said.contains("users_max"), "{said}");
    }
}
