//! Text that may hold a password: it is never printed.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// An address of a Redis server, perhaps with a password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// As it is written.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, password and all.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The text with whatever stands before the `@` of its authority hidden.
    #[must_use]
    pub fn redacted(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let separator = if scheme.is_empty() { "" } else { "://" };
        match rest.rsplit_once('@') {
            Some((_, place)) => format!("{scheme}{separator}***@{place}"),
            None => self.0.clone(),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.redacted(), f)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let check = |text: &str, shown: &str| {
            let address = Address::new(text);
            let debug = format!("{address:?} {}", serde_json::to_string(&address).unwrap());
            assert_eq!(debug, format!("{shown:?} {shown:?}"));
        };
        check("redis://localhost:6379", "redis://localhost:6379");
        check("redis://ann:s3cret@host", "redis://***@host");
        check("rediss://:p@ss@w0rd@host:1", "rediss://***@host:1");
        check("ann:s3cret@host", "***@host");
    }
}
