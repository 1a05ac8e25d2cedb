//! One user's sessions here.

use std::sync::Arc;

use crate::session::Session;

/// The sessions of a user who has some, the oldest first. Most users have one, which costs no heap, and a place in the
/// index no more than two words.
pub(super) enum Held {
    One(Arc<Session>),
    Many(Box<[Arc<Session>]>),
}

impl Held {
    pub(super) fn as_slice(&self) -> &[Arc<Session>] {
        match self {
            Self::One(session) => std::slice::from_ref(session),
            Self::Many(sessions) => sessions,
        }
    }

    pub(super) fn oldest(&self) -> &Arc<Session> {
        &self.as_slice()[0]
    }

    pub(super) fn push(&mut self, session: Arc<Session>) {
        self.change(|sessions| sessions.push(session));
    }

    /// Takes one out.
    ///
    /// # Panics
    /// There is no such place, or it is the last session: then the user goes.
    pub(super) fn remove(&mut self, place: usize) -> Arc<Session> {
        self.change(|sessions| {
            assert!(sessions.len() > 1, "the last session goes with its user");
            sessions.remove(place)
        })
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Vec<Arc<Session>>) -> T) -> T {
        let mut sessions = match std::mem::replace(self, Self::Many(Box::default())) {
            Self::One(session) => vec![session],
            Self::Many(sessions) => sessions.into_vec(),
        };
        let answer = change(&mut sessions);
        *self = match <[_; 1]>::try_from(sessions) {
            Ok([session]) => Self::One(session),
            Err(sessions) => Self::Many(sessions.into_boxed_slice()),
        };
        answer
    }
}
