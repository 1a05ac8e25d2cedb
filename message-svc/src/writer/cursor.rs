//! How far a shard's commits are announced, to which stores, and how far that goes back when a store is another one.
//!
//! What was announced may be lost with the store that took it, up to `reannounce_window` before the store was last seen.
//! So the cursor remembers where it stood when, and goes back to the lowest place of that window (MS-17). It does so at
//! most once for each change that is seen, in one step with taking the new identities over, and both are noted on disk
//! together: a crash in between sees the change once more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::PartitionIdentity;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::conversation::Position;
use crate::store::Note;

/// Moments that are remembered at most: some 48 bytes each. With the defaults 600 are needed.
const MOMENTS_MAX: usize = 8_192;

/// What every partition's store is, in their order; empty before they were seen for the first time.
pub type Identities = Arc<[PartitionIdentity]>;

/// A place of the cursor, and in which of its turns: each time it goes back, a turn begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Everything up to here is announced.
    pub position: Position,
    /// How often the cursor had gone back.
    pub turn: u64,
}

/// What a look at the identities meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// They are what they were, or were seen for the first time ever.
    Known,
    /// Some are others than at the last look. The cursor went back from the first position to the second.
    Changed(Position, Position),
    /// The same, at the first look of this process: it happened while there was none.
    ChangedMeanwhile(Position, Position),
}

/// One shard's cursor.
#[derive(Debug)]
pub struct Cursor {
    state: Mutex<State>,
    /// The turn; none before the identities are known.
    turn: watch::Sender<Option<u64>>,
}

#[derive(Debug)]
struct State {
    place: Place,
    /// The furthest that it stood when it went back.
    before: Position,
    /// Commits up to here are forgotten, or are about to be.
    forgotten: Position,
    identities: Identities,
    /// When the look was asked for that saw them last; none before the first look of this process.
    sighted: Option<Instant>,
    history: History,
}

impl Cursor {
    /// A cursor as it was noted.
    pub fn new(announced: Position, forgotten: Position, identities: Identities) -> Self {
        let place = Place { position: announced, turn: 0 };
        let turn = watch::Sender::new((!identities.is_empty()).then_some(0));
        let state = State {
            place,
            before: Position::default(),
            forgotten,
            identities,
            sighted: None,
            history: History::default(),
        };
        Self { state: Mutex::new(state), turn }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.state.lock().place
    }

    /// Up to here everything had been announced when the cursor went back last.
    pub fn before(&self) -> Position {
        self.state.lock().before
    }

    /// Everything up to here is announced; answers whether that moved the cursor. What was begun before it went back
    /// does not: it may have been told to a store that is gone.
    pub fn advance(&self, to: Place) -> bool {
        let mut state = self.state.lock();
        let moves = to.turn == state.place.turn && to.position > state.place.position;
        if moves {
            state.place = to;
        }
        moves
    }

    /// The turn as it changes; none until the identities were seen for the first time ever. What is announced before
    /// that would count under no identity.
    pub fn turns(&self) -> watch::Receiver<Option<u64>> {
        self.turn.subscribe()
    }

    /// Takes in what every partition's store is, as a look says that was asked for at `asked_at`. Where some are others
    /// than before, the cursor goes back to where it stood `window` before those were last seen, or, where that is not
    /// remembered, to the oldest commit that is kept.
    pub fn sight(&self, seen: Identities, asked_at: Instant, window: Duration) -> Sighting {
        let mut state = self.state.lock();
        let before = state.sighted.replace(asked_at);
        if state.identities == seen {
            return Sighting::Known;
        }
        let first_ever = state.identities.is_empty();
        state.identities = seen;
        if first_ever {
            drop(state);
            self.turn.send_replace(Some(0));
            return Sighting::Known;
        }
        let remembered = before.and_then(|before| state.history.lowest_since(before.checked_sub(window)?));
        let from = state.place.position;
        let to = remembered.unwrap_or_default().max(state.forgotten).min(from);
        let turn = state.place.turn + 1;
        state.place = Place { position: to, turn };
        state.before = state.before.max(from);
        state.history.push(Instant::now(), to);
        drop(state);
        self.turn.send_replace(Some(turn));
        if before.is_some() { Sighting::Changed(from, to) } else { Sighting::ChangedMeanwhile(from, to) }
    }

    /// What is to be noted on disk now. Commits are forgotten `kept_for` after they were announced to stores that were
    /// seen since: as long as nobody knows whether a store has changed, nothing is.
    pub fn note(&self, now: Instant, kept_for: Duration) -> Note {
        let mut state = self.state.lock();
        let State { place, identities, sighted, forgotten, history, .. } = &mut *state;
        history.push(now, place.position);
        if let Some(by) = sighted.and_then(|sighted| sighted.checked_sub(kept_for)) {
            *forgotten = history.lowest_since(by).unwrap_or_default().max(*forgotten);
            history.forget_before(by);
        }
        Note { announced: place.position, forget: *forgotten, identities: Arc::clone(identities) }
    }
}

/// Where the cursor stood when, in the order of time. It holds a moment only where the place is another one.
#[derive(Debug, Default)]
struct History(VecDeque<(Instant, Position)>);

impl History {
    /// Without room, it remembers lower places rather than none: more is announced again.
    fn push(&mut self, at: Instant, position: Position) {
        let full = self.0.len() >= MOMENTS_MAX;
        match self.0.back_mut() {
            Some((_, last)) if *last == position => {}
            Some((_, last)) if full => *last = position.min(*last),
            _ => self.0.push_back((at, position)),
        }
    }

    /// The lowest place since a moment; `None` where it does not reach back that far.
    fn lowest_since(&self, at: Instant) -> Option<Position> {
        let later = self.0.partition_point(|(since, _)| *since <= at);
        let first = later.checked_sub(1)?;
        self.0.range(first..).map(|(_, position)| *position).min()
    }

    /// Forgets what no question about this moment or a later one needs.
    fn forget_before(&mut self, at: Instant) {
        let later = self.0.partition_point(|(since, _)| *since <= at);
        self.0.drain(..later.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;
