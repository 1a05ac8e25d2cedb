//! The section `[channel]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use doorbell_rpc::channel::SAID_WITHIN;
use serde::{Deserialize, Serialize};

use crate::error::BadRelation;

/// How the channel service works: its memory and its patience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Parts of the directory of topics, each with a lock of its own.
    pub shards: NonZeroUsize,
    /// Topics that one gateway may subscribe to; of those beyond, it learns by its look, up to 2 s later.
    pub gateway_topics_max: NonZeroU32,
    /// A gateway that has said and answered nothing for this long is forgotten, with its subscriptions.
    #[serde(with = "humantime_serde")]
    pub gateway_silence_max: Duration,
    /// How often silent gateways are looked for, and the gauges are set.
    #[serde(with = "humantime_serde")]
    pub check_interval: Duration,
    /// Topics in one call to a gateway or to the store at most.
    pub batch_topics_max: NonZeroU32,
    /// How long a gateway may take for one call.
    #[serde(with = "humantime_serde")]
    pub publish_deadline: Duration,
    /// How long the store of versions may take for one call.
    #[serde(with = "humantime_serde")]
    pub store_deadline: Duration,
    /// The first wait after a gateway has failed; it doubles with each further failure.
    #[serde(with = "humantime_serde")]
    pub delay_min: Duration,
    /// The longest wait after failures.
    #[serde(with = "humantime_serde")]
    pub delay_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        const fn count(number: u32) -> NonZeroU32 {
            NonZeroU32::new(number).expect("the default is not zero")
        }
        Self {
            shards: const { NonZeroUsize::new(64).expect("the default is not zero") },
            // About 300 bytes each: 300 MB for a gateway that uses all of it.
            gateway_topics_max: count(1_000_000),
            // Five times as long as gateways may be silent.
            gateway_silence_max: Duration::from_secs(10),
            check_interval: Duration::from_secs(1),
            batch_topics_max: count(1_024),
            // What is later than the gateways' look, which comes every 2 s, is of no use.
            publish_deadline: Duration::from_secs(1),
            store_deadline: Duration::from_secs(2),
            delay_min: Duration::from_millis(50),
            delay_max: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// Checks what must hold between two keys, and that no time is zero.
    ///
    /// # Errors
    /// [`BadRelation`] names the keys and the rule.
    pub fn validate(&self) -> Result<(), BadRelation> {
        let require = |holds: bool, keys, rule| if holds { Ok(()) } else { Err(BadRelation { keys, rule }) };
        for (key, value) in [
            ("check_interval", self.check_interval),
            ("publish_deadline", self.publish_deadline),
            ("store_deadline", self.store_deadline),
            ("delay_min", self.delay_min),
        ] {
            require(!value.is_zero(), [key, key], "must be longer than zero")?;
        }
        require(
            self.gateway_silence_max >= SAID_WITHIN * 2,
            ["gateway_silence_max", "gateway_silence_max"],
            "must be 4s at least: gateways say something every 2 s",
        )?;
        require(
            self.gateway_silence_max > self.publish_deadline + self.delay_max,
            ["gateway_silence_max", "publish_deadline"],
            "a gateway must have the time for a second try, publish_deadline and delay_max, before it is forgotten",
        )?;
        require(
            self.delay_min <= self.delay_max,
            ["delay_min", "delay_max"],
            "the first wait must not be longer than the longest",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_together() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn every_relation_is_checked_and_names_its_keys() {
        let default = Config::default;
        let seconds = Duration::from_secs;
        for (bad, keys) in [
            (Config { gateway_silence_max: seconds(3), ..default() }, ["gateway_silence_max"; 2]),
            (
                Config { publish_deadline: seconds(9), ..default() },
                ["gateway_silence_max", "publish_deadline"],
            ),
            (Config { delay_min: seconds(2), ..default() }, ["delay_min", "delay_max"]),
            (Config { store_deadline: Duration::ZERO, ..default() }, ["store_deadline"; 2]),
        ] {
            let message = bad.validate().unwrap_err().to_string();
            assert!(keys.iter().all(|key| message.contains(&format!("`{key}`"))), "{message}");
        }
    }
}
