//! What other back ends say and hear over HTTP, as types: hints in, the calls of an upstream, the offline hook.
//!
//! These are strict where frames are lenient: a misspelt `users` would ring the followers of a topic instead.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::{TopicId, UserId};
use crate::time::Timestamp;
use crate::version::Version;

/// The body of `POST /v1/hints`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HintsRequest {
    /// What to ring, and whom.
    pub hints: Vec<Ring>,
}

/// One hint, and who is to be rung with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// What changed.
    pub topic: TopicId,
    /// The version that it has reached.
    pub version: Version,
    /// Whom to ring, nobody where it is empty; the topic's followers where it is absent.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<UserId>>,
}

/// A list that may be left out, and is no `null`: what a program writes for a list that was never set, and that would
/// ring all followers.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<UserId>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

/// The answer to `POST /v1/hints`, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HintsReply {
    /// One for each hint.
    pub hints: Vec<Rung>,
}

/// What became of one hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rung {
    /// Users who are being rung now; for followers, those who are online.
    pub queued: u64,
    /// Users who were about to be rung already: it goes with what waits for them.
    pub merged: u64,
    /// Users without any session: nothing is kept for them.
    pub offline: u64,
}

/// The header that names whom a call concerns. The user's UTF-8, percent-encoded (RFC 3986) where it is no visible ASCII,
/// and `%` itself.
pub const USER_HEADER: &str = "doorbell-user";
/// The header that names a delivery of the offline hook: the same at each try of it.
pub const DELIVERY_HEADER: &str = "doorbell-delivery";

/// The body of a gateway's `topics.authorize` at an upstream: may the user follow these?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizeRequest {
    /// Who wants to follow.
    pub user: UserId,
    /// What.
    pub topics: Vec<TopicId>,
}

/// The upstream's answer: each topic that the user may follow, with its version. What is absent is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorizeReply(pub BTreeMap<TopicId, Version>);

/// The body of a delivery to the offline hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineReport {
    /// The delivery's name: one that comes twice is to be taken once.
    pub delivery: String,
    /// When the batch was closed, in milliseconds since the epoch.
    pub at_ms: Timestamp,
    /// Each user once.
    pub users: Vec<OfflineUser>,
}

/// One user who was to be rung and had no session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineUser {
    /// Who.
    pub user: UserId,
    /// What changed, each topic with the version that it has reached.
    pub topics: BTreeMap<TopicId, Version>,
    /// More topics than are kept for one user: anything may have changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resync: bool,
}
