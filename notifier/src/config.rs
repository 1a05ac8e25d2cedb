//! The section `[notifier]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::BadRelation;

/// How the notifier works: its share of the queue and its patience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Workers that claim at the same time.
    pub workers: NonZeroUsize,
    /// Users that one claim takes at most.
    pub claim_users_max: NonZeroU32,
    /// Users in hand over all workers at most: claimed and not yet settled.
    pub users_in_hand_max: NonZeroU32,
    /// Users in hand for one gateway at most, once it is slow: the others of it are delayed.
    pub gateway_users_in_hand_max: NonZeroU32,
    /// A gateway whose oldest open call is older than this is slow.
    #[serde(with = "humantime_serde")]
    pub gateway_slow_after: Duration,
    /// How long a claim holds without being settled; then another worker may take it.
    #[serde(with = "humantime_serde")]
    pub claim_lease: Duration,
    /// How often a worker looks at every partition without being rung.
    #[serde(with = "humantime_serde")]
    pub look_interval: Duration,
    /// How long one gateway may take for its batch.
    #[serde(with = "humantime_serde")]
    pub deliver_deadline: Duration,
    /// How long the backplane may take for one call.
    #[serde(with = "humantime_serde")]
    pub backplane_deadline: Duration,
    /// The first wait after a failure, of a gateway or of the backplane; it doubles with each further one.
    #[serde(with = "humantime_serde")]
    pub delay_min: Duration,
    /// The longest wait after failures.
    #[serde(with = "humantime_serde")]
    pub delay_max: Duration,
    /// How often the entries of dead gateways are looked for.
    #[serde(with = "humantime_serde")]
    pub sweep_interval: Duration,
    /// Entries that one step of the sweep removes at most.
    pub sweep_entries_max: NonZeroU32,
}

impl Default for Config {
    fn default() -> Self {
        const fn count(number: u32) -> NonZeroU32 {
            NonZeroU32::new(number).expect("the default is not zero")
        }
        Self {
            workers: const { NonZeroUsize::new(2).expect("the default is not zero") },
            claim_users_max: count(256),
            users_in_hand_max: count(4_096),
            gateway_users_in_hand_max: count(1_024),
            gateway_slow_after: Duration::from_millis(100),
            // A client is current within 15 s of any process's death: a claim lease of 5 s, a gateway lease of 5 s, a
            // delay of at most 2 s and a look each second leave room for it.
            claim_lease: Duration::from_secs(5),
            look_interval: Duration::from_secs(1),
            deliver_deadline: Duration::from_secs(1),
            backplane_deadline: Duration::from_secs(2),
            delay_min: Duration::from_millis(100),
            delay_max: Duration::from_secs(2),
            sweep_interval: Duration::from_secs(1),
            sweep_entries_max: count(512),
        }
    }
}

impl Config {
    /// Checks what must hold between two keys, and that no interval is zero.
    ///
    /// # Errors
    /// [`BadRelation`] names the keys and the rule.
    pub fn validate(&self) -> Result<(), BadRelation> {
        let require = |holds: bool, keys, rule| if holds { Ok(()) } else { Err(BadRelation { keys, rule }) };
        for (key, value) in [
            ("look_interval", self.look_interval),
            ("deliver_deadline", self.deliver_deadline),
            ("backplane_deadline", self.backplane_deadline),
            ("delay_min", self.delay_min),
            ("sweep_interval", self.sweep_interval),
        ] {
            require(!value.is_zero(), [key, key], "must be longer than zero")?;
        }
        require(
            self.claim_lease > self.deliver_deadline + self.backplane_deadline,
            ["claim_lease", "deliver_deadline"],
            "the lease must be longer than deliver_deadline and backplane_deadline together, or claims end while \
             they are being delivered",
        )?;
        require(
            self.delay_min <= self.delay_max,
            ["delay_min", "delay_max"],
            "the first wait must not be longer than the longest",
        )?;
        require(
            self.claim_users_max <= self.users_in_hand_max,
            ["claim_users_max", "users_in_hand_max"],
            "one claim must fit into what may be in hand",
        )?;
        require(
            self.gateway_users_in_hand_max <= self.users_in_hand_max,
            ["gateway_users_in_hand_max", "users_in_hand_max"],
            "one gateway's share must not be greater than the whole",
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
    fn a_lease_shorter_than_a_delivery_is_refused_with_both_keys() {
        let config = Config { claim_lease: Duration::from_secs(3), ..Config::default() };

        let message = config.validate().unwrap_err().to_string();

        assert!(message.contains("claim_lease") && message.contains("deliver_deadline"), "{message}");
    }

    #[test]
    fn every_relation_is_checked() {
        let default = Config::default;
        let number = |n| NonZeroU32::new(n).unwrap();
        for bad in [
            Config { delay_min: Duration::from_secs(3), ..default() },
            Config { claim_users_max: number(5_000), ..default() },
            Config { gateway_users_in_hand_max: number(5_000), ..default() },
            Config { look_interval: Duration::ZERO, ..default() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }
}
