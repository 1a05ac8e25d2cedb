//! The open database and its keyspaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorbell_backplane::PartitionIdentity;
use doorbell_protocol::Timestamp;
use doorbell_rpc::failpoint;
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use parking_lot::RwLock;
use smallvec::SmallVec;

use super::keys;
use super::records::{Record, ShardState, write_entry, write_events, write_identities, write_joined};
use super::{Batch, Note};
use crate::conversation::Position;
use crate::shard::Shard;
use crate::writer::cursor::Trail;

/// Keys are kept by the week: a week is dropped whole, one after its last day is over, so that each key is kept for
/// 7 to 14 days and nothing has to look for old ones.
const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
const WEEK_PREFIX: &str = "answers-";
/// After the write, before the fsync.
const WRITTEN: &str = "message.written";

/// The weeks that are kept, oldest first.
pub type Weeks = SmallVec<[Keyspace; 3]>;

/// The open database. Dropping the last clone of its `Arc` closes it.
pub struct Tables {
    pub db: Database,
    pub store: Keyspace,
    pub conversations: Keyspace,
    pub log: Keyspace,
    pub heads: Keyspace,
    pub memberships: Keyspace,
    pub audience: Keyspace,
    pub commits: Keyspace,
    pub inboxes: Keyspace,
    pub statuses: Keyspace,
    pub shards: Keyspace,
    weeks: RwLock<BTreeMap<u64, Keyspace>>,
    memtable_bytes: u64,
}

