//! A secret as it stands in a configuration.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Shown by nothing: not by `Debug`, and not where the configuration in force is printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// What is printed in its place.
const REDACTED: &str = "<redacted>";

impl Secret {
    /// Takes it as it is.
    #[must_use]
    pub const fn new(secret: String) -> Self {
        Self(secret)
    }

    /// There is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { REDACTED })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { REDACTED })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_never_shown() {
        let secret: Secret = serde_json::from_str(r#""s3cret""#).unwrap();
        assert_eq!(secret.reveal(), "s3cret");
        let shown = format!("{secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert_eq!(shown, r#"<redacted> "<redacted>""#);
        assert_eq!(serde_json::to_string(&Secret::default()).unwrap(), r#""""#);
    }
}
