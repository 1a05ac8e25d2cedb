//! The followers of one topic, in rows that a fan-out takes one at a time, while others come and go.
//!
//! A session's row goes by its user's hash, and a table that grows or shrinks splits or joins rows by their number's
//! low bits. So a walk over the rows of the table as it was meets every session that was there when it began, and
//! stayed: exactly what a fan-out owes.

use std::sync::Arc;

use doorbell_protocol::UserId;
use xxhash_rust::xxh3::xxh3_64;

use crate::session::Session;

/// With more sessions a row on average, the table doubles; with a quarter of it, it halves. Some 64 offers are made
/// between two yields.
const ROW_SESSIONS: usize = 64;

#[cfg_attr(test, derive(Clone))]
struct Follower {
    /// Of the user's id: two sessions of one user stand in one row.
    hash: u64,
    session: Arc<Session>,
}

impl Follower {
    fn is_of(&self, hash: u64, user: &UserId) -> bool {
        self.hash == hash && self.session.identity().is_some_and(|identity| identity.user == *user)
    }
}

/// How many rows a walk goes through: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows(usize);

impl Rows {
    /// Their number.
    pub(super) const fn count(self) -> usize {
        self.0
    }
}

/// What a change did to the number of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// One more, or one less.
    Users,
    /// Another session of a user who follows by one already, or still.
    Sessions,
    /// Nothing: it was there, or was not.
    Nothing,
}

/// The followers.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Followers {
    /// Their number is a power of two.
    rows: Vec<Vec<Follower>>,
    sessions: usize,
    users: u32,
}

impl Default for Followers {
    fn default() -> Self {
        Self { rows: vec![Vec::new()], sessions: 0, users: 0 }
    }
}

impl Followers {
    pub(super) const fn sessions(&self) -> usize {
        self.sessions
    }

    pub(super) const fn users(&self) -> u32 {
        self.users
    }

    /// Adds a session of a user. Adding it again changes nothing.
    pub(super) fn insert(&mut self, user: &UserId, session: &Arc<Session>) -> Change {
        let hash = hash_of(user);
        let place = place(hash, self.rows.len());
        let row = &mut self.rows[place];
        if row.iter().any(|other| Arc::ptr_eq(&other.session, session)) {
            return Change::Nothing;
        }
        let change =
            if row.iter().any(|other| other.is_of(hash, user)) { Change::Sessions } else { Change::Users };
        row.push(Follower { hash, session: Arc::clone(session) });
        self.sessions += 1;
        self.users += u32::from(change == Change::Users);
        if self.sessions > self.rows.len() * ROW_SESSIONS {
            self.double();
        }
        change
    }

    /// Removes a session, and nothing that came in its place.
    pub(super) fn remove(&mut self, user: &UserId, session: &Arc<Session>) -> Change {
        let hash = hash_of(user);
        let place = place(hash, self.rows.len());
        let row = &mut self.rows[place];
        let Some(at) = row.iter().position(|other| Arc::ptr_eq(&other.session, session)) else {
            return Change::Nothing;
        };
        row.swap_remove(at);
        if row.len() * 4 < row.capacity() {
            row.shrink_to(row.len() * 2);
        }
        let change =
            if row.iter().any(|other| other.is_of(hash, user)) { Change::Sessions } else { Change::Users };
        self.sessions -= 1;
        self.users -= u32::from(change == Change::Users);
        if self.rows.len() > 1 && self.sessions * 4 < self.rows.len() * ROW_SESSIONS {
            self.halve();
        }
        change
    }

    /// The rows that a walk beginning now goes through.
    pub(super) fn rows(&self) -> Rows {
        Rows(self.rows.len())
    }

    /// The sessions of a walk's row, wherever they stand by now.
    pub(super) fn row(&self, rows: Rows, number: usize, into: &mut Vec<Arc<Session>>) {
        let mut take = |row: &Vec<Follower>| {
            let of_row = row.iter().filter(|follower| place(follower.hash, rows.0) == number);
            into.extend(of_row.map(|follower| Arc::clone(&follower.session)));
        };
        if self.rows.len() > rows.0 {
            self.rows.iter().skip(number).step_by(rows.0).for_each(take);
        } else {
            take(&self.rows[number % self.rows.len()]);
        }
    }

    fn double(&mut self) {
        let count = self.rows.len();
        for number in 0..count {
            let row = std::mem::take(&mut self.rows[number]);
            let (stay, go) = row.into_iter().partition(|one| place(one.hash, count * 2) == number);
            self.rows[number] = stay;
            self.rows.push(go);
        }
    }

    fn halve(&mut self) {
        let count = self.rows.len() / 2;
        let upper = self.rows.split_off(count);
        self.rows.shrink_to_fit();
        for (row, joins) in self.rows.iter_mut().zip(upper) {
            row.extend(joins);
        }
    }
}

fn hash_of(user: &UserId) -> u64 {
    xxh3_64(user.as_str().as_bytes())
}

/// The row of `rows`, a power of two, in which a hash belongs.
fn place(hash: u64, rows: usize) -> usize {
    // Not the low bits: they choose the user's partition, and a gateway may serve users of few.
    usize::try_from(hash >> 32).expect("32 bits fit") & (rows - 1)
}

#[cfg(test)]
mod tests;
