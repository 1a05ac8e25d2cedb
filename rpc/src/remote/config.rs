//! The section `[rpc]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::remote::BadRelation;

/// How processes call one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a connection may take until both sides have proved who they are.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long any call may take. Callers have shorter deadlines of their own; this one ends what they forget, on both
    /// sides.
    #[serde(with = "humantime_serde")]
    pub call_timeout_max: Duration,
    /// Calls of one kind under way to one peer at most; a further one is answered as busy at once.
    pub in_flight_max: NonZeroU32,
    /// Bytes of the calls of one kind that are under way to one peer, at most.
    pub in_flight_bytes_max: NonZeroU32,
    /// Size of one request or answer at most, in bytes. The same in every process.
    pub message_bytes_max: NonZeroUsize,
    /// The first wait after a connection failed; it doubles with each further failure, and calls fail at once meanwhile.
    #[serde(with = "humantime_serde")]
    pub reconnect_delay_min: Duration,
    /// The longest wait between two attempts to connect.
    #[serde(with = "humantime_serde")]
    pub reconnect_delay_max: Duration,
    /// How long a connection must have held before the waits begin at the shortest again.
    #[serde(with = "humantime_serde")]
    pub stable_after: Duration,
    /// How often a connection is tried with a ping, busy or not.
    #[serde(with = "humantime_serde")]
    pub keep_alive_interval: Duration,
    /// How long a ping, or bytes sent, may stay unanswered before the connection counts as dead.
    #[serde(with = "humantime_serde")]
    pub keep_alive_timeout: Duration,
    /// Connections that others may have open to this process at most.
    pub connections_max: NonZeroUsize,
    /// At a stop, how long the calls under way may take to end.
    #[serde(with = "humantime_serde")]
    pub drain_budget: Duration,
}

impl Default for Config {
    fn default() -> Self {
        const fn count(number: u32) -> NonZeroU32 {
            NonZeroU32::new(number).expect("the default is not zero")
        }
        const fn size(number: usize) -> NonZeroUsize {
            NonZeroUsize::new(number).expect("the default is not zero")
        }
        Self {
            connect_timeout: Duration::from_secs(1),
            call_timeout_max: Duration::from_secs(30),
            in_flight_max: count(1_024),
            in_flight_bytes_max: count(64 << 20),
            message_bytes_max: const { size(16 << 20) },
            // A peer that comes back at its address is called again within two seconds.
            reconnect_delay_min: Duration::from_millis(50),
            reconnect_delay_max: Duration::from_secs(1),
            stable_after: Duration::from_secs(5),
            // A black hole is noticed within three seconds.
            keep_alive_interval: Duration::from_secs(1),
            keep_alive_timeout: Duration::from_secs(2),
            connections_max: const { size(4_096) },
            drain_budget: Duration::from_secs(5),
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
            ("connect_timeout", self.connect_timeout),
            ("call_timeout_max", self.call_timeout_max),
            ("reconnect_delay_min", self.reconnect_delay_min),
            ("keep_alive_interval", self.keep_alive_interval),
            ("keep_alive_timeout", self.keep_alive_timeout),
            ("drain_budget", self.drain_budget),
        ] {
            let keys = [key, key];
            require(!value.is_zero(), keys, "must be longer than zero")?;
            require(value <= Duration::from_secs(3_600), keys, "must be at most one hour")?;
        }
        require(
            self.reconnect_delay_min <= self.reconnect_delay_max,
            ["reconnect_delay_min", "reconnect_delay_max"],
            "the first wait must not be longer than the longest",
        )?;
        require(
            self.connect_timeout <= self.call_timeout_max,
            ["connect_timeout", "call_timeout_max"],
            "a call must have the time to connect",
        )?;
        let message_bytes = self.message_bytes_max.get();
        let message = ["message_bytes_max", "message_bytes_max"];
        require(message_bytes >= 64 << 10, message, "must be at least 65536 (64 KiB)")?;
        require(
            u32::try_from(message_bytes).is_ok_and(|bytes| bytes <= self.in_flight_bytes_max.get()),
            ["message_bytes_max", "in_flight_bytes_max"],
            "one message must fit into what may be under way",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_together() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_bad_relation_names_its_keys() {
        let default = Config::default;
        let hour = Duration::from_secs(3_601);
        for (config, keys) in [
            (Config { connect_timeout: Duration::ZERO, ..default() }, "`connect_timeout`"),
            (Config { call_timeout_max: hour, ..default() }, "`call_timeout_max`"),
            (
                Config { reconnect_delay_min: Duration::from_secs(9), ..default() },
                "`reconnect_delay_min` and `reconnect_delay_max`",
            ),
            (
                Config { connect_timeout: Duration::from_secs(60), ..default() },
                "`connect_timeout` and `call_timeout_max`",
            ),
            (Config { message_bytes_max: NonZeroUsize::MIN, ..default() }, "`message_bytes_max`"),
            (
                Config { in_flight_bytes_max: NonZeroU32::MIN, ..default() },
                "`message_bytes_max` and `in_flight_bytes_max`",
            ),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{keys}: ")), "{error}");
        }
    }
}
