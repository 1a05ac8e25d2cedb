//! Where conversations are kept: the contract, and the embedded back-end.
//!
//! A [`Store`] is split into shards. All that belongs to a conversation lives in the conversation's shard, a user's
//! inbox, status and keys of `conversations.create` in the user's home shard. Each shard has exactly one writer.
//!
//! What every back-end promises, and [`conformance`] checks:
//! - **Atomic**: of a [`Batch`], a view shows all or nothing, also after a crash.
//! - **Durable first**: a view never shows what a power cut could take back.
//! - **Published in order**: a view stands at a position and shows exactly the commits up to it; when `commit`
//!   returns, [`Store::view`] answers a view at that commit's position or a later one.
//! - **Nothing half-done**: a commit that fails shows nothing until the store was recovered. After a recovery it is
//!   there whole, or not at all.

#[cfg(test)]
mod conformance;
pub mod counted;
pub mod disk;
mod journals;
mod keys;
mod lock;
mod open;
mod records;
mod space;
mod tables;
mod view;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use doorbell_protocol::{ConversationId, IdempotencyKey, MessageId, Timestamp, UserId, Version};
use doorbell_rpc::failpoint;

use crate::conversation::{ContentDigest, Conversation, Entry, Head, Member, Membership, Position};
use crate::shard::{Shard, Shards};
use crate::status::Status;
use crate::writer::cursor::{Identities, Trail};

