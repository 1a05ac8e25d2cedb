//! What a process does.

use doorbell_backplane::Role;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::fmt;

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

    /// Whether a process does this.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }

    fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut roles = BTreeSet::new();
        for name in names.map(str::trim) {
            if name == "all" {
                roles.extend(Role::ALL);
            } else {
                roles.insert(role(name)?);
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

fn role(name: &str) -> Result<Role, String> {
    name.parse().map_err(|_| {
        format!("unknown role {name:?}: a role is one of gateway, notifier, channel, message, or all for all of them")
    })
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
