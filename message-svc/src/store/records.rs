//! The bytes of the store's values: one format byte, then MessagePack arrays.
//!
//! Fields are told apart by their place: a later release may add some at the end with a default, or change the
//! format byte and read both. A table's fixture in the tests holds the bytes of today.

use std::borrow::Cow;
use std::collections::BTreeSet;

use doorbell_backplane::PartitionIdentity;
use doorbell_protocol::{ConversationId, MessageId, Timestamp, UserId, Version};
use serde::{Deserialize, Serialize};

use super::{Answer, Event, Inbox, Reseating, Said};
use crate::conversation::{
    Content, ContentDigest, Conversation, Edits, Entry, EntryKind, Head, Kind, Mark, Membership, Position,
};
use crate::status::{Chosen, Status};
use crate::writer::cursor::{Identities, Trail};

/// The format of every record of this release.
const FORMAT: u8 = 1;

/// Something that is kept as one value of one table.
pub trait Record: Sized {
    /// Its value's bytes.
    fn write(&self) -> Vec<u8>;
    /// `None` where the bytes are no such record.
    fn read(bytes: &[u8]) -> Option<Self>;
}

fn write(fields: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(FORMAT);
    rmp_serde::encode::write(&mut bytes, fields).expect("plain fields encode");
    bytes
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match bytes {
        [FORMAT, fields @ ..] => rmp_serde::from_slice(fields).ok(),
        _ => None,
    }
}

/// What a store is: the one row of `store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Of the whole store; greater than what this release knows means: hands off.
    pub format: u32,
    /// Random.
    pub id: [u8; 16],
    /// Fixed.
    pub shards: u16,
}

impl Record for Identity {
    fn write(&self) -> Vec<u8> {
        write(self)
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        read(bytes)
    }
}

/// How far a shard has come: written with every commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardState {
    /// The last commit.
    pub position: u64,
    /// Everything up to here is announced.
    pub announced: u64,
    /// Commits up to here are forgotten.
    pub forgotten: u64,
}

impl Record for ShardState {
    fn write(&self) -> Vec<u8> {
        write(self)
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        read(bytes)
    }
}

impl Record for Conversation {
    fn write(&self) -> Vec<u8> {
        let kind: u8 = match self.kind {
            Kind::Direct => 0,
            Kind::Group => 1,
        };
        write(&(kind, &self.owner, &self.title, self.closed, self.created_at))
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, owner, title, closed, created_at) = read::<(u8, _, _, _, _)>(bytes)?;
        let kind = match kind {
            0 => Kind::Direct,
            1 => Kind::Group,
            _ => return None,
        };
        Some(Self { kind, owner, title, closed, created_at })
    }
}

impl Record for Head {
    fn write(&self) -> Vec<u8> {
        let members = (self.members, self.members_at.0);
        let position = self.position.0;
        write(&(
            self.version,
            self.messages,
            self.last_message,
            self.last_delete,
            members,
            position,
            self.updated_at,
        ))
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, messages, last_message, last_delete, members, position, updated_at) = read(bytes)?;
        let (members, members_at): (u64, u64) = members;
        let (members_at, position) = (Position(members_at), Position(position));
        Some(Self { version, messages, last_message, last_delete, members, members_at, position, updated_at })
    }
}

impl Record for Membership {
    fn write(&self) -> Vec<u8> {
        let positions = (self.joined.0, self.changed.0, self.left.map(|left| left.0));
        let mark = (self.mark.version, self.mark.messages, self.mark.own);
        write(&(positions, mark, self.own, self.last_own, self.muted, self.label.as_deref()))
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (positions, mark, own, last_own, muted, label) = read(bytes)?;
        let (joined, changed, left): (u64, u64, Option<u64>) = positions;
        let (version, messages, marked) = mark;
        let label: Option<&str> = label;
        Some(Self {
            joined: Position(joined),
            changed: Position(changed),
            left: left.map(Position),
            mark: Mark { version, messages, own: marked },
            own,
            last_own,
            muted,
            label: label.map(Into::into),
        })
    }
}

