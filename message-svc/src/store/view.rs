//! A shard as of one commit, read from a snapshot of the database.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use doorbell_protocol::{ConversationId, UserId, Version};
use fjall::{Keyspace, Readable, Snapshot};

use super::records::{Record, ShardState, read_entry, read_events, read_identities, read_joined};
use super::tables::{Tables, Weeks};
use super::{Answer, AnswerKey, Commit, EntryRange, Inbox, Order, StoreError, View, Visit, keys};
use crate::conversation::{Conversation, Entry, Head, Member, Membership, Position};
use crate::shard::Shard;
use crate::status::Status;
use crate::writer::cursor::{Identities, Trail};

/// What the writer publishes after each commit.
///
/// The snapshot is taken by the shard's own writer between two of its commits, so it shows the shard's rows exactly as
/// of `state.position`. Of another shard it may show half of a commit: fjall moves its visible sequence number also
/// when it flushes a table, in the middle of a batch. Nobody reads another shard's rows here.
pub struct DiskView {
    pub(super) shard: Shard,
    pub(super) state: ShardState,
    pub(super) snapshot: Snapshot,
    pub(super) weeks: Weeks,
    pub(super) tables: Arc<Tables>,
}

impl DiskView {
    /// A view of `shard` as it is now; only for the shard's writer, between commits.
    pub fn now(shard: Shard, tables: Arc<Tables>) -> Result<Self, StoreError> {
        let snapshot = tables.db.snapshot();
        let state = snapshot.get(&tables.shards, shard.to_be_bytes()).map_err(StoreError::Read)?;
        let state = match state {
            None => ShardState::default(),
            Some(bytes) => ShardState::read(&bytes).ok_or(StoreError::Damaged { table: "shards" })?,
        };
        Ok(Self { shard, state, snapshot, weeks: tables.weeks(), tables })
    }

    fn get<R: Record>(
        &self,
        table: &Keyspace,
        name: &'static str,
        key: &[u8],
    ) -> Result<Option<R>, StoreError> {
        match self.snapshot.get(table, key).map_err(StoreError::Read)? {
            None => Ok(None),
            Some(bytes) => R::read(&bytes).map(Some).ok_or(StoreError::Damaged { table: name }),
        }
    }
}

impl View for DiskView {
    fn position(&self) -> Position {
        Position(self.state.position)
    }

    fn announced(&self) -> Position {
        Position(self.state.announced)
    }

    fn forgotten(&self) -> Position {
        Position(self.state.forgotten)
    }

    fn identities(&self) -> Result<Identities, StoreError> {
        let row = self.snapshot.get(&self.tables.shards, keys::identities(self.shard));
        match row.map_err(StoreError::Read)? {
            None => Ok(Identities::default()),
            Some(bytes) => read_identities(&bytes).ok_or(StoreError::Damaged { table: "shards" }),
        }
    }

    fn trail(&self) -> Result<Trail, StoreError> {
        let noted = self.get(&self.tables.shards, "shards", &keys::trail(self.shard))?;
        Ok(noted.unwrap_or_default())
    }

    fn conversation(&self, conversation: &ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.get(&self.tables.conversations, "conversations", &keys::conversation(conversation))
    }

    fn head(&self, conversation: &ConversationId) -> Result<Option<Head>, StoreError> {
        self.get(&self.tables.heads, "heads", &keys::conversation(conversation))
    }

    fn members(
        &self,
        conversation: &ConversationId,
        after: Option<&UserId>,
        members_max: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let prefix = keys::members(conversation);
        let first = match after {
            Some(user) => Bound::Excluded(keys::member(conversation, user)),
            None => Bound::Included(prefix.clone()),
        };
        let end = Bound::Excluded(keys::members_end(conversation));
        let rows = self.snapshot.range(&self.tables.audience, (first, end)).take(members_max);
        rows.map(|row| {
            let (key, value) = row.into_inner().map_err(StoreError::Read)?;
            let user = keys::rest(&key, &prefix).and_then(|name| UserId::new(name).ok());
            let joined = read_joined(&value);
            let member = user.zip(joined).map(|(user, joined)| Member { user, joined });
            member.ok_or(StoreError::Damaged { table: "audience" })
        })
        .collect()
    }

