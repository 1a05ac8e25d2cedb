//! Which topics' fan-outs take their turn next, and which are due later.
//!
//! Each followed topic is in it at most once, so it is bounded by what is followed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::runner::Part;
use crate::topics::Stay;

/// What a runner does next.
pub(super) enum Turn {
    /// Begin this one; its followers have waited since then.
    Begin(Stay, Instant),
    /// Go on with this part of one.
    Part(Box<Part>),
}

/// A fan-out that is due later; the earliest is the greatest.
struct Later {
    due: Reverse<Instant>,
    stay: Stay,
    since: Instant,
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

#[derive(Default)]
struct State {
    ready: VecDeque<Turn>,
    later: BinaryHeap<Later>,
}

/// The queue. Runners take turns from it, a few sessions each, so that no topic holds up another for longer than that.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    bell: Notify,
}

impl Queue {
    /// A topic's fan-out is due then; its followers wait since `since`.
    pub(super) fn push(&self, stay: Stay, due: Instant, since: Instant) {
        let now = Instant::now();
        let mut state = self.state.lock();
        if due <= now {
            state.ready.push_back(Turn::Begin(stay, since));
        } else {
            state.later.push(Later { due: Reverse(due), stay, since });
        }
        drop(state);
        self.bell.notify_one();
    }

    /// Another part of a fan-out that has begun.
    pub(super) fn push_part(&self, part: Box<Part>) {
        self.put_back(part);
        self.bell.notify_one();
    }

    /// A part goes on after the others had their turn. Nobody is woken: whoever puts it back looks next.
    pub(super) fn put_back(&self, part: Box<Part>) {
        self.state.lock().ready.push_back(Turn::Part(part));
    }

    /// Waits for the next turn.
    ///
    /// *Cancel safety*: nothing is taken by a call that is dropped.
    pub(super) async fn next(&self) -> Turn {
        loop {
            let due = {
                let mut state = self.state.lock();
                let now = Instant::now();
                while state.later.peek().is_some_and(|later| later.due.0 <= now) {
                    let later = state.later.pop().expect("it was there under this lock");
                    state.ready.push_back(Turn::Begin(later.stay, later.since));
                }
                if let Some(turn) = state.ready.pop_front() {
                    // One bell may stand for several pushes: whoever sleeps looks, too.
                    if !state.ready.is_empty() {
                        self.bell.notify_one();
                    }
                    return turn;
                }
                state.later.peek().map(|later| later.due.0)
            };
            match due {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.bell.notified()).await;
                }
                None => self.bell.notified().await,
            }
        }
    }
}
