//! What an operator may set about the backplane. Leases and delays are their holders' settings: each call brings its own.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::Partitions;

/// The hint queue and the session registry: how users are spread, and what is kept of what was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many parts the users are spread over; fixed for an installation, changing it loses the queue.
    pub partitions: NonZeroU16,
    /// How many given-up maps a partition of the memory back-end keeps for an operator to look at.
    pub dead_letters_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { partitions: Partitions::default().into(), dead_letters_max: 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_partition_and_unknown_keys_are_refused() {
        for text in ["partitions = 0", "partitons = 16"] {
            assert!(toml::from_str::<Config>(text).is_err(), "{text}");
        }
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }
}
