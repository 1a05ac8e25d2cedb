//! One shard: users, each with sessions and the greatest stamp under which it was entered.

use std::collections::HashMap;
use std::sync::Arc;

use doorbell_protocol::{SessionId, Stamp, UserId};
use smallvec::SmallVec;

use super::{Left, Removed, SessionsOfUser};
use crate::session::Session;

/// Most users have one session; the oldest stands first.
pub(super) type Held = SmallVec<[Arc<Session>; 1]>;

#[derive(Default)]
struct User {
    sessions: Held,
    entered: Enter,
}

/// How far the user's entry has come, with the greatest stamp that an enter was sent with. As large as an optional
/// stamp.
#[derive(Clone, Copy, Default)]
enum Enter {
    #[default]
    Unsent,
    Sent(Stamp),
    /// One of the enters was confirmed.
    Confirmed(Stamp),
}

impl Enter {
    const fn left(self) -> Option<Left> {
        match self {
            Self::Unsent => None,
            Self::Sent(stamp) => Some(Left { stamp, confirmed: false }),
            Self::Confirmed(stamp) => Some(Left { stamp, confirmed: true }),
        }
    }

    fn sent(&mut self, stamp: Stamp) {
        *self = match *self {
            Self::Unsent => Self::Sent(stamp),
            Self::Sent(earlier) => Self::Sent(earlier.max(stamp)),
            Self::Confirmed(earlier) => Self::Confirmed(earlier.max(stamp)),
        };
    }

    /// Whether it is the first time.
    fn confirmed(&mut self) -> bool {
        match *self {
            Self::Sent(stamp) => {
                *self = Self::Confirmed(stamp);
                true
            }
            Self::Unsent | Self::Confirmed(_) => false,
        }
    }
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
        let left = held.entered.left();
        self.users.remove(user);
        // A server that lost most of its clients gives the room back.
        if self.users.len() * 4 < self.users.capacity() {
            self.users.shrink_to(self.users.len() * 2);
        }
        Removed::Last(left)
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
        held.entered.sent(stamp);
        Some((stamp, held.sessions.iter().cloned().collect()))
    }

    pub(super) fn confirm(&mut self, user: &UserId) -> bool {
        self.users.get_mut(user).is_some_and(|held| held.entered.confirmed())
    }

    pub(super) fn is_sent(&self, user: &UserId) -> bool {
        self.users.get(user).is_some_and(|held| held.entered.left().is_some())
    }

    pub(super) fn users(&self) -> Vec<UserId> {
        self.users.keys().cloned().collect()
    }
}
