//! One part's walk over a topic's followers, in the order of their sessions' addresses: sessions that came one after the other lie close
//! together here and, mostly, in the kernel. The index has them in the order of a hash, which costs cache misses (`docs/performance.md`,
//! "Beside a bare loop").

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::iter::from_fn;
use std::sync::Arc;
use std::vec;

use crate::session::Session;
use crate::topics::{Begun, Stay, Topics};

/// Sessions offered between two yields. A ring waits for several turns on its way: with 8 a turn 1 of 100 took 0.5 to 1.1 ms or longer,
/// with 4 less than 0.3 ms in half of the runs, and with 3 no less (`docs/performance.md`, "Rings beside fan-outs").
const TURN: usize = 4;
/// Rows taken, and sorted, between two yields.
const ROWS_AT_ONCE: usize = 8;
/// The sessions of so many rows: more are rare.
const RUN_SESSIONS: usize = 64 * ROWS_AT_ONCE;
/// Rows taken before the first of their sessions is offered anything: at most some 65,000 sessions, 512 KiB of
/// pointers. Shorter stretches gain less (`docs/performance.md`, "Beside a bare loop").
const STRETCH_ROWS: usize = 128 * ROWS_AT_ONCE;

/// The walk. Its rows are each `parts`th of the topic's.
pub(super) struct Walk {
    stay: Stay,
    begun: Begun,
    next_row: usize,
    parts: usize,
    /// Rows that the stretch may still take. A stretch is over when nothing is left of its runs, however many sessions it had.
    rows_left: usize,
    /// What is left of the stretch, merged as it is offered: to sort all of it at once would make rings wait for that.
    runs: BinaryHeap<Run>,
}

/// Sessions in the order of their addresses, the highest first. Of several runs that comes first whose next session has the highest.
struct Run {
    next: Arc<Session>,
    rest: vec::IntoIter<Arc<Session>>,
}

impl Run {
    /// `None` of nobody.
    fn of(mut sessions: Vec<Arc<Session>>) -> Option<Self> {
        sessions.sort_unstable_by_key(|session| Reverse(Arc::as_ptr(session)));
        let mut rest = sessions.into_iter();
        rest.next().map(|next| Self { next, rest })
    }
}

impl Ord for Run {
    fn cmp(&self, other: &Self) -> Ordering {
        Arc::as_ptr(&self.next).cmp(&Arc::as_ptr(&other.next))
    }
}

impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Run {}

impl Walk {
    /// The walk of the part of this number, of so many.
    pub(super) fn new(stay: &Stay, begun: &Begun, number: usize, parts: usize) -> Self {
        let (stay, begun, next_row) = (stay.clone(), *begun, number);
        Self { stay, begun, next_row, parts, rows_left: STRETCH_ROWS, runs: BinaryHeap::new() }
    }

    /// Whether rows are to be taken before the next sessions.
    pub(super) fn wants_rows(&self) -> bool {
        (self.rows_left > 0 || self.runs.is_empty()) && self.next_row < self.begun.rows_count()
    }

    /// Takes the sessions of some rows; `false` where the topic's stay has ended.
    pub(super) fn take_rows(&mut self, topics: &Topics) -> bool {
        if self.rows_left == 0 {
            self.rows_left = STRETCH_ROWS;
        }
        let mut sessions = Vec::with_capacity(RUN_SESSIONS.min(self.begun.sessions));
        for row in (self.next_row..self.begun.rows_count()).step_by(self.parts).take(ROWS_AT_ONCE) {
            if !topics.row(&self.stay, &self.begun, row, &mut sessions) {
                return false;
            }
            self.next_row = row + self.parts;
        }
        self.rows_left -= ROWS_AT_ONCE;
        self.runs.extend(Run::of(sessions));
        true
    }

    /// The next sessions, [`TURN`] at most, where no rows are to be taken.
    pub(super) fn next_sessions(&mut self) -> impl Iterator<Item = Arc<Session>> {
        from_fn(|| self.next_session()).take(TURN)
    }