impl Tables {
    /// Opens or creates the keyspaces of a database.
    pub fn of(db: Database, memtable_bytes: u64) -> fjall::Result<Self> {
        let table = |name: &str| {
            db.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes))
        };
        let mut weeks = BTreeMap::new();
        for name in db.list_keyspace_names() {
            if let Some(week) = name.strip_prefix(WEEK_PREFIX).and_then(|week| week.parse().ok()) {
                weeks.insert(week, table(&name)?);
            }
        }
        Ok(Self {
            store: table("store")?,
            conversations: table("conversations")?,
            log: table("log")?,
            heads: table("heads")?,
            memberships: table("memberships")?,
            audience: table("audience")?,
            commits: table("commits")?,
            inboxes: table("inboxes")?,
            statuses: table("statuses")?,
            shards: table("shards")?,
            weeks: RwLock::new(weeks),
            memtable_bytes,
            db,
        })
    }

    /// The weeks of keys that are kept.
    pub fn weeks(&self) -> Weeks {
        self.weeks.read().values().cloned().collect()
    }

    /// The keyspace for keys of `at`; a new week's first commit makes it, and drops what is too old.
    ///
    /// A clock that went back finds the newest week there is, so that a later one is never looked past.
    fn week(&self, at: Timestamp) -> fjall::Result<Keyspace> {
        let week = at.as_millis() / WEEK_MS;
        let newest = |weeks: &BTreeMap<u64, Keyspace>| {
            weeks
                .last_key_value()
                .filter(|(newest, _)| **newest >= week)
                .map(|(_, keyspace)| keyspace.clone())
        };
        if let Some(keyspace) = newest(&self.weeks.read()) {
            return Ok(keyspace);
        }
        let mut weeks = self.weeks.write();
        if let Some(keyspace) = newest(&weeks) {
            return Ok(keyspace);
        }
        let options = || KeyspaceCreateOptions::default().max_memtable_size(self.memtable_bytes);
        let keyspace = self.db.keyspace(&format!("{WEEK_PREFIX}{week}"), options)?;
        let kept = weeks.split_off(&week.saturating_sub(1));
        for (_, old) in std::mem::replace(&mut *weeks, kept) {
            self.db.delete_keyspace(old)?;
        }
        weeks.insert(week, keyspace.clone());
        Ok(keyspace)
    }

    /// Writes a batch, waits for the disk, and makes it visible: fjall applies a batch to its memtables only after
    /// the journal's fsync, under the same lock.
    pub fn commit(&self, shard: Shard, state: ShardState, batch: &Batch) -> fjall::Result<()> {
        // Whoever is to die before the disk has it does not wait for the disk.
        let dies = !batch.entries.is_empty() && failpoint::is_ordered(WRITTEN);
        let persist = if dies { PersistMode::Buffer } else { PersistMode::SyncData };
        let mut rows = self.db.batch().durability(Some(persist));
        for (id, conversation) in &batch.conversations {
            rows.insert(&self.conversations, &keys::conversation(id)[..], conversation.write());
        }
        for (conversation, user, joined) in &batch.audience {
            let key = keys::member(conversation, user);
            match joined {
                Some(joined) => rows.insert(&self.audience, &key[..], write_joined(*joined)),
                None => rows.remove(&self.audience, &key[..]),
            }
        }
        for (conversation, entry) in batch.entries.iter().chain(&batch.rewritten) {
            rows.insert(&self.log, &keys::entry(conversation, entry.version)[..], write_entry(entry));
        }
        for (user, conversation, membership) in &batch.memberships {
            let key = keys::membership(shard, user, conversation);
            rows.insert(&self.memberships, &key[..], membership.write());
        }
        if !batch.answers.is_empty() {
            let week = self.week(batch.at)?;
            for (key, answer) in &batch.answers {
                rows.insert(&week, &keys::answer(key)[..], answer.write());
            }
        }
        for (conversation, head) in &batch.heads {
            rows.insert(&self.heads, &keys::conversation(conversation)[..], head.write());
        }
        for (user, inbox) in &batch.inboxes {
            rows.insert(&self.inboxes, &keys::user(user)[..], inbox.write());
        }
        for (user, status) in &batch.statuses {
            rows.insert(&self.statuses, &keys::user(user)[..], status.write());
        }
        rows.insert(&self.commits, &keys::commit(shard, batch.position)[..], write_events(&batch.events));
        self.put_state(&mut rows, shard, state);
        rows.commit()?;
        if dies {
            failpoint::pass(WRITTEN);
        }
        Ok(())
    }

    /// Writes a note and removes the commits that it lets go. It reaches the disk with the next commit.
    pub fn note(&self, shard: Shard, state: ShardState, note: &Note) -> fjall::Result<ShardState> {
        let mut rows = self.db.batch();
        for position in state.forgotten + 1..=note.forget.0 {
            rows.remove(&self.commits, &keys::commit(shard, Position(position))[..]);
        }
        let forgotten = state.forgotten.max(note.forget.0);
        let state = ShardState { announced: note.announced.0, forgotten, ..state };
        self.put_identities(&mut rows, shard, &note.identities)?;
        self.put_trail(&mut rows, shard, &note.trail)?;
        self.put_state(&mut rows, shard, state);
        rows.commit()?;
        Ok(state)
    }

    fn put_identities(
        &self,
        rows: &mut OwnedWriteBatch,
        shard: Shard,
        identities: &[PartitionIdentity],
    ) -> fjall::Result<()> {
        let (key, bytes) = (keys::identities(shard), write_identities(identities));
        let noted = identities.is_empty() || self.shards.get(&key)?.is_some_and(|noted| *noted == *bytes);
        if !noted {
            rows.insert(&self.shards, &key[..], bytes);
        }
        Ok(())
    }

    fn put_trail(&self, rows: &mut OwnedWriteBatch, shard: Shard, trail: &Trail) -> fjall::Result<()> {
        let (key, bytes) = (keys::trail(shard), trail.write());
        if self.shards.get(&key)?.is_none_or(|noted| *noted != *bytes) {
            rows.insert(&self.shards, &key[..], bytes);
        }
        Ok(())
    }

    fn put_state(&self, rows: &mut OwnedWriteBatch, shard: Shard, state: ShardState) {
        rows.insert(&self.shards, shard.to_be_bytes(), state.write());
    }

    /// Accepted, and still to be written into tables: what is in memory, and what waits for the background.
    ///
    /// The database has a counter of its own, which never goes down for a keyspace that is dropped.
    pub fn pending_bytes(&self) -> u64 {
        let weeks = self.weeks.read();
        let fixed = [
            &self.conversations,
            &self.log,
            &self.heads,
            &self.memberships,
            &self.audience,
            &self.commits,
            &self.inboxes,
            &self.statuses,
            &self.shards,
        ];
        let waiting = |table: &Keyspace| self.memtable_bytes * table.sealed_memtable_count() as u64;
        let pending = |table: &Keyspace| table.tree.active_memtable().size() + waiting(table);
        fixed.into_iter().chain(weeks.values()).map(pending).sum()
    }
}

/// Closes the database behind `tables`, when nobody else reads it any more.
///
/// # Errors
/// Gives `tables` back where somebody still reads after `tries` looks, a millisecond apart.
pub fn close(mut tables: Arc<Tables>, tries: u32) -> Result<(), Arc<Tables>> {
    for _ in 0..tries {
        match Arc::try_unwrap(tables) {
            Ok(last) => {
                drop(last);
                return Ok(());
            }
            Err(shared) => tables = shared,
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    Err(tables)
}
