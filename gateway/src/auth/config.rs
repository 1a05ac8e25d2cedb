//! What an operator can set about tokens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};

/// The most that clocks may differ (RFC 8725 and docs/protocol.md): beyond it, set the clocks.
const LEEWAY_MAX: Duration = Duration::from_secs(60);
/// A source that is asked more often than that gains nothing.
const REFRESH_MIN: Duration = Duration::from_secs(1);

/// Tokens: who may sign them beside the key file, and what is demanded of them beside a good signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a token is taken beyond its `exp`, and before its `nbf`, at most 60 s. None by default: our own
    /// tokens carry no `nbf`, and a refused one costs a client one fresh token.
    #[serde(with = "humantime_serde")]
    pub token_leeway: Duration,
    /// What a token's `iss` must be, where set.
    pub token_issuer: Option<String>,
    /// What a token's `aud` must be or hold, where set. Where it is not, a token with an `aud` is refused: it was
    /// made for somebody else.
    pub token_audience: Option<String>,
    /// Public keys of who else may sign tokens, one PEM file each, read at the start: RSA of 2048 bits or more
    /// (RS256), P-256 (ES256) or Ed25519 (EdDSA). A file's name without its ending is the key's `kid`.
    pub public_key_files: Vec<PathBuf>,
    /// A JWK Set with public keys of who else may sign tokens: a file, or an http or https URL; empty means none.
    pub jwks: KeySource,
    /// How often `jwks` is read again. A token with an unknown `kid` asks earlier, at most once a minute.
    #[serde(with = "humantime_serde")]
    pub jwks_refresh: Duration,
    /// One reading of `jwks`, from the connect to the last byte.
    #[serde(with = "humantime_serde")]
    pub jwks_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token_leeway: Duration::ZERO,
            token_issuer: None,
            token_audience: None,
            public_key_files: Vec::new(),
            jwks: KeySource::Nowhere,
            jwks_refresh: Duration::from_secs(300),
            jwks_timeout: Duration::from_secs(5),
        }
    }
}

/// Where a JWK Set is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeySource {
    /// There is none.
    #[default]
    Nowhere,
    /// In a file.
    File(PathBuf),
    /// Behind an http or https URL, without a name and password.
    Url(Uri),
}

/// A source that is none. It does not repeat the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a file, or http://… or https://… without user and password")]
pub struct InvalidSource;

impl TryFrom<String> for KeySource {
    type Error = InvalidSource;
    fn try_from(text: String) -> Result<Self, InvalidSource> {
        if text.is_empty() {
            return Ok(Self::Nowhere);
        }
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let url: Uri = text.parse().map_err(|_| InvalidSource)?;
        let is_plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if is_plain && matches!(url.scheme_str(), Some("http" | "https")) {
            Ok(Self::Url(url))
        } else {
            Err(InvalidSource)
        }
    }
}

impl From<KeySource> for String {
    fn from(source: KeySource) -> Self {
        match source {
            KeySource::Nowhere => Self::new(),
            KeySource::File(path) => path.display().to_string(),
            KeySource::Url(url) => url.to_string(),
        }
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth: `{key}` {rule}")]
pub struct InvalidConfig {
    /// The key to change.
    pub key: &'static str,
    /// What it must be.
    pub rule: String,
}

impl Config {
    /// Checks the limits of the values, and how they stand to each other.
    ///
    /// # Errors
    /// The first rule that is broken, with its keys.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let broken = |key, rule: &str| Err(InvalidConfig { key, rule: rule.to_owned() });
        if self.token_leeway > LEEWAY_MAX {
            return broken("token_leeway", "must be at most 60s");
        }
        if self.jwks_refresh < REFRESH_MIN {
            return broken("jwks_refresh", "must be at least 1s");
        }
        if self.jwks_timeout.is_zero() {
            return broken("jwks_timeout", "must be more than 0s");
        }
        for (key, name) in [("token_issuer", &self.token_issuer), ("token_audience", &self.token_audience)] {
            if name.as_ref().is_some_and(String::is_empty) {
                return broken(
                    key,
                    "must not be empty, or every token is refused; leave it out to check none",
                );
            }
        }
        let mut kids: Vec<&str> = Vec::new();
        for path in &self.public_key_files {
            let Some(kid) = kid_of(path) else {
                return broken("public_key_files", "must name files, and a file's name must be text");
            };
            if kids.contains(&kid) {
                let rule = format!("has two files that would be the key {kid:?}: rename one");
                return Err(InvalidConfig { key: "public_key_files", rule });
            }
            kids.push(kid);
        }
        Ok(())
    }
}

/// The `kid` of the key in a PEM file: its name without its ending.
#[must_use]
pub fn kid_of(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str().filter(|stem| !stem.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(config: &Config) -> String {
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_hold_and_each_limit_is_named() {
        let default = Config::default;
        assert_eq!(default().validate(), Ok(()));
        assert!(
            rule(&Config { token_leeway: Duration::from_secs(61), ..default() }).contains("`token_leeway`")
        );
        assert!(
            rule(&Config { jwks_refresh: Duration::from_millis(9), ..default() }).contains("`jwks_refresh`")
        );
        assert!(rule(&Config { jwks_timeout: Duration::ZERO, ..default() }).contains("`jwks_timeout`"));
        assert!(rule(&Config { token_issuer: Some(String::new()), ..default() }).contains("`token_issuer`"));
        assert!(
            rule(&Config { token_audience: Some(String::new()), ..default() }).contains("`token_audience`")
        );
        let twice = vec!["a/2026.pem".into(), "b/2026.pub".into()];
        assert!(rule(&Config { public_key_files: twice, ..default() }).contains("\"2026\""));
        let none = vec!["..".into()];
        assert!(rule(&Config { public_key_files: none, ..default() }).contains("`public_key_files`"));
    }

    #[test]
    fn a_source_is_a_file_or_a_url_and_never_shows_a_password() {
        let read = |text: &str| KeySource::try_from(text.to_owned());
        assert_eq!(read(""), Ok(KeySource::Nowhere));
        assert_eq!(read("/etc/keys.json"), Ok(KeySource::File("/etc/keys.json".into())));
        for url in ["http://id.example/keys", "https://id.example:8443/.well-known/jwks.json?x=y"] {
            assert_eq!(read(url).map(String::from), Ok(url.to_owned()));
        }
        for bad in ["ftp://id.example/keys", "https://user:secret@id.example/keys", "https://", "file:///x"] {
            let said = read(bad).unwrap_err().to_string();
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