    fn tie(&self, user: &UserId, conversation: &ConversationId) -> Result<Option<Membership>, StoreError> {
        let key = keys::membership(self.shard, user, conversation);
        self.get(&self.tables.memberships, "memberships", &key)
    }

    fn ties(&self, user: &UserId) -> Result<Vec<(ConversationId, Membership)>, StoreError> {
        let prefix = keys::memberships(self.shard, user);
        let rows = self.snapshot.prefix(&self.tables.memberships, &prefix);
        rows.map(|row| {
            let (key, value) = row.into_inner().map_err(StoreError::Read)?;
            let conversation = keys::rest(&key, &prefix).and_then(|id| ConversationId::new(id).ok());
            let membership = Membership::read(&value);
            conversation.zip(membership).ok_or(StoreError::Damaged { table: "memberships" })
        })
        .collect()
    }

    fn entry(&self, conversation: &ConversationId, version: Version) -> Result<Option<Entry>, StoreError> {
        let row = self.snapshot.get(&self.tables.log, keys::entry(conversation, version));
        let row = row.map_err(StoreError::Read)?;
        row.map(|row| read_entry(version, &row).ok_or(StoreError::Damaged { table: "log" })).transpose()
    }

    fn entries(&self, range: &EntryRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if range.first > range.last {
            return Ok(());
        }
        let first = keys::entry(range.conversation, range.first);
        let last = keys::entry(range.conversation, range.last);
        let rows = self.snapshot.range(&self.tables.log, first..=last);
        let mut show = |row: fjall::Guard| {
            let (key, value) = row.into_inner().map_err(StoreError::Read)?;
            let entry = keys::entry_version(&key).and_then(|version| read_entry(version, &value));
            Ok(visit(entry.ok_or(StoreError::Damaged { table: "log" })?))
        };
        match range.order {
            Order::Ascending => until_break(rows, &mut show),
            Order::Descending => until_break(rows.rev(), &mut show),
        }
    }

    fn answer(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        let key = keys::answer(key);
        for week in self.weeks.iter().rev() {
            if let Some(answer) = self.get(week, "answers", &key)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn inbox(&self, user: &UserId) -> Result<Inbox, StoreError> {
        let inbox = self.get(&self.tables.inboxes, "inboxes", &keys::user(user))?;
        Ok(inbox.unwrap_or_default())
    }

    fn status(&self, user: &UserId) -> Result<Option<Status>, StoreError> {
        self.get(&self.tables.statuses, "statuses", &keys::user(user))
    }

    fn commits(&self, after: Position, commits_max: usize) -> Result<Vec<Commit>, StoreError> {
        if after >= self.position() {
            return Ok(Vec::new());
        }
        let first = keys::commit(self.shard, after.next());
        let last = keys::commit(self.shard, self.position());
        let rows = self.snapshot.range(&self.tables.commits, first..=last).take(commits_max);
        rows.map(|row| {
            let (key, value) = row.into_inner().map_err(StoreError::Read)?;
            let commit = keys::commit_position(&key).zip(read_events(&value));
            let (position, events) = commit.ok_or(StoreError::Damaged { table: "commits" })?;
            Ok(Commit { position, events })
        })
        .collect()
    }
}

fn until_break(
    mut rows: impl Iterator<Item = fjall::Guard>,
    show: &mut impl FnMut(fjall::Guard) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    rows.try_for_each(|row| match show(row) {
        Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
        Ok(ControlFlow::Break(())) => ControlFlow::Break(Ok(())),
        Err(e) => ControlFlow::Break(Err(e)),
    })
    .break_value()
    .unwrap_or(Ok(()))
}
