//! The section `[redis]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::InvalidAddress;
use super::secret::Address;

/// Redis or Valkey, version 7 or later, in place of the memory back-end: needed as soon as there is more than one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it is: `redis://[user[:password]@]host[:port]`, `rediss://…` with TLS. Several are seeds of one Redis Cluster;
    /// a single server that is part of a Cluster is found to be so. Sentinels stand in one address:
    /// `redis+sentinel://[user[:password]@]host[:port],host[:port]/name-of-the-primary`, or `rediss+sentinel://…`; user and
    /// password are the primary's. Empty means the memory back-end.
    pub urls: Vec<Address>,
    /// The file that holds the password, in place of one in the addresses.
    pub password_file: PathBuf,
    /// The file that holds the password of the Sentinels, where they have one.
    pub sentinel_password_file: PathBuf,
    /// The certificates, in PEM, that a `rediss` server's must descend from; empty means those of the system.
    pub ca_file: PathBuf,
    /// What all keys begin with: several installations can share one Redis. Letters, digits, `.`, `_` and `-`.
    pub key_prefix: String,
    /// From a call to its answer, a new connection and one repetition included. What comes later counts as no answer.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// How long a connection may take to be made; not longer than `call_timeout`.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            password_file: PathBuf::new(),
            sentinel_password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            key_prefix: "doorbell".to_owned(),
            // Two of these fit into a gateway's lease of 5 s: one slow answer does not end it.
            call_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
        }
    }
}

/// A key that is wrong, or does not go with another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// An address cannot be used.
    #[error("`urls`: {0}")]
    Address(#[from] InvalidAddress),
    /// Another key.
    #[error("{0}")]
    Key(&'static str),
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Where a key is wrong, or two do not go together; both are named.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let named = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.key_prefix.is_empty() || self.key_prefix.len() > 64 || !self.key_prefix.chars().all(named) {
            return Err(InvalidConfig::Key("`key_prefix` is 1 to 64 letters, digits, `.`, `_` and `-`"));
        }
        if self.connect_timeout.is_zero() || self.connect_timeout > self.call_timeout {
            return Err(InvalidConfig::Key(
                "`connect_timeout` is more than nothing and at most `call_timeout`",
            ));
        }
        let target = super::address::parse_all(&self.urls)?;
        if target.login.password.is_some() && !self.password_file.as_os_str().is_empty() {
            return Err(InvalidConfig::Key(
                "`password_file` is set, and `urls` hold a password: one of both",
            ));
        }
        if !target.tls && !self.ca_file.as_os_str().is_empty() {
            return Err(InvalidConfig::Key("`ca_file` is set, and `urls` are without TLS: write rediss://"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        assert_eq!(check(r#"urls = ["redis://a"]"#), Ok(()));
        let bad = [
            ("", "urls"),
            (r#"url = "redis://a""#, "unknown field"),
            (r#"urls = ["redis://a/1"]"#, "key_prefix"),
            ("urls = [\"redis://:p@a\"]\npassword_file = \"/p\"", "password_file"),
            ("urls = [\"redis://a\"]\nca_file = \"/p\"", "rediss"),
            ("urls = [\"redis://a\"]\nkey_prefix = \"a{b}\"", "key_prefix"),
            ("urls = [\"redis://a\"]\nconnect_timeout = \"9s\"", "call_timeout"),
        ];
        for (text, word) in bad {
            let error = check(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
