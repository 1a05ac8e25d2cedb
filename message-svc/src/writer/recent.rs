//! The last commits, so that the announcer need not read back what was written a moment ago.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::conversation::Position;
use crate::store::{Commit, Event};

/// Commits that are remembered at most. An announcer that is further behind reads the store.
const COMMITS_MAX: usize = 64;
/// Events that are remembered at most, of all commits together: some 100 bytes each.
const EVENTS_MAX: usize = 8_192;

/// Commits that are durable and published, one after the other without a gap.
#[derive(Debug, Default)]
pub struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    commits: VecDeque<Commit>,
    events: usize,
}

impl Recent {
    /// Takes a commit that readers see by now. After a gap (a commit whose outcome is unknown until the store was
    /// recovered) what came before it is forgotten.
    pub fn push(&self, position: Position, events: Vec<Event>) {
        let mut kept = self.kept.lock();
        if kept.commits.back().is_some_and(|last| last.position.next() != position) {
            *kept = Kept::default();
        }
        kept.events += events.len();
        kept.commits.push_back(Commit { position, events });
        while kept.commits.len() > COMMITS_MAX || kept.events > EVENTS_MAX {
            let Some(oldest) = kept.commits.pop_front() else { return };
            kept.events -= oldest.events.len();
        }
    }

    /// The commits after a position, all of them and in order, at least one; `None` where the store has to tell.
    /// They are forgotten here: the announcer asks once, and after a failure reads the store.
    pub fn take_after(&self, position: Position) -> Option<Vec<Commit>> {
        let mut kept = self.kept.lock();
        while kept.commits.front().is_some_and(|commit| commit.position <= position) {
            kept.commits.pop_front();
        }
        let commits: Vec<Commit> = kept.commits.drain(..).collect();
        kept.events = 0;
        commits.first().is_some_and(|first| first.position == position.next()).then_some(commits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::UserId;

    fn events(count: usize) -> Vec<Event> {
        vec![Event::Listed { user: UserId::new("ada").unwrap() }; count]
    }

    fn taken(recent: &Recent, after: u64) -> Option<Vec<u64>> {
        let commits = recent.take_after(Position(after))?;
        Some(commits.iter().map(|commit| commit.position.0).collect())
    }

    #[test]
    fn the_commits_after_a_position_are_taken_once_and_in_order() {
        let recent = Recent::default();
        (3..=6).for_each(|position| recent.push(Position(position), events(1)));

        assert_eq!(taken(&recent, 4), Some(vec![5, 6]));
        assert_eq!(taken(&recent, 4), None);
        recent.push(Position(7), events(1));
        assert_eq!(taken(&recent, 6), Some(vec![7]));
    }

    #[test]
    fn where_a_commit_may_be_missing_the_store_has_to_tell() {
        let recent = Recent::default();
        recent.push(Position(3), events(1));
        assert_eq!(taken(&recent, 1), None, "2 is missing before it");

        recent.push(Position(4), events(1));
        recent.push(Position(6), events(1));
        assert_eq!(taken(&recent, 3), None, "5 is missing in between");
    }

    #[test]
    fn commits_and_events_are_bounded() {
        let recent = Recent::default();
        (1..=100).for_each(|position| recent.push(Position(position), events(1)));
        assert_eq!(taken(&recent, 36).map(|all| all.len()), Some(64));

        recent.push(Position(101), events(EVENTS_MAX));
        recent.push(Position(102), events(1));
        assert_eq!(taken(&recent, 100), None, "101 made room for 102");
        recent.push(Position(103), events(EVENTS_MAX + 1));
        assert_eq!(taken(&recent, 102), None, "one that is too large is not kept");
    }
}