    fn next_session(&mut self) -> Option<Arc<Session>> {
        let mut run = self.runs.peek_mut()?;
        if let Some(after) = run.rest.next() {
            return Some(std::mem::replace(&mut run.next, after));
        }
        Some(PeekMut::pop(run).next)
    }

    /// Whether it has met everybody.
    pub(super) fn is_over(&self) -> bool {
        self.runs.is_empty() && self.next_row >= self.begun.rows_count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::num::NonZeroU16;
    use std::time::Duration;

    use doorbell_backplane::Partitions;
    use doorbell_protocol::{Hint, TopicId, UserId, Version};

    use super::*;
    use crate::session::Identity;
    use crate::topics::Pace;

    /// Several stretches, for each of three parts as well.
    const SESSIONS: usize = 140_000;

    /// A topic that all these sessions follow, each of a user of its own.
    fn followed() -> (Topics, Hint, Vec<Arc<Session>>) {
        let pace = Pace { followers_large: SESSIONS, interval: Duration::ZERO };
        let topics = Topics::new(Partitions::new(NonZeroU16::MIN), pace);
        let hint = Hint { topic: TopicId::new("group:all").unwrap(), version: Version::ZERO };
        let sessions = (0..SESSIONS).map(|number| {
            let user = UserId::new(format!("user-{number}")).unwrap();
            let session = Session::without_socket(Identity { user: user.clone(), device: None });
            topics.insert(&hint, &user, &session);
            session
        });
        let sessions = sessions.collect();
        (topics, hint, sessions)
    }

    #[test]
    fn the_parts_of_a_walk_meet_everybody_once_and_each_stretch_in_the_order_of_memory() {
        let (topics, hint, _sessions) = followed();
        let (stay, begun) = topics.walk(&hint.topic).unwrap();
        for parts in [1, 3] {
            let mut all = HashSet::new();
            for number in 0..parts {
                let (mut walk, mut met) = (Walk::new(&stay, &begun, number, parts), Vec::new());
                while !walk.is_over() {
                    while walk.wants_rows() {
                        assert!(walk.take_rows(&topics));
                    }
                    let before = met.len();
                    met.extend(walk.next_sessions());
                    assert!((1..=TURN).contains(&(met.len() - before)));
                }
                let breaks = met.windows(2).filter(|two| Arc::as_ptr(&two[0]) < Arc::as_ptr(&two[1])).count();
                let rows = (begun.rows_count() - number).div_ceil(parts);
                assert_eq!(breaks + 1, rows.div_ceil(STRETCH_ROWS), "part {number} of {parts}");
                assert!(breaks > 0 && met.iter().all(|session| all.insert(session.id())));
            }
            assert_eq!(all.len(), SESSIONS, "{parts} parts");
        }
    }

    #[test]
    fn a_walk_goes_on_behind_a_stretch_that_everybody_has_left() {
        let (topics, hint, sessions) = followed();
        let (stay, begun) = topics.walk(&hint.topic).unwrap();
        let mut walk = Walk::new(&stay, &begun, 0, 1);
        while walk.wants_rows() {
            assert!(walk.take_rows(&topics));
        }
        // The last rows' sessions stay, and are met behind a whole stretch of nobody.
        let mut late = Vec::new();
        (STRETCH_ROWS * 2..begun.rows_count())
            .for_each(|row| assert!(topics.row(&stay, &begun, row, &mut late)));
        let stays: HashSet<_> = late.iter().map(|session| session.id()).collect();
        for session in sessions.iter().filter(|session| !stays.contains(&session.id())) {
            topics.remove(&hint.topic, &session.identity().unwrap().user, session);
        }
        let mut met = HashSet::new();
        let turns = (0..SESSIONS).take_while(|_| {
            if walk.wants_rows() {
                assert!(walk.take_rows(&topics));
            } else {
                met.extend(walk.next_sessions().map(|session| session.id()));
            }
            !walk.is_over()
        });
        assert!(turns.count() < SESSIONS, "it does not end");
        assert!(!stays.is_empty() && met.is_superset(&stays));
    }
}
