//! What a reader knows, wants and waits for: no I/O.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::prove::history::Micros;

/// Calls that one reader has under way at most; a gateway allows twice as many.
const CALLS_MAX: usize = 8;

/// A call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Changes,
    Pull { conversation: u32, pull: u32, after: u64 },
    Mark { conversation: u32, version: u64, asked: Micros },
}

/// What time brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// The gateway asked to move.
    Move,
    /// A call is without an answer for too long.
    Silent,
}

/// A conversation that is behind.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    version: u64,
    due: Instant,
    under_way: bool,
}

/// The whole of it.
#[derive(Debug, Default)]
pub struct State {
    known: BTreeMap<u32, u64>,
    wanted: HashMap<u32, Wanted>,
    calls: HashMap<u64, (Call, Instant)>,
    cursor: Option<String>,
    inbox: u64,
    /// When `topics.changes` is to be asked; `None` while there is no reason to.
    ask_at: Option<Instant>,
    /// A reason came while it was under way.
    ask_again: bool,
    move_at: Option<Instant>,
}

impl State {
    /// A session begins: what was under way is lost, and it asks what it missed.
    pub fn begin(&mut self, now: Instant) {
        self.calls.clear();
        self.wanted.values_mut().for_each(|wanted| wanted.under_way = false);
        self.ask_at = Some(now);
        self.ask_again = false;
        self.move_at = None;
    }

    /// Each conversation with the version that it knows.
    pub fn known(&self) -> Vec<(u32, u64)> {
        self.known.iter().map(|(conversation, version)| (*conversation, *version)).collect()
    }

    /// A conversation has reached a version: pull at the earliest time named, with the greatest version.
    pub fn want(&mut self, conversation: u32, version: u64, due: Instant) {
        let known = *self.known.entry(conversation).or_insert(0);
        if version <= known {
            return;
        }
        let wanted = self.wanted.entry(conversation).or_insert(Wanted { version, due, under_way: false });
        wanted.version = wanted.version.max(version);
        wanted.due = wanted.due.min(due);
    }

    /// The inbox has reached a version: conversations may have come or gone.
    pub fn inbox(&mut self, version: u64) {
        if version > self.inbox {
            self.inbox = version;
            self.ask();
        }
    }

    /// There is a reason to ask `topics.changes`.
    pub fn ask(&mut self) {
        if self.asking() {
            self.ask_again = true;
        } else {
            self.ask_at = Some(Instant::now());
        }
    }

    /// It is no member any more.
    pub fn forget(&mut self, conversation: u32) {
        self.known.remove(&conversation);
        self.wanted.remove(&conversation);
    }

    /// The server cannot tell what it missed: nothing that it knows counts.
    pub fn reset(&mut self) {
        self.known.clear();
        self.wanted.clear();
    }

    /// Whether to ask `topics.changes` now.
    pub fn may_ask(&self, now: Instant) -> bool {
        !self.asking() && self.ask_at.is_some_and(|at| at <= now)
    }

    fn asking(&self) -> bool {
        self.calls.values().any(|(call, _)| *call == Call::Changes)
    }

    /// Whether a mark is under way.
    pub fn marking(&self) -> bool {
        self.calls.values().any(|(call, _)| matches!(call, Call::Mark { .. }))
    }

    /// Where `topics.changes` goes on.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// A page of `topics.changes` came. `next`: when to ask again without any other reason.
    pub fn asked(&mut self, cursor: String, more: bool, next: Option<Instant>) {
        self.cursor = Some(cursor);
        self.ask_at = if more || self.ask_again { Some(Instant::now()) } else { next };
        self.ask_again = false;
    }

    /// `topics.changes` failed.
    pub fn again_in(&mut self, now: Instant, wait: Duration) {
        self.ask_at = Some(now + wait);
    }

    /// A pull to make now: conversation, after, and the version hinted.
    pub fn next_pull(&mut self, now: Instant) -> Option<(u32, u64, Option<u64>)> {
        if self.calls.len() >= CALLS_MAX {
            return None;
        }
        let ready = |wanted: &Wanted| !wanted.under_way && wanted.due <= now;
        let (conversation, wanted) = self.wanted.iter_mut().find(|(_, wanted)| ready(wanted))?;
        wanted.under_way = true;
        let after = self.known.get(conversation).copied().unwrap_or(0);
        Some((*conversation, after, Some(wanted.version)))
    }

    /// A call went out.
    pub fn called(&mut self, id: u64, call: Call, now: Instant) {
        if call == Call::Changes {
            self.ask_at = None;
        }
        self.calls.insert(id, (call, now));
    }

