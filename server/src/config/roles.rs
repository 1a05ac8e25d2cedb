//! What a process does.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// One thing that a process can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds client sockets.
    Gateway,
    /// Moves hints from the queue to the gateways.
    Notifier,
    /// Publishes to large audiences.
    Channel,
    /// Keeps conversations and messages.
    Message,
}

impl Role {
    const ALL: [Self; 4] = [Self::Gateway, Self::Notifier, Self::Channel, Self::Message];

    const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Notifier => "notifier",
            Self::Channel => "channel",
            Self::Message => "message",
        }
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            format!(
                "unknown role {text:?}: a role is one of gateway, notifier, channel, message, or all for all \
                 of them"
            )
        })
    }
}

/// A set of roles, never empty; all of them by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Roles(BTreeSet<Role>);

impl Default for Roles {
    fn default() -> Self {
        Self(Role::ALL.into())
    }
}

impl Roles {
    /// Whether one process does everything.
    pub fn is_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }

    fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut roles = BTreeSet::new();
        for name in names.map(str::trim) {
            if name == "all" {
                roles.extend(Role::ALL);
            } else {
                roles.insert(name.parse()?);
            }
        }
        if roles.is_empty() {
            return Err(
                "no role: name at least one of gateway, notifier, channel, message, or all".to_owned()
            );
        }
        Ok(Self(roles))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|role| role.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a list of roles, or their names with commas")]
        enum Written {
            List(Vec<String>),
            Text(String),
        }
        let roles = match Written::deserialize(deserializer)? {
            Written::List(names) => Self::parse(names.iter().map(String::as_str)),
            Written::Text(names) => Self::parse(names.split(',')),
        };
        roles.map_err(serde::de::Error::custom)
    }
}
