//! What a call is answered with.

use std::collections::BTreeMap;

use doorbell_protocol::{ConversationId, MessageId, Timestamp, TopicId, UserId, Version};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::conversation::{Entry, EntryKind};
use crate::status::State;
use crate::writer::request;

/// `topics.changes`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Changes {
    /// Each topic that changed, with its version.
    #[serde(serialize_with = "as_map")]
    #[schemars(with = "std::collections::BTreeMap<TopicId, Version>")]
    pub topics: Vec<(TopicId, Version)>,
    /// Topics that are no longer the user's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<TopicId>,
    /// What to ask with the next time.
    pub cursor: String,
    /// There are others: ask again, at once.
    pub more: bool,
    /// The cursor could not be placed: forget every version that you hold.
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
}

/// `conversations.create`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Created {
    /// Its id.
    pub conversation: ConversationId,
    /// Its topic.
    pub topic: TopicId,
}

/// `conversations.list`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Conversations {
    /// Most recent first; with `changed_since`, the one that changed last at the end.
    pub conversations: Vec<Conversation>,
    /// What to pass as `before` for the page further down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// With `changed_since`, what else there is to say.
    #[serde(flatten)]
    pub since: Option<Since>,
}

/// What `conversations.list` answers besides conversations when it is asked with `changed_since`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Since {
    /// Those that are no longer the user's.
    pub gone: Vec<ConversationId>,
    /// What to ask with the next time.
    pub cursor: String,
    /// There are others: ask again, at once.
    pub more: bool,
    /// The cursor could not be placed: forget every conversation that you hold.
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
}

/// One conversation as one member sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Conversation {
    /// Its id.
    pub conversation: ConversationId,
    /// Its topic.
    pub topic: TopicId,
    /// Its title; a pair has none.
    pub title: Option<String>,
    /// The version of its last entry.
    pub version: Version,
    /// The caller's read mark.
    pub read: Version,
    /// Messages of others after the read mark.
    pub unread: u64,
    /// The caller wants no pushes from it.
    pub muted: bool,
    /// The caller's own word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Who may remove others; a pair has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// The owner alone adds members and gives titles.
    #[serde(skip_serializing_if = "is_false")]
    pub closed: bool,
    /// The last message.
    pub last: Option<Message>,
    /// When the last entry was made.
    pub updated_at_ms: Timestamp,
    /// How many members it has, with the caller.
    pub member_count: u64,
    /// How many of a large one's members are online; only `conversations.get` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<u64>,
    /// A page of them in the order of their names; in a list, the first eight.
    pub members: Vec<UserId>,
    /// What to pass as `members_after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_next: Option<UserId>,
}

/// `members.add` and `members.remove`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Members {
    /// How many there are now.
    pub members: u64,
}

/// `conversations.mark_read`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Read {
    /// Where the mark stands: the greatest so far.
    pub read: Version,
}

/// `messages.send`, `messages.edit`, `messages.delete`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sent {
    /// Where it went.
    pub conversation: ConversationId,
    /// Its version.
    pub version: Version,
    /// Its name.
    pub id: MessageId,
    /// When the server took it.
    pub sent_at_ms: Timestamp,
}

impl From<request::Sent> for Sent {
    fn from(sent: request::Sent) -> Self {
        let request::Sent { conversation, version, id, sent_at } = sent;
        Self { conversation, version, id, sent_at_ms: sent_at }
    }
}

/// `messages.list`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Messages {
    /// In ascending order.
    pub messages: Vec<Message>,
    /// There are others further in the direction that was asked.
    pub more: bool,
}

/// One entry of a log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Message {
    /// Its place.
    pub version: Version,
    /// What it says.
    pub kind: &'static str,
    /// The entry that it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Version>,
    /// Its name.
    pub id: MessageId,
    /// Who sent it.
    pub from: UserId,
    /// What it says; empty where it was deleted, and for a `delete`.
    pub text: String,
    /// Links.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    /// What the sender's client put beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    /// When the server took it.
    pub sent_at_ms: Timestamp,
    /// Its content was taken away.
    #[serde(skip_serializing_if = "is_false")]
    pub deleted: bool,
    /// The edit that `text` is from; a log shows each entry as it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<Version>,
}

impl From<Entry> for Message {
    fn from(entry: Entry) -> Self {
        let kind = match entry.kind {
            EntryKind::Message => "message",
            EntryKind::Edit => "edit",
            EntryKind::Delete => "delete",
            EntryKind::Rename => "rename",
        };
        let meta = entry.content.meta.and_then(|json| serde_json::from_str(&json).ok());
        Self {
            version: entry.version,
            kind,
            of: entry.of,
            id: entry.id,
            from: entry.from,
            text: entry.content.text,
            media: entry.content.media,
            meta,
            sent_at_ms: entry.sent_at,
            deleted: entry.deleted.is_some(),
            edited: None,
        }
    }
}

/// `status.get`
pub type Statuses = BTreeMap<UserId, Status>;

/// How one user is seen.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    /// As others see it; the caller's own as it was set.
    pub state: State,
    /// The user's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When the user was last seen: now, of whoever has a socket; absent where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<Timestamp>,
}

fn as_map<S: Serializer>(topics: &[(TopicId, Version)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(topics.iter().map(|(topic, version)| (topic, version)))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