    /// Its reply came.
    pub fn answered(&mut self, id: u64) -> Option<Call> {
        self.calls.remove(&id).map(|(call, _)| call)
    }

    /// A page came. `more`: there is more behind it than any hint named.
    pub fn pulled(&mut self, conversation: u32, last: u64, more: bool, now: Instant) {
        // Left while it was under way.
        let Some(known) = self.known.get_mut(&conversation) else { return };
        let risen = last > *known;
        *known = (*known).max(last);
        let known = *known;
        let Some(wanted) = self.wanted.get_mut(&conversation) else { return };
        if wanted.version <= known && !more {
            self.wanted.remove(&conversation);
            return;
        }
        wanted.under_way = false;
        // A page that brings nothing, where a hint said that there is something, is asked again, but not at once.
        wanted.due = if risen { now } else { now + Duration::from_millis(250) };
    }

    /// A pull got no page.
    pub fn pull_failed(&mut self, conversation: u32, again: Instant) {
        if let Some(wanted) = self.wanted.get_mut(&conversation) {
            wanted.under_way = false;
            wanted.due = again;
        }
    }

    /// The gateway asked to move in that time.
    pub fn move_in(&mut self, now: Instant, after_ms: u32) {
        self.move_at.get_or_insert(now + Duration::from_millis(after_ms.into()));
    }

    /// When there is something to do, at the latest.
    pub fn wake(&self, now: Instant, reply_deadline: Duration) -> Instant {
        let calls = self.calls.values().map(|(_, since)| *since + reply_deadline);
        let full = self.calls.len() >= CALLS_MAX;
        let pulls = self.wanted.values().filter(|wanted| !wanted.under_way && !full).map(|wanted| wanted.due);
        let ask = self.ask_at.filter(|_| !self.asking());
        calls.chain(pulls).chain(ask).chain(self.move_at).min().unwrap_or(now + Duration::from_secs(60))
    }

    /// What the time that came means.
    pub fn woken(&self, now: Instant, reply_deadline: Duration) -> Due {
        if self.calls.values().any(|(_, since)| *since + reply_deadline <= now) {
            Due::Silent
        } else if self.move_at.is_some_and(|at| at <= now) {
            Due::Move
        } else {
            Due::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> (State, Instant) {
        let now = Instant::now();
        let mut state = State::default();
        state.begin(now);
        state.called(1, Call::Changes, now);
        state.answered(1);
        state.asked("c".to_owned(), false, None);
        (state, now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_is_pulled_once_at_the_earliest_time_with_the_greatest_version() {
        let (mut state, now) = session();
        let later = now + Duration::from_secs(1);
        state.want(3, 5, later);
        state.want(3, 7, later + Duration::from_secs(9));
        assert_eq!(state.next_pull(now), None);
        assert_eq!(state.wake(now, REPLY), later);

        assert_eq!(state.next_pull(later), Some((3, 0, Some(7))));
        assert_eq!(state.next_pull(later), None, "one under way");
        assert_eq!(state.known(), [(3, 0)], "asked, and not yet answered");

        state.pulled(3, 7, false, later);
        state.want(3, 6, later);
        assert_eq!(state.next_pull(later), None, "an older version says nothing");
        assert_eq!(state.known(), [(3, 7)]);
    }

    const REPLY: Duration = Duration::from_secs(14);

    #[tokio::test(start_paused = true)]
    async fn what_was_hinted_during_a_pull_is_pulled_after_it() {
        let (mut state, now) = session();
        state.want(3, 5, now);
        assert_eq!(state.next_pull(now), Some((3, 0, Some(5))));
        state.want(3, 6, now);
        state.pulled(3, 5, false, now);
        assert_eq!(state.next_pull(now), Some((3, 5, Some(6))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_begins_asks_and_pulls_again_what_was_under_way() {
        let (mut state, now) = session();
        state.want(3, 5, now);
        state.next_pull(now);
        state.begin(now);
        assert!(state.may_ask(now));
        assert_eq!(state.next_pull(now), Some((3, 0, Some(5))));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_reason_nothing_is_asked() {
        let (mut state, now) = session();
        assert!(!state.may_ask(now + Duration::from_secs(3_600)));
        state.inbox(4);
        assert!(state.may_ask(now));
        state.called(2, Call::Changes, now);
        state.inbox(4);
        state.ask();
        state.answered(2);
        state.asked("d".to_owned(), false, None);
        assert!(state.may_ask(now), "a reason that came meanwhile counts");
        assert_eq!(state.woken(now, REPLY), Due::Nothing);
        state.move_in(now, 0);
        assert_eq!(state.woken(now, REPLY), Due::Move);
    }
}
