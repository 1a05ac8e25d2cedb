//! The section `[offline_hook]`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::address;
use crate::config::InvalidConfig;
use crate::secret::Secret;

/// Its name in errors.
const SECTION: &str = "offline_hook";

/// One user's news always fit: 64 topics of the longest names, every byte escaped.
const BYTES_MIN: usize = 64 * 1024;

/// A webhook that hears who was to be rung and had no session: for push services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where deliveries are posted, as `https://push.example/doorbell`. Empty means that there is no hook.
    pub url: String,
    /// The secret that signs deliveries, 16 bytes at least. Needed with `url`; better in a file of its own, or in the
    /// environment.
    pub secret: Secret,
    /// The file that holds the secret, in place of `secret`.
    pub secret_file: PathBuf,
    /// How long a user's news gather before they are reported.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// Users of one delivery at most.
    pub batch_users_max: NonZeroUsize,
    /// Bytes of one delivery at most.
    pub batch_bytes_max: usize,
    /// Users who may wait to be reported; beyond it the oldest are dropped, and counted.
    pub users_waiting_max: NonZeroUsize,
    /// Bytes that the news of those who wait may take; beyond it the oldest are dropped, and counted.
    pub bytes_waiting_max: usize,
    /// Deliveries under way at once, those that wait to be tried again included.
    pub deliveries_max: NonZeroUsize,
    /// How long a connection may take to be made.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long one try may take.
    #[serde(with = "humantime_serde")]
    pub delivery_timeout: Duration,
    /// The oldest that news are reported: whatever could not be by then is given up, and counted.
    #[serde(with = "humantime_serde")]
    pub age_max: Duration,
    /// The first wait after a failed try; it doubles with each further one, the upper half of it at random.
    #[serde(with = "humantime_serde")]
    pub retry_min: Duration,
    /// The longest wait.
    #[serde(with = "humantime_serde")]
    pub retry_max: Duration,
    /// How long an idle connection is kept: shorter than the receiver keeps it.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long the last tries may take at the end of the process, once nobody reports any more. With
    /// `message.drain_timeout`, which comes before it, no longer than `shutdown.finish_budget`.
    #[serde(with = "humantime_serde")]
    pub stop_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: Secret::default(),
            secret_file: PathBuf::new(),
            window: Duration::from_secs(5),
            batch_users_max: const { NonZeroUsize::new(100).expect("not zero") },
            batch_bytes_max: 256 * 1024,
            users_waiting_max: const { NonZeroUsize::new(100_000).expect("not zero") },
            bytes_waiting_max: 64 * 1024 * 1024,
            deliveries_max: const { NonZeroUsize::new(4).expect("not zero") },
            connect_timeout: Duration::from_secs(2),
            delivery_timeout: Duration::from_secs(10),
            // A receiver's deployment, and somebody who is called for it, fit.
            age_max: Duration::from_secs(600),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(4),
            stop_timeout: Duration::from_secs(3),
        }
    }
}

impl Config {
    /// Whether there is one.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        !self.url.is_empty()
    }

    /// Checks the address, and what must hold between keys.
    ///
    /// # Errors
    /// The first rule that does not hold, with its keys.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let broken = |rule: &str| Err(InvalidConfig { section: SECTION, rule: rule.to_owned() });
        if self.delivery_timeout.is_zero() || self.retry_min.is_zero() {
            return broken("`delivery_timeout` and `retry_min` must be longer than zero");
        }
        if self.retry_min > self.retry_max {
            return broken("`retry_min` must not be longer than `retry_max`");
        }
        if self.window >= self.age_max {
            return broken(
                "`window` must be shorter than `age_max`, or everything is given up before it is tried",
            );
        }
        if self.batch_bytes_max < BYTES_MIN || self.bytes_waiting_max < self.batch_bytes_max {
            return broken(
                "`batch_bytes_max` must be at least 65536, which one user's news may take, and `bytes_waiting_max` at \
                 least as much",
            );
        }
        if !self.is_set() {
            return Ok(());
        }
        if self.secret_file.as_os_str().is_empty() == self.secret.is_empty() {
            return broken(
                "where `url` is set, one of `secret` and `secret_file` must be: deliveries are signed with it",
            );
        }
        self.address().map(|_| ())
    }

    /// Where deliveries go.
    ///
    /// # Errors
    /// It is no address of that kind.
    pub(crate) fn address(&self) -> Result<Uri, InvalidConfig> {
        let rule = |rule: &str| InvalidConfig {
            section: SECTION,
            rule: format!("`url` {rule}, as https://push.example/doorbell"),
        };
        address::parse(&self.url).map_err(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_a_bad_address_or_relation_is_named() {
        assert!(Config::default().validate().is_ok() && !Config::default().is_set());
        let at = |url: &str| Config { url: url.into(), secret_file: "secret".into(), ..Config::default() };
        at("https://push.example/a?b=c").validate().unwrap();
        for (config, said) in [
            (at("push.example"), "`url` must begin"),
            (at("ftp://push.example"), "`url` must begin"),
            (Config { secret_file: PathBuf::new(), ..at("http://x") }, "one of `secret` and `secret_file`"),
            (
                Config { secret: Secret::new("x".into()), ..at("http://x") },
                "one of `secret` and `secret_file`",
            ),
            (Config { retry_min: Duration::from_secs(61), ..Config::default() }, "`retry_max`"),
            (Config { window: Duration::from_secs(600), ..Config::default() }, "`window`"),
            (Config { batch_bytes_max: BYTES_MIN - 1, ..Config::default() }, "`batch_bytes_max`"),
            (Config { bytes_waiting_max: BYTES_MIN, ..Config::default() }, "`bytes_waiting_max`"),
        ] {
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
    }
}
