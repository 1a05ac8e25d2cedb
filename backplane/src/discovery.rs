//! Who is there: which processes serve what, and where the others call them.
//!
//! A process says that it is there, and for how long that holds; with the answer it learns of everybody else. None is
//! configured with a list. What is kept is soft: each process says it again once a second, so a store that was lost is
//! full again after that. What a list means, and for how long an old one may be believed, the caller decides.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::InstanceId;
use serde::{Deserialize, Serialize};

use crate::{Error, PartitionIdentity};

/// One thing that a process can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Notifier, Self::Channel, Self::Message];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Notifier => "notifier",
            Self::Channel => "channel",
            Self::Message => "message",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is one of gateway, notifier, channel, message")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

/// One life of one process, as it describes itself. Fields that a later release adds are ignored by an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name; new at each start. A gateway has the same one.
    pub id: InstanceId,
    /// What it does. A role that this release does not know is left out.
    #[serde(deserialize_with = "known_roles")]
    pub roles: Vec<Role>,
    /// Where other processes call it: `host:port`.
    pub address: String,
    /// What it says as a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayFacts>,
    /// The message store that it has open: of all that serve messages, the one to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreFacts>,
}

/// What a process says of the message store that it has open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFacts {
    /// Which one.
    pub id: String,
    /// Since when, in ms since 1970 by its own clock. Of two that have it, the earlier one has ended.
    pub opened_ms: u64,
}

/// What a gateway says, so that a client can be sent to the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayFacts {
    /// Where clients reach it, for example `wss://gw1.example.com`.
    pub url: String,
    /// How many sessions it holds.
    pub sessions: u64,
    /// It takes no new clients: it ends, or has all that it may hold.
    pub closed: bool,
}

impl Instance {
    /// Whether it has this role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// Who is there, as the store knew it in one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instances {
    /// The store that answered. Another one than before may know nobody yet: nobody is gone for that.
    pub identity: PartitionIdentity,
    /// Everybody whose word still holds, in the order of their names.
    pub live: Vec<Instance>,
}

/// What processes say of themselves, and hear of each other.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// Says that `instance` is there for `ttl` from now, in place of what was said under its name before; answers who
    /// is, itself among them. At most about [`INSTANCES_MAX`] instances.
    ///
    /// *Repeats*: harmless.
    async fn announce(&self, instance: &Instance, ttl: Duration) -> Result<Instances, Error>;

    /// Takes back what was said under this name, at once.
    async fn withdraw(&self, instance: &InstanceId) -> Result<(), Error>;

    /// Makes `store` the message store of this installation, if it has none; answers which one it has. A process with
    /// another store must not serve it: two stores would be two truths. It stands until the back-end loses its data.
    async fn settle_store(&self, store: &str) -> Result<String, Error>;
}

/// How many processes one list is made for: beyond it, each look of each of them costs too much.
pub const INSTANCES_MAX: usize = 1_000;

fn known_roles<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Role>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_release_says_is_read_by_this_one() {
        let text = r#"{"id":"i-1","roles":["gateway","oracle"],"address":"10.0.0.7:7070","zone":"b",
            "gateway":{"url":"wss://gw.example","sessions":7,"closed":false,"weight":2}}"#;
        let facts = GatewayFacts { url: "wss://gw.example".to_owned(), sessions: 7, closed: false };
        let expected = Instance {
            id: InstanceId::new("i-1").unwrap(),
            roles: vec![Role::Gateway],
            address: "10.0.0.7:7070".to_owned(),
            gateway: Some(facts),
            store: None,
        };
        assert_eq!(serde_json::from_str::<Instance>(text).unwrap(), expected);
    }
}
