//! The section `[upstream]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::address;
use crate::secret::Secret;

/// Its name in errors.
const SECTION: &str = "upstream";

/// A back end of your own, over HTTP, in place of the message service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where methods are answered, as `https://app.example/doorbell`: a call of `notes.add` becomes a POST to
    /// `https://app.example/doorbell/notes.add`. Empty means the message service, with its store.
    pub url: String,
    /// The secret that goes with each request, as `Authorization: Bearer`. Needed with `url`; better in a file of its own,
    /// or in the environment.
    pub secret: Secret,
    /// The file that holds the secret, in place of `secret`.
    pub secret_file: PathBuf,
    /// From the request to the last byte of the answer. Shorter than `gateway.call_timeout`, so that the client learns
    /// which of the two was late.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// How long a connection may take to be made.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Largest answer, in bytes: as much as a frame to a client holds.
    pub response_bytes_max: NonZeroUsize,
    /// Calls of clients under way at most; what comes beyond is answered with `unavailable`. One user may have an eighth of
    /// them, at least one, and is told `rate_limited` beyond that. Questions for `topics.authorize` have half as many
    /// places beside these, shared out alike.
    pub calls_in_flight_max: NonZeroUsize,
    /// Idle connections that are kept.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept: shorter than the upstream keeps it, which is 5 s with Node's defaults, or a
    /// request meets a connection that is being closed.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Failures without a success between after which the upstream is spared: no answer in time, none at all, or 502, 503
    /// or 504. One counts where nothing has succeeded since its call began, and one a second of the same user.
    pub breaker_failures_max: NonZeroU32,
    /// How long it is spared before calls try again, three at a time, each of another user.
    #[serde(with = "humantime_serde")]
    pub breaker_open_for: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: Secret::default(),
            secret_file: PathBuf::new(),
            call_timeout: Duration::from_secs(8),
            connect_timeout: Duration::from_secs(2),
            response_bytes_max: const { NonZeroUsize::new(256 * 1024).expect("not zero") },
            calls_in_flight_max: const { NonZeroUsize::new(256).expect("not zero") },
            idle_connections_max: 64,
            idle_timeout: Duration::from_secs(4),
            breaker_failures_max: const { NonZeroU32::new(10).expect("not zero") },
            breaker_open_for: Duration::from_secs(5),
        }
    }
}

/// A key that is wrong, or does not go with another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{section}: {rule}")]
pub struct InvalidConfig {
    /// The section: `upstream` or `offline_hook`.
    pub section: &'static str,
    /// What must hold, with the keys.
    pub rule: String,
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
        if self.call_timeout.is_zero() || self.connect_timeout.is_zero() || self.breaker_open_for.is_zero() {
            return broken(
                "`call_timeout`, `connect_timeout` and `breaker_open_for` must be longer than zero",
            );
        }
        if self.connect_timeout > self.call_timeout {
            return broken("`connect_timeout` must not be longer than `call_timeout`, which it is a part of");
        }
        if !self.is_set() {
            return Ok(());
        }
        if self.secret_file.as_os_str().is_empty() == self.secret.is_empty() {
            return broken(
                "where `url` is set, one of `secret` and `secret_file` must be: the upstream knows Doorbell by it",
            );
        }
        self.address().map(|_| ())
    }

    /// The address.
    ///
    /// # Errors
    /// It is no address of that kind.
    pub(crate) fn address(&self) -> Result<Uri, InvalidConfig> {
        let rule = |rule: &str| InvalidConfig {
            section: SECTION,
            rule: format!("`url` {rule}, as https://app.example/doorbell"),
        };
        let url = address::parse(&self.url).map_err(rule)?;
        if url.query().is_some() {
            return Err(rule("must hold no `?`: a method's name follows it"));
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Config {
        Config { url: url.into(), secret_file: "secret".into(), ..Config::default() }
    }

    #[test]
    fn without_an_address_the_defaults_hold_and_there_is_none() {
        assert!(Config::default().validate().is_ok() && !Config::default().is_set());
    }

    #[test]
    fn an_address_is_a_place_that_a_name_can_follow() {
        for url in [
            "http://127.0.0.1:9000",
            "https://app.example/doorbell",
            "https://app.example/a/b/",
            "http://[::1]:1",
        ] {
            at(url).validate().unwrap();
        }
        for url in
            ["app.example", "ftp://x/", "https://u:p@x/", "https://x/?a=1", "https://x/#a", "http://", "/a"]
        {
            let said = at(url).validate().unwrap_err().to_string();
            assert!(said.contains("`url`") && !said.contains("u:p"), "{said}");
        }
    }

    #[test]
    fn what_must_go_together_is_said_with_both_keys() {
        let said = |config: Config| config.validate().unwrap_err().to_string();
        let neither = Config { secret_file: PathBuf::new(), ..at("http://x") };
        let both = Config { secret: Secret::new("s3cret".into()), ..at("http://x") };
        let one = Config { secret_file: PathBuf::new(), ..both.clone() };
        assert_eq!(one.validate(), Ok(()));
        for config in [neither, both] {
            let said = said(config);
            assert!(said.contains("one of `secret` and `secret_file`") && !said.contains("s3cret"), "{said}");
        }
        let config = Config { connect_timeout: Duration::from_secs(9), ..Config::default() };
        assert!(said(config).contains("`connect_timeout` must not be longer than `call_timeout`"));
    }
}
