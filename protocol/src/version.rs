//! Counters that only grow.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// A topic's change counter. Versions only grow; gaps are allowed; 0 means "nothing yet".
///
/// At most 2^53-1, so that a JSON number carries it exactly in every language (RFC 8259, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// Before the first change.
    pub const ZERO: Self = Self(0);
    /// The greatest version, 2^53-1.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// `None` where `number` is above [`Version::MAX`].
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after this one.
    ///
    /// # Panics
    /// Past 2^53-1: at a million changes a second that takes 285 years.
    #[must_use]
    pub const fn next(self) -> Self {
        assert!(self.0 < Self::MAX.0, "a version passed 2^53-1");
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Self::new(number).ok_or_else(|| serde::de::Error::custom("a version is at most 2^53-1"))
    }
}

/// One life of a gateway's lease on a partition: greater than every earlier one of that gateway there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A gateway's counter of enters. It belongs to the process, never goes back, and is compared as a pair
/// with the epoch: see [`Stamp`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a registry entry is compared by: first the epoch, then the generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The life of the gateway's lease under which the entry was made.
    pub epoch: Epoch,
    /// The enter that made it.
    pub generation: Generation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_fit_a_json_number() {
        assert_eq!(serde_json::from_str::<Version>("9007199254740991").unwrap(), Version::MAX);
        for bad in ["9007199254740992", "-1", "1.5", "1e400", "\"1\""] {
            assert!(serde_json::from_str::<Version>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn stamps_compare_the_epoch_first() {
        let stamp = |e, g| Stamp { epoch: Epoch(e), generation: Generation(g) };
        assert!(stamp(2, 1) > stamp(1, 9));
        assert!(stamp(1, 2) > stamp(1, 1));
    }
}