/// A store's name: random, made with it. A cursor of another store cannot be placed in this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written: what is free must stay free. It ends by itself when there is room again.
    #[error("the disk is full: {free_bytes} bytes are free, and {reserve_bytes} of them are kept in reserve")]
    DiskFull {
        /// Free for us, less what is accepted and not yet in tables.
        free_bytes: u64,
        /// What must stay free.
        reserve_bytes: u64,
    },
    /// A write failed; whether it happened will be known when the store was recovered from disk.
    #[error("a write to the store failed")]
    Write(#[source] fjall::Error),
    /// An earlier write failed, and the store is not yet recovered.
    #[error("an earlier write to the store failed, and it is not yet recovered")]
    Unsound,
    /// A read failed.
    #[error("a read from the store failed")]
    Read(#[source] fjall::Error),
    /// A record is there and cannot be read.
    #[error("a record in `{table}` of the store is damaged")]
    Damaged {
        /// Where it stands.
        table: &'static str,
    },
}

/// Keeps conversations. All calls block: none belongs on a thread that drives tasks.
pub trait Store: Send + Sync {
    /// Which store this is.
    fn id(&self) -> StoreId;

    /// How it is split.
    fn shards(&self) -> Shards;

    /// The newest view of a shard. A view is for one request: while one is held, a failed store cannot be recovered.
    ///
    /// # Errors
    /// [`StoreError::Unsound`] for the moment of a recovery. A full disk and a failed write do not stop reads.
    fn view(&self, shard: Shard) -> Result<Arc<dyn View>, StoreError>;

    /// Makes a batch durable, then visible. Only the shard's one writer calls it, with the position after its
    /// view's.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] and [`StoreError::Unsound`]: nothing happened. [`StoreError::Write`]: unknown until
    /// [`Store::recover`].
    fn commit(&self, shard: Shard, batch: &Batch) -> Result<(), StoreError>;

    /// Notes what is announced, and forgets commits. It takes no position and need not survive a power cut.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn note(&self, shard: Shard, note: &Note) -> Result<(), StoreError>;

    /// Lets the shard's view catch up with what other shards did to the tables that they share, so that an idle
    /// shard does not keep their old versions alive.
    fn refresh(&self, shard: Shard);

    /// Opens a store whose write has failed again, from what the disk holds. A no-op for a sound one.
    ///
    /// # Errors
    /// Still not possible: try again later. The store stays unsound.
    fn recover(&self) -> Result<(), crate::Error>;

    /// Whether writes are possible, but for a full disk.
    fn is_sound(&self) -> bool;

    /// Counts recoveries: what was remembered from before the last one may be wrong.
    fn generation(&self) -> u64;
}

/// A shard as of one commit.
pub trait View: Send + Sync {
    /// The commit that this view shows as the last.
    fn position(&self) -> Position;

    /// Up to where commits are noted as announced.
    fn announced(&self) -> Position;

    /// Up to where commits are forgotten.
    fn forgotten(&self) -> Position;

    /// To which stores commits are noted as announced; empty before that was noted.
    fn identities(&self) -> Result<Identities, StoreError>;

    /// Where announcements stood in the window before those were last seen; empty before that was noted.
    fn trail(&self) -> Result<Trail, StoreError>;

    /// What is so for all of a conversation's members.
    fn conversation(&self, conversation: &ConversationId) -> Result<Option<Conversation>, StoreError>;

    /// How far its log has come.
    fn head(&self, conversation: &ConversationId) -> Result<Option<Head>, StoreError>;

    /// Its members after a name, in the order of their names, `members_max` at most.
    fn members(
        &self,
        conversation: &ConversationId,
        after: Option<&UserId>,
        members_max: usize,
    ) -> Result<Vec<Member>, StoreError>;

    /// One user in one conversation, also one who has left.
    fn tie(&self, user: &UserId, conversation: &ConversationId) -> Result<Option<Membership>, StoreError>;

    /// Every conversation of a user in this shard, in the order of their ids, also those that the user has left.
    fn ties(&self, user: &UserId) -> Result<Vec<(ConversationId, Membership)>, StoreError>;

    /// One member of one conversation: what every right to it follows from.
    fn membership(
        &self,
        user: &UserId,
        conversation: &ConversationId,
    ) -> Result<Option<Membership>, StoreError> {
        Ok(self.tie(user, conversation)?.filter(Membership::is_current))
    }

    /// Every conversation in this shard that a user is a member of, in the order of their ids. How many members each
    /// has stands in its head.
    fn memberships(&self, user: &UserId) -> Result<Vec<(ConversationId, Membership)>, StoreError> {
        let mut ties = self.ties(user)?;
        ties.retain(|(_, membership)| membership.is_current());
        Ok(ties)
    }

    /// One entry of a log.
    fn entry(&self, conversation: &ConversationId, version: Version) -> Result<Option<Entry>, StoreError>;

    /// Shows the entries of a range to `visit`, until it breaks.
    fn entries(&self, range: &EntryRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// The answer that was given under a key, at least 7 days long.
    fn answer(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError>;

    /// A user's inbox, where this is the user's home shard.
    fn inbox(&self, user: &UserId) -> Result<Inbox, StoreError>;

    /// How a user wants to be seen, where this is the user's home shard; `None` where it was never said.
    fn status(&self, user: &UserId) -> Result<Option<Status>, StoreError>;

    /// What the commits after a position changed, in their order, `commits_max` at most. Commits that are forgotten
    /// are left out.
    fn commits(&self, after: Position, commits_max: usize) -> Result<Vec<Commit>, StoreError>;
}

/// What [`View::entries`] calls for each entry.
pub type Visit<'a> = dyn FnMut(Entry) -> ControlFlow<()> + 'a;

/// A part of a log.
#[derive(Clone, Copy, Debug)]
pub struct EntryRange<'a> {
    /// Of which conversation.
    pub conversation: &'a ConversationId,
    /// The first version of the range.
    pub first: Version,
    /// The last version of the range.
    pub last: Version,
    /// Which end is shown first.
    pub order: Order,
}

/// Which end of a range is shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Everything that one commit writes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The position that it takes.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// What it changes, for the announcement.
    pub events: Vec<Event>,
    /// New conversations, and new states of old ones.
    pub conversations: Vec<(ConversationId, Conversation)>,
    /// Who is among a conversation's members since which commit, or no more.
    pub audience: Vec<(ConversationId, UserId, Option<Position>)>,
    /// New entries.
    pub entries: Vec<(ConversationId, Entry)>,
    /// New states of old entries.
    pub rewritten: Vec<(ConversationId, Entry)>,
    /// New heads.
    pub heads: Vec<(ConversationId, Head)>,
    /// New memberships, and new states of old ones.
    pub memberships: Vec<(UserId, ConversationId, Membership)>,
    /// Answers to keep under their keys.
    pub answers: Vec<(AnswerKey, Answer)>,
    /// New states of inboxes.
    pub inboxes: Vec<(UserId, Inbox)>,
    /// New statuses.
    pub statuses: Vec<(UserId, Status)>,
}

impl Batch {
    /// Passes a point of the fault catalogue, where this batch brings a message.
    pub fn pass(&self, point: &str) {
        if !self.entries.is_empty() {
            failpoint::pass(point);
        }
    }
}

/// What a commit changes, and so whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A conversation's log has reached a version: rings its members.
    Appended {
        /// Which.
        conversation: ConversationId,
        /// How far.
        version: Version,
    },
    /// A conversation was made: moves its members' inboxes.
    Created {
        /// Which.
        conversation: ConversationId,
    },
    /// A conversation has other members than before: what is remembered of its audience is out of date, and who
    /// follows it may have to change.
    Reseated {
        /// Which.
        conversation: ConversationId,
        /// Who came and went.
        change: Reseating,
    },
    /// A user's own list has changed: read, muted, labelled, joined, left. Moves that user's inbox.
    Listed {
        /// Whose.
        user: UserId,
    },
    /// A user has another status: moves that user's presence.
    Status {
        /// Whose.
        user: UserId,
    },
}

