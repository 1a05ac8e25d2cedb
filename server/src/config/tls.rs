//! Which certificate is shown, if any.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// TLS on `listen`: `https` and `wss` in place of `http` and `ws`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate in PEM, the server's own first, then what leads to its authority. Empty means no TLS. Read again
    /// at SIGHUP.
    pub certificate_file: PathBuf,
    /// The certificate's private key in PEM. It may be in the same file.
    pub key_file: PathBuf,
    /// How often the two files are looked at for a change, beside SIGHUP.
    #[serde(with = "humantime_serde")]
    pub reread_interval: Duration,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
            reread_interval: Duration::from_secs(60),
        }
    }
}

impl Tls {
    /// Whether TLS is spoken.
    pub fn is_on(&self) -> bool {
        !self.certificate_file.as_os_str().is_empty()
    }

    /// Checks how the keys stand to each other.
    ///
    /// # Errors
    /// The rule that is broken, with its keys.
    pub fn validate(&self) -> Result<(), String> {
        match (self.is_on(), self.key_file.as_os_str().is_empty()) {
            (true, true) => {
                return Err("`certificate_file` needs its `key_file`: name both or neither".to_owned());
            }
            (false, false) => {
                return Err("`key_file` needs its `certificate_file`: name both or neither".to_owned());
            }
            (true, false) | (false, true) => {}
        }
        if self.reread_interval < Duration::from_secs(1) {
            return Err("`reread_interval` must be at least `1s`".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_files_come_together() {
        let rules = |text: &str| toml::from_str::<Tls>(text).unwrap().validate();
        assert_eq!(rules(""), Ok(()));
        assert_eq!(rules("certificate_file = 'a'\nkey_file = 'b'"), Ok(()));
        for one in ["certificate_file = 'a'", "key_file = 'a'"] {
            let said = rules(one).unwrap_err();
            assert!(said.contains("`certificate_file`") && said.contains("`key_file`"), "{said}");
        }
        assert!(rules("reread_interval = '10ms'").unwrap_err().contains("`reread_interval`"));
    }
}
