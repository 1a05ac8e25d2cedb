//! What the log knows: conversations, their members, their entries. Plain data and pure rules.

use std::sync::Arc;

use doorbell_protocol::{ConversationId, MessageId, Timestamp, UserId, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::shard::{Shard, Shards};

/// What is so for all of a conversation's members, and seldom changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// A pair, or a group.
    pub kind: Kind,
    /// Who made it, or the longest member since that one left. Of a pair: who wrote or asked first, which means
    /// nothing.
    pub owner: UserId,
    /// As given; a pair has none.
    pub title: Option<String>,
    /// The owner alone adds members and gives titles. A pair is always closed, and nobody may.
    pub closed: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A pair, or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two members and no title: there is one per pair, and its id follows from the two names.
    Direct,
    /// Everything else.
    Group,
}

/// How far a conversation's log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The version of the last entry; 0 before the first.
    pub version: Version,
    /// Entries so far that are messages: what `unread` counts by.
    pub messages: u64,
    /// The version of the last message; 0 before the first.
    pub last_message: Version,
    /// The version of the last entry that deletes a message; 0 before the first. What lies in the log before it may
    /// have had content once that it has no more.
    pub last_delete: Version,
    /// How many members there are.
    pub members: u64,
    /// The commit that last changed who they are.
    pub members_at: Position,
    /// The commit of the last entry, or of the creation.
    pub position: Position,
    /// The time of the last entry, or of the creation. It never goes back.
    pub updated_at: Timestamp,
}

/// One user in one conversation, now or once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The commit by which the user came in, the last time.
    pub joined: Position,
    /// The commit that last changed what is the user's own here: came in, left, read, muted, labelled.
    pub changed: Position,
    /// The commit by which the user left; `None` for a member.
    pub left: Option<Position>,
    /// The read mark.
    pub mark: Mark,
    /// Messages that the user has sent here.
    pub own: u64,
    /// The version of the last of them; 0 before the first.
    pub last_own: Version,
    /// The user wants no pushes from here.
    pub muted: bool,
    /// The user's own word for it.
    pub label: Option<Arc<str>>,
}

/// One of a conversation's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// Since which commit.
    pub joined: Position,
}

/// How far a member has read, with what had been sent by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last version read.
    pub version: Version,
    /// Messages up to it.
    pub messages: u64,
    /// The member's own messages up to it.
    pub own: u64,
}

impl Membership {
    /// Whether the user is a member, and did not leave.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.left.is_none()
    }

    /// The messages of others after the read mark: exact, from counters alone.
    #[must_use]
    pub const fn unread(&self, head: &Head) -> u64 {
        let all = head.messages.saturating_sub(self.mark.messages);
        all.saturating_sub(self.own.saturating_sub(self.mark.own))
    }
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence number: dense, from 1.
    pub version: Version,
    /// What it says.
    pub kind: EntryKind,
    /// The entry that it changes, for an edit or a delete.
    pub of: Option<Version>,
    /// Its own name, a UUIDv7.
    pub id: MessageId,
    /// Who sent it.
    pub from: UserId,
    /// When the server took it.
    pub sent_at: Timestamp,
    /// Messages in the log up to and with this entry.
    pub messages: u64,
    /// Of a message: its edits so far. Of an edit: those before it.
    pub edits: Option<Edits>,
    /// By which entry the content was taken away.
    pub deleted: Option<Version>,
    /// What the sender wrote.
    pub content: Content,
}

/// A message's edits: a chain through the log, from the last one back to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edits {
    /// The last one.
    pub last: Version,
    /// How many.
    pub count: u32,
}

impl Entry {
    /// Takes the content away, for ever.
    pub fn redact(&mut self, by: Version) {
        self.content = Content::default();
        self.edits = None;
        self.deleted = Some(by);
    }
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A message.
    Message,
    /// A new text for an earlier message.
    Edit,
    /// An earlier message is gone.
    Delete,
    /// The conversation has a new title.
    Rename,
}

/// What the sender wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The text.
    pub text: String,
    /// Links.
    pub media: Vec<String>,
    /// An object, as JSON.
    pub meta: Option<String>,
}

impl Content {
    /// What tells two contents apart under one key: SHA-256 over the parts with their lengths.
    #[must_use]
    pub fn digest(&self) -> ContentDigest {
        let media = self.media.iter().map(String::as_bytes);
        let parts = [Some(self.text.as_bytes()), self.meta.as_deref().map(str::as_bytes)];
        ContentDigest::of(parts.into_iter().chain(media.map(Some)))
    }
}

/// What tells two requests apart under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest(pub [u8; 32]);