/// The bytes of a row of `audience`: since which commit its user is a member.
pub fn write_joined(joined: Position) -> [u8; 8] {
    joined.0.to_be_bytes()
}

/// `None` where the bytes are no such row.
pub fn read_joined(bytes: &[u8]) -> Option<Position> {
    Some(Position(u64::from_be_bytes(bytes.try_into().ok()?)))
}

impl Record for Inbox {
    fn write(&self) -> Vec<u8> {
        write(&(self.version, self.position.0))
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, position) = read(bytes)?;
        Some(Self { version, position: Position(position) })
    }
}

impl Record for Status {
    fn write(&self) -> Vec<u8> {
        let chosen: u8 = match self.chosen {
            Chosen::Auto => 0,
            Chosen::Online => 1,
            Chosen::Away => 2,
            Chosen::Busy => 3,
            Chosen::Invisible => 4,
        };
        write(&(chosen, self.text.as_deref(), self.seen_before))
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (chosen, text, seen_before) = read::<(u8, _, _)>(bytes)?;
        let chosen = match chosen {
            0 => Chosen::Auto,
            1 => Chosen::Online,
            2 => Chosen::Away,
            3 => Chosen::Busy,
            4 => Chosen::Invisible,
            _ => return None,
        };
        Some(Self { chosen, text, seen_before })
    }
}

/// An [`Entry`] without its version, which stands in the key.
#[derive(Serialize, Deserialize)]
struct EntryFields<'a> {
    kind: u8,
    of: Option<Version>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    sent_at: Timestamp,
    messages: u64,
    edits: Option<Edits>,
    deleted: Option<Version>,
    #[serde(borrow)]
    text: Cow<'a, str>,
    media: Cow<'a, [String]>,
    #[serde(borrow)]
    meta: Option<Cow<'a, str>>,
}

/// The bytes of an entry of `log`.
pub fn write_entry(entry: &Entry) -> Vec<u8> {
    let kind = match entry.kind {
        EntryKind::Message => 0,
        EntryKind::Edit => 1,
        EntryKind::Delete => 2,
        EntryKind::Rename => 3,
    };
    write(&EntryFields {
        kind,
        of: entry.of,
        id: entry.id.as_str().into(),
        from: entry.from.as_str().into(),
        sent_at: entry.sent_at,
        messages: entry.messages,
        edits: entry.edits,
        deleted: entry.deleted,
        text: entry.content.text.as_str().into(),
        media: entry.content.media.as_slice().into(),
        meta: entry.content.meta.as_deref().map(Cow::Borrowed),
    })
}

/// `None` where the bytes are no entry.
pub fn read_entry(version: Version, bytes: &[u8]) -> Option<Entry> {
    let fields: EntryFields<'_> = read(bytes)?;
    let kind = match fields.kind {
        0 => EntryKind::Message,
        1 => EntryKind::Edit,
        2 => EntryKind::Delete,
        3 => EntryKind::Rename,
        _ => return None,
    };
    Some(Entry {
        version,
        kind,
        of: fields.of,
        id: MessageId::new(&fields.id).ok()?,
        from: UserId::new(&fields.from).ok()?,
        sent_at: fields.sent_at,
        messages: fields.messages,
        edits: fields.edits,
        deleted: fields.deleted,
        content: Content {
            text: fields.text.into_owned(),
            media: fields.media.into_owned(),
            meta: fields.meta.map(Cow::into_owned),
        },
    })
}

