//! What an operator may set about the backplane. Leases and delays are their holders' settings: each call brings its own.

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::Partitions;

/// The hint queue, the session registry, the versions of channels and the buckets of throttles: how users and topics are
/// spread, and how much is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many parts users and topics are spread over; fixed for an installation, changing it loses the queue.
    pub partitions: NonZeroU16,
    /// How many given-up maps a partition keeps for an operator to look at.
    pub dead_letters_max: usize,
    /// How many channels a partition keeps the version of; beyond it, the one that has not changed for the longest
    /// time is forgotten. A gateway that had not seen its last change asks its sessions to look at everything.
    pub channel_topics_max: NonZeroU32,
    /// How many buckets of throttles a partition keeps for the message service that takes the store over; beyond it, those
    /// that are full soonest are forgotten, and their users may do a little more after a takeover.
    pub throttle_buckets_max: NonZeroU32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            partitions: Partitions::default().into(),
            dead_letters_max: 100,
            // With 16 partitions a million channels, in about 200 MB. A look comes every 2 s, and following takes a
            // second: only more than 30,000 changes a second in one partition would forget what a gateway has not seen.
            channel_topics_max: const { NonZeroU32::new(65_536).expect("the default is not zero") },
            // With 16 partitions a million users who have just sent something, in about 150 MB.
            throttle_buckets_max: const { NonZeroU32::new(65_536).expect("the default is not zero") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_partition_and_unknown_keys_are_refused() {
        for text in ["partitions = 0", "partitons = 16", "channel_topics_max = 0", "throttle_buckets_max = 0"]
        {
            assert!(toml::from_str::<Config>(text).is_err(), "{text}");
        }
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }
}