impl ContentDigest {
    /// SHA-256 over the parts, each with its length, so that no two lists of parts read alike.
    pub fn of<'a>(parts: impl IntoIterator<Item = Option<&'a [u8]>>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            match part {
                None => hash.update(u64::MAX.to_be_bytes()),
                Some(part) => {
                    hash.update(u64::try_from(part.len()).expect("a length fits 64 bits").to_be_bytes());
                    hash.update(part);
                }
            }
        }
        Self(hash.finalize().into())
    }
}

/// A commit of one shard, numbered from 1 in the order of commit; 0 means "nothing yet".
///
/// All that one commit wrote shares its position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position before this one; 0 stays 0.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What begins the id of a pair; an id with 32 hexadecimal digits, as groups have, can never begin so.
const DIRECT_PREFIX: &str = "d-";

/// The id of the conversation of two users: it follows from their names, whoever asks.
///
/// 160 bits of SHA-256 over both names with their lengths, the smaller one first.
#[must_use]
pub fn direct_id(one: &UserId, other: &UserId) -> ConversationId {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    let digest = ContentDigest::of([Some(first.as_str().as_bytes()), Some(second.as_str().as_bytes())]).0;
    let mut id = String::with_capacity(DIRECT_PREFIX.len() + 40);
    id.push_str(DIRECT_PREFIX);
    for byte in &digest[..20] {
        for nibble in [byte >> 4, byte & 15] {
            id.push(char::from_digit(nibble.into(), 16).expect("a nibble is a digit"));
        }
    }
    ConversationId::new(id).expect("a prefix and hexadecimal digits are a conversation id")
}

/// A fresh id for a group, in the given shard: a UUIDv7 as 32 hexadecimal digits.
///
/// A group lives in its creator's home shard, so that one commit holds it and the key that made it. The shard is a
/// hash of the id, so ids are drawn until one fits: as many times as there are shards, on average.
#[must_use]
pub fn group_id(now: Timestamp, home: Shard, shards: Shards) -> ConversationId {
    loop {
        let id = ConversationId::new(uuid_v7(now)).expect("hexadecimal digits are a conversation id");
        if shards.of_conversation(&id) == home {
            return id;
        }
    }
}

/// A fresh message id.
#[must_use]
pub fn message_id(now: Timestamp) -> MessageId {
    MessageId::new(uuid_v7(now)).expect("hexadecimal digits are a message id")
}

fn uuid_v7(now: Timestamp) -> String {
    let random: [u8; 10] = rand::random();
    Builder::from_unix_timestamp_millis(now.as_millis(), &random).into_uuid().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn a_pair_has_one_id_whoever_asks_and_no_other_pair_has_it() {
        let id = direct_id(&user("ada"), &user("bob"));
        assert_eq!(id, direct_id(&user("bob"), &user("ada")));
        assert_eq!(id.as_str(), "d-4796e8e725dd3f72258660b002bcb95bc1ab930e");
        assert_ne!(id, direct_id(&user("adab"), &user("ob")));
    }

    #[test]
    fn a_group_lives_where_it_was_asked_to() {
        let shards = Shards::new(std::num::NonZeroU16::new(5).unwrap());
        for shard in shards.all() {
            let id = group_id(Timestamp::from_millis(1_700_000_000_000), shard, shards);
            assert_eq!(shards.of_conversation(&id), shard);
            assert!(!id.as_str().starts_with(DIRECT_PREFIX) && id.as_str().len() == 32);
        }
    }

    #[test]
    fn contents_that_read_alike_when_joined_differ() {
        let content = |text: &str, media: &[&str], meta: Option<&str>| {
            Content {
                text: text.into(),
                media: media.iter().map(|&link| link.into()).collect(),
                meta: meta.map(Into::into),
            }
            .digest()
        };
        let all = [
            content("ab", &[], None),
            content("a", &["b"], None),
            content("a", &[], Some("b")),
            content("ab", &[""], None),
            content("ab", &[], Some("")),
            content("", &["a", "b"], None),
            content("", &["ab"], None),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| one != other), "{i}");
        }
    }

    #[test]
    fn own_messages_are_never_unread() {
        let mut member = Membership { own: 3, ..Membership::default() };
        let head = Head { messages: 10, ..Head::default() };
        assert_eq!(member.unread(&head), 7);
        member.mark = Mark { version: Version::ZERO, messages: 6, own: 2 };
        assert_eq!(member.unread(&head), 3);
        member.mark = Mark { version: Version::ZERO, messages: 10, own: 3 };
        assert_eq!(member.unread(&head), 0);
    }
}
