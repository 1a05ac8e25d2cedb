//! Which sessions of which users are on this gateway: sharded, each shard behind a lock of a few lines.
//!
//! Order matters: a session enters this index before its enter goes to the registry, so that whoever finds the entry
//! finds the session (GW-1). A user's last session takes the user's greatest stamp out with it, and a new session's
//! enter has a greater one, so that a late leave removes nothing that is alive (GW-5).

mod evict;
mod held;
mod shard;

use std::sync::Arc;

use doorbell_backplane::{Partition, Partitions};
use doorbell_protocol::{Stamp, UserId};
use parking_lot::Mutex;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::session::Session;
use crate::uptime::Moment;
use shard::Shard;

pub(crate) use evict::Eviction;

/// Shards of a partition: with 16 partitions, 64 locks.
pub(crate) const SHARDS_PER_PARTITION: usize = 4;

/// A few sessions of one user, without a heap in the usual case.
pub(crate) type SessionsOfUser = SmallVec<[Arc<Session>; 2]>;

/// What a user without sessions leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// The greatest stamp that an enter was sent with.
    pub(crate) stamp: Stamp,
    /// Whether an enter was confirmed, and so noted as news. One that was only sent may be answered yet.
    pub(crate) confirmed: bool,
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It was the user's last session: leave the registry with this stamp, if an enter was ever sent.
    Last(Option<Left>),
    /// Others of the user are there.
    OneOfMany,
    /// It was not there.
    Unknown,
}

/// What is known of a user.
pub(crate) enum Found {
    Sessions(SessionsOfUser),
    /// None; with what `absent` said under the same lock.
    Absent(Stamp),
}

/// The index.
pub(crate) struct LocalSessions {
    partitions: Partitions,
    shards: Vec<Mutex<Shard>>,
}

impl LocalSessions {
    pub(crate) fn new(partitions: Partitions) -> Self {
        let count = partitions.count() * SHARDS_PER_PARTITION;
        Self { partitions, shards: (0..count).map(|_| Mutex::default()).collect() }
    }

    /// Adds a session; answers those that must go for it. They are out of the index already.
    pub(crate) fn insert(&self, session: &Arc<Session>, rule: &Eviction, now: Moment) -> SessionsOfUser {
        let Some(identity) = session.identity() else { return SessionsOfUser::new() };
        let mut shard = self.shard(&identity.user).lock();
        let sessions = shard.insert(&identity.user, session);
        rule.evict(sessions, session, now)
    }

    /// Removes a session, and nothing that came in its place.
    pub(crate) fn remove(&self, session: &Session) -> Removed {
        match session.identity() {
            Some(identity) => self.shard(&identity.user).lock().remove(&identity.user, session.id()),
            None => Removed::Unknown,
        }
    }

    /// The user's sessions. `absent` runs under the shard's lock: no session can come between the look and it.
    pub(crate) fn find(&self, user: &UserId, absent: impl FnOnce() -> Stamp) -> Found {
        let shard = self.shard(user).lock();
        match shard.sessions(user) {
            Some(sessions) => Found::Sessions(sessions.iter().cloned().collect()),
            None => Found::Absent(absent()),
        }
    }

    /// The user's sessions, of which there may be none.
    pub(crate) fn sessions(&self, user: &UserId) -> SessionsOfUser {
        self.shard(user).lock().sessions(user).into_iter().flatten().cloned().collect()
    }

    /// Gives a user's next enter its stamp, and answers the sessions that it speaks for; `None` where none is left.
    pub(crate) fn stamp(
        &self,
        user: &UserId,
        next: impl FnOnce() -> Stamp,
    ) -> Option<(Stamp, SessionsOfUser)> {
        self.shard(user).lock().stamp(user, next)
    }

    /// A user's enter was confirmed; answers whether it is the first since the user's first session came. A user who
    /// is gone, or gone and back with an enter that was not sent yet, is not confirmed by it.
    pub(crate) fn confirm(&self, user: &UserId) -> bool {
        self.shard(user).lock().confirm(user)
    }

    /// Whether an enter was sent for the sessions that a user has now.
    pub(crate) fn is_sent(&self, user: &UserId) -> bool {
        self.shard(user).lock().is_sent(user)
    }

    /// The users of one of a partition's shards.
    pub(crate) fn users(&self, partition: Partition, shard: usize) -> Vec<UserId> {
        self.shards[partition.index() * SHARDS_PER_PARTITION + shard].lock().users()
    }

    fn shard(&self, user: &UserId) -> &Mutex<Shard> {
        // The low bits choose the partition; these are others.
        let high = xxh3_64(user.as_str().as_bytes()) >> 32;
        let within = usize::try_from(high).expect("32 bits fit") % SHARDS_PER_PARTITION;
        &self.shards[self.partitions.of(user).index() * SHARDS_PER_PARTITION + within]
    }
}
