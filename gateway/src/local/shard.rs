//! One shard: users, each with sessions and the greatest stamp under which it was entered.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use doorbell_protocol::{SessionId, Stamp, UserId};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::held::Held;
use super::{Left, Removed, SessionsOfUser};
use crate::session::Session;

/// A user who has sessions: they know the name, so that it does not stand here again.
struct User {
    sessions: Held,
    entered: Enter,
}

impl User {
    fn name(&self) -> &UserId {
        let identity = self.sessions.oldest().identity();
        &identity.expect("who is in the index has said hello").user
    }
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
    users: HashTable<User>,
    /// Of its own for each process: users may choose their names.
    hasher: RandomState,
}

impl Shard {
    /// Adds a session of this user's; answers all that the user has.
    pub(super) fn insert(&mut self, user: &UserId, session: &Arc<Session>) -> &mut Held {
        let hash = |user: &UserId| self.hasher.hash_one(user);
        match self.users.entry(hash(user), |known| known.name() == user, |known| hash(known.name())) {
            Entry::Occupied(known) => {
                let sessions = &mut known.into_mut().sessions;
                sessions.push(Arc::clone(session));
                sessions
            }
            Entry::Vacant(place) => {
                let new = User { sessions: Held::One(Arc::clone(session)), entered: Enter::default() };
                &mut place.insert(new).into_mut().sessions
            }
        }
    }

    pub(super) fn remove(&mut self, user: &UserId, session: SessionId) -> Removed {
        let hash = self.hasher.hash_one(user);
        let Ok(mut known) = self.users.find_entry(hash, |known| known.name() == user) else {
            return Removed::Unknown;
        };
        let sessions = &mut known.get_mut().sessions;
        let Some(place) = sessions.as_slice().iter().position(|other| other.id() == session) else {
            return Removed::Unknown;
        };
        if sessions.as_slice().len() > 1 {
            sessions.remove(place);
            return Removed::OneOfMany;
        }
        let (gone, _) = known.remove();
        // A server that lost most of its clients gives the room back.
        if self.users.len() * 4 < self.users.capacity() {
            self.users.shrink_to(self.users.len() * 2, |known| self.hasher.hash_one(known.name()));
        }
        Removed::Last(gone.entered.left())
    }

    pub(super) fn sessions(&self, user: &UserId) -> Option<&[Arc<Session>]> {
        self.user(user).map(|known| known.sessions.as_slice())
    }

    pub(super) fn stamp(
        &mut self,
        user: &UserId,
        next: impl FnOnce() -> Stamp,
    ) -> Option<(Stamp, SessionsOfUser)> {
        let known = self.user_mut(user)?;
        let stamp = next();
        known.entered.sent(stamp);
        Some((stamp, known.sessions.as_slice().iter().cloned().collect()))
    }

    pub(super) fn confirm(&mut self, user: &UserId) -> bool {
        self.user_mut(user).is_some_and(|known| known.entered.confirmed())
    }

    pub(super) fn is_sent(&self, user: &UserId) -> bool {
        self.user(user).is_some_and(|known| known.entered.left().is_some())
    }

    pub(super) fn users(&self) -> Vec<UserId> {
        self.users.iter().map(|known| known.name().clone()).collect()
    }

    fn user(&self, user: &UserId) -> Option<&User> {
        self.users.find(self.hasher.hash_one(user), |known| known.name() == user)
    }

    fn user_mut(&mut self, user: &UserId) -> Option<&mut User> {
        self.users.find_mut(self.hasher.hash_one(user), |known| known.name() == user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It stands in a table that is between seven sixteenths and seven eighths full (GW-3).
    #[test]
    fn a_users_place_in_the_index_costs_few_bytes() {
        assert!(size_of::<User>() <= 40, "{}", size_of::<User>());
    }
}
