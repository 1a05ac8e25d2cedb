//! What an operator may set about the backplane.

use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Partitions;

/// How users are spread, and how long leases and delays last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many parts the users are spread over; fixed for an installation, changing it loses the queue.
    pub partitions: NonZeroU16,
    /// How long a worker may hold a claim before the user is offered to others.
    #[serde(with = "humantime_serde")]
    pub claim_lease: Duration,
    /// How long a gateway counts as live after it last renewed its lease.
    #[serde(with = "humantime_serde")]
    pub lease_ttl: Duration,
    /// How often a gateway renews its leases.
    #[serde(with = "humantime_serde")]
    pub lease_renewal: Duration,
    /// How long a user waits at most before a gateway that could not be reached is tried again.
    #[serde(with = "humantime_serde")]
    pub delay_max: Duration,
    /// How many given-up maps a partition of the memory back-end keeps for an operator to look at.
    pub dead_letters_max: usize,
}

impl Default for Config {
    /// The numbers of the design, section 6: they sum up to the bound within which a hint arrives after a fault.
    fn default() -> Self {
        Self {
            partitions: Partitions::default().into(),
            claim_lease: Duration::from_secs(5),
            lease_ttl: Duration::from_secs(5),
            lease_renewal: Duration::from_secs(1),
            delay_max: Duration::from_secs(2),
            dead_letters_max: 100,
        }
    }
}

/// Two settings that do not fit together, or one that can never work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// A duration of zero.
    #[error("{key} must not be zero")]
    Zero {
        /// Which setting.
        key: &'static str,
    },
    /// A gateway would seem dead after one or two lost renewals.
    #[error("lease_ttl ({ttl:?}) must be at least three times lease_renewal ({renewal:?})")]
    LeaseTooShort {
        /// As configured.
        ttl: Duration,
        /// As configured.
        renewal: Duration,
    },
    /// A delayed user would wait for longer than it takes to notice that the gateway is dead.
    #[error("delay_max ({delay:?}) must not be longer than lease_ttl ({ttl:?})")]
    DelayTooLong {
        /// As configured.
        delay: Duration,
        /// As configured.
        ttl: Duration,
    },
}

impl Config {
    /// Checks what one setting demands of another.
    ///
    /// # Errors
    /// The first relation that does not hold, with both keys.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let durations = [
            ("claim_lease", self.claim_lease),
            ("lease_ttl", self.lease_ttl),
            ("lease_renewal", self.lease_renewal),
            ("delay_max", self.delay_max),
        ];
        // The back-ends count in whole milliseconds.
        if let Some((key, _)) = durations.into_iter().find(|(_, duration)| duration.as_millis() == 0) {
            return Err(InvalidConfig::Zero { key });
        }
        if self.lease_ttl < 3 * self.lease_renewal {
            return Err(InvalidConfig::LeaseTooShort { ttl: self.lease_ttl, renewal: self.lease_renewal });
        }
        if self.delay_max > self.lease_ttl {
            return Err(InvalidConfig::DelayTooLong { delay: self.delay_max, ttl: self.lease_ttl });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let config: Config = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        config.validate().map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_fit_together() {
        assert_eq!(check(""), Ok(()));
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        let cases = [
            ("lease_ttl = '2s'", "lease_ttl (2s) must be at least three times lease_renewal (1s)"),
            ("delay_max = '6s'", "delay_max (6s) must not be longer than lease_ttl (5s)"),
            ("claim_lease = '0s'", "claim_lease must not be zero"),
            ("lease_renewal = '1us'", "lease_renewal must not be zero"),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text), Err(expected.to_owned()), "{text}");
        }
        for text in ["partitions = 0", "claim_leese = '5s'", "delay_max = 2"] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