impl Record for Answer {
    fn write(&self) -> Vec<u8> {
        match &self.said {
            Said::Logged { version, id, sent_at } => write(&(0u8, halves(self.digest), version, id, sent_at)),
            Said::Created { conversation } => write(&(1u8, halves(self.digest), conversation)),
        }
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        if let Some((0u8, halves, version, id, sent_at)) = read(bytes) {
            return Some(Self { digest: digest(halves), said: Said::Logged { version, id, sent_at } });
        }
        let (1u8, halves, conversation) = read(bytes)? else { return None };
        Some(Self { digest: digest(halves), said: Said::Created { conversation } })
    }
}

/// Two numbers of 128 bits take 36 bytes and one step each; 32 numbers of 8 bits take up to 64 bytes.
fn halves(digest: ContentDigest) -> (u128, u128) {
    let half = |range: std::ops::Range<usize>| {
        u128::from_be_bytes(digest.0[range].try_into().expect("half of 32 bytes is 16"))
    };
    (half(0..16), half(16..32))
}

fn digest((first, second): (u128, u128)) -> ContentDigest {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&first.to_be_bytes());
    bytes[16..].copy_from_slice(&second.to_be_bytes());
    ContentDigest(bytes)
}

impl Record for Trail {
    fn write(&self) -> Vec<u8> {
        let places: Vec<_> = self.places.iter().map(|(tick, position)| (*tick, position.0)).collect();
        write(&(self.tick, places))
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (tick, places): (u64, Vec<(u64, u64)>) = read(bytes)?;
        let places = places.into_iter().map(|(tick, position)| (tick, Position(position))).collect();
        Some(Self { tick, places })
    }
}

/// The bytes of what every partition's store is.
pub fn write_identities(identities: &[PartitionIdentity]) -> Vec<u8> {
    write(&identities.iter().map(|identity| identity.0.as_str()).collect::<Vec<_>>())
}

/// `None` where the bytes are no identities.
pub fn read_identities(bytes: &[u8]) -> Option<Identities> {
    let names: Vec<String> = read(bytes)?;
    Some(names.into_iter().map(PartitionIdentity).collect())
}

/// An [`Event`] as four fields: its kind, whom or what it concerns, a version, and who came and went.
type EventFields<'a> = (u8, Cow<'a, str>, Version, Option<ReseatingFields>);

/// A [`Reseating`]: members before and after, who came, who left.
type ReseatingFields = (u64, u64, BTreeSet<UserId>, BTreeSet<UserId>);

/// The bytes of the events of one commit.
pub fn write_events(events: &[Event]) -> Vec<u8> {
    let fields: Vec<EventFields<'_>> = events
        .iter()
        .map(|event| match event {
            Event::Appended { conversation, version } => (0, conversation.as_str().into(), *version, None),
            Event::Created { conversation } => (1, conversation.as_str().into(), Version::ZERO, None),
            Event::Listed { user } => (2, user.as_str().into(), Version::ZERO, None),
            Event::Reseated { conversation, change } => {
                let Reseating { before, after, joined, left } = change.clone();
                (3, conversation.as_str().into(), Version::ZERO, Some((before, after, joined, left)))
            }
            Event::Status { user } => (4, user.as_str().into(), Version::ZERO, None),
        })
        .collect();
    write(&fields)
}

/// `None` where the bytes are no events.
pub fn read_events(bytes: &[u8]) -> Option<Vec<Event>> {
    let fields: Vec<EventFields<'_>> = read(bytes)?;
    let event = |(kind, name, version, reseating): EventFields<'_>| {
        let conversation = || ConversationId::new(&name).ok();
        Some(match kind {
            0 => Event::Appended { conversation: conversation()?, version },
            1 => Event::Created { conversation: conversation()? },
            2 => Event::Listed { user: UserId::new(&name).ok()? },
            3 => {
                let (before, after, joined, left) = reseating?;
                let change = Reseating { before, after, joined, left };
                Event::Reseated { conversation: conversation()?, change }
            }
            4 => Event::Status { user: UserId::new(&name).ok()? },
            _ => return None,
        })
    };
    fields.into_iter().map(event).collect()
}
