//! One shard: users, each with sessions and the greatest stamp under which it was entered.

use std::collections::HashMap;
use std::sync::Arc;

use doorbell_protocol::{SessionId, Stamp, UserId};
use smallvec::SmallVec;

use super::{Removed, SessionsOfUser};
use crate::session::Session;

/// Most users have one session; the oldest stands first.
pub(super) type Held = SmallVec<[Arc<Session>; 1]>;

#[derive(Default)]
struct User {
    sessions: Held,
    /// The greatest stamp that an enter of this user was sent with.
    entered: Option<Stamp>,
}

#[derive(Default)]
pub(super) struct Shard {
    users: HashMap<UserId, User>,
}

impl Shard {
    pub(super) fn insert(&mut self, user: &UserId, session: &Arc<Session>) -> &mut Held {
        let sessions = &mut self.users.entry(user.clone()).or_default().sessions;
        sessions.push(Arc::clone(session));
        sessions
    }

    pub(super) fn remove(&mut self, user: &UserId, session: SessionId) -> Removed {
        let Some(held) = self.users.get_mut(user) else { return Removed::Unknown };
        let Some(place) = held.sessions.iter().position(|other| other.id() == session) else {
            return Removed::Unknown;
        };
        held.sessions.remove(place);
        if !held.sessions.is_empty() {
            return Removed::OneOfMany;
        }
        let entered = held.entered;
        self.users.remove(user);
        // A server that lost most of its clients gives the room back.
        if self.users.len() * 4 < self.users.capacity() {
            self.users.shrink_to(self.users.len() * 2);
        }
        Removed::Last(entered)
    }

    pub(super) fn sessions(&self, user: &UserId) -> Option<&Held> {
        self.users.get(user).map(|held| &held.sessions)
    }

    pub(super) fn stamp(
        &mut self,
        user: &UserId,
        next: impl FnOnce() -> Stamp,
    ) -> Option<(Stamp, SessionsOfUser)> {
        let held = self.users.get_mut(user)?;
        let stamp = next();
        held.entered = held.entered.max(Some(stamp));
        Some((stamp, held.sessions.iter().cloned().collect()))
    }

    pub(super) fn users(&self) -> Vec<UserId> {
        self.users.keys().cloned().collect()
    }
}