/// How one commit changed who is in a conversation. Exact, whatever was committed after it: whether an audience has
/// crossed the threshold cannot be told from a later count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reseating {
    /// Members before the commit.
    pub before: u64,
    /// Members after it.
    pub after: u64,
    /// Who came in.
    pub joined: BTreeSet<UserId>,
    /// Who left.
    pub left: BTreeSet<UserId>,
}

impl Reseating {
    /// Users come in.
    pub fn join<'u>(&mut self, users: impl IntoIterator<Item = &'u UserId>) {
        for user in users {
            self.left.remove(user);
            self.joined.insert(user.clone());
        }
    }

    /// Users leave.
    pub fn leave<'u>(&mut self, users: impl IntoIterator<Item = &'u UserId>) {
        for user in users {
            self.joined.remove(user);
            self.left.insert(user.clone());
        }
    }
}

/// One commit, as the announcement reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Which.
    pub position: Position,
    /// What it changed.
    pub events: Vec<Event>,
}

/// What [`Store::note`] writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Everything up to here is announced; less than before where it has to be announced again.
    pub announced: Position,
    /// Commits up to here may be forgotten; that they are is never taken back.
    pub forget: Position,
    /// To which stores it was announced; empty where that is not known yet, which leaves what was noted.
    pub identities: Identities,
    /// Where announcements stood in the window before those were last seen.
    pub trail: Trail,
}

/// What a user's own topic stands at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inbox {
    /// The topic's version; 0 before the first change.
    pub version: Version,
    /// The commit of the last change.
    pub position: Position,
}

/// Within what an idempotency key names one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AnswerKey {
    /// An entry of a log, of whatever kind: by user and conversation.
    Log {
        /// Whose key.
        user: UserId,
        /// For which conversation.
        conversation: ConversationId,
        /// The key.
        key: IdempotencyKey,
    },
    /// A new conversation: by user.
    Create {
        /// Whose key.
        user: UserId,
        /// The key.
        key: IdempotencyKey,
    },
}

/// What was answered under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of what was asked.
    pub digest: ContentDigest,
    /// What was said.
    pub said: Said,
}

/// The words of an [`Answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The entry has its place.
    Logged {
        /// In the log.
        version: Version,
        /// Its name.
        id: MessageId,
        /// When it was taken.
        sent_at: Timestamp,
    },
    /// The conversation has its id.
    Created {
        /// The id.
        conversation: ConversationId,
    },
}
