//! How far a shard's commits are announced, to which stores, and how far that goes back when a store is another one.
//!
//! What was announced may be lost with the store that took it, up to `reannounce_window` before the store was last seen.
//! So the cursor remembers where it stood when, and goes back to the lowest place of that window (MS-17). It does so at
//! most once for each change that is seen, in one step with taking the new identities over, and both are noted on disk
//! together: a crash in between sees the change once more.
//!
//! The first look of a process goes by what earlier ones noted of that window ([`Trail`]), so that it goes back no
//! further, however short they lived. It does not go back at all where the store is one in memory: that began with this
//! process, as did every session, and each client asks what has changed when it comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::PartitionIdentity;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::conversation::Position;
use crate::store::Note;

mod trail;

pub use trail::Trail;

/// Moments that are remembered at most: some 48 bytes each. With the defaults 600 are needed.
const MOMENTS_MAX: usize = 8_192;

/// Commits that one note lets go of at most: a long time in which no store was seen is caught up with over several, so
/// that no write waits for all of it. With the default `announce_note_interval` that is 80,000 a second.
const FORGOTTEN_MAX: u64 = 16_384;

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
    /// They are what they were, or were seen for the first time ever, or live in memory and began with this process.
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
    trail: Trail,
    counted: Count,
}

/// The ticks of this process, after those that earlier ones noted.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    noted: u64,
    /// When the look was asked for that came first.
    since: Option<Instant>,
    tick: u64,
}

impl Count {
    /// A look was asked for then.
    fn go_on(&mut self, asked_at: Instant, window: Duration) {
        let lived = asked_at.saturating_duration_since(*self.since.get_or_insert(asked_at));
        let ticks = lived.as_nanos() * u128::from(trail::TICKS) / window.as_nanos().max(1);
        self.tick = self.noted + u64::try_from(ticks).unwrap_or(u64::MAX / 2);
    }
}

impl Cursor {
    /// A cursor as it was noted.
    pub fn new(noted: &Note) -> Self {
        let identities = Arc::clone(&noted.identities);
        let place = Place { position: noted.announced, turn: 0 };
        let turn = watch::Sender::new((!identities.is_empty()).then_some(0));
        let state = State {
            place,
            before: Position::default(),
            forgotten: noted.forget,
            identities,
            sighted: None,
            history: History::default(),
            trail: noted.trail.clone(),
            counted: Count { noted: noted.trail.tick, since: None, tick: noted.trail.tick },
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
    /// than before, the cursor goes back to where it stood `window` before those were last seen, or, where neither this
    /// process nor a note remembers that, to the oldest commit that is kept. Of stores in memory none is missed at a start.
    pub fn sight(&self, seen: Identities, asked_at: Instant, window: Duration) -> Sighting {
        let mut state = self.state.lock();
        let before = state.sighted.replace(asked_at);
        if state.identities == seen {
            state.go_on(asked_at, window);
            return Sighting::Known;
        }
        let first_ever = state.identities.is_empty();
        let began_with_us = before.is_none() && seen.iter().all(PartitionIdentity::is_in_memory);
        state.identities = seen;
        if first_ever || began_with_us {
            drop(state);
            self.turn.send_replace(Some(0));
            return Sighting::Known;
        }
        let remembered = before.and_then(|before| state.history.lowest_since(before.checked_sub(window)?));
        let from = state.place.position;
        let remembered = remembered.or_else(|| state.trail.lowest(state.counted.tick));
        let to = remembered.unwrap_or_default().max(state.forgotten).min(from);
        state.counted.go_on(asked_at, window);
        let turn = state.place.turn + 1;
        state.place = Place { position: to, turn };
        state.before = state.before.max(from);
        state.history.push(Instant::now(), to);
        let tick = state.counted.tick;
        state.trail.go_back(tick, to);
        drop(state);
        self.turn.send_replace(Some(turn));
        if before.is_some() { Sighting::Changed(from, to) } else { Sighting::ChangedMeanwhile(from, to) }
    }

    /// What is to be noted on disk now. Commits are forgotten `kept_for` after they were announced to stores that were
    /// seen since: as long as nobody knows whether a store has changed, nothing is.
    pub fn note(&self, now: Instant, kept_for: Duration) -> Note {
        let mut state = self.state.lock();
        let State { place, identities, sighted, forgotten, history, trail, .. } = &mut *state;
        history.push(now, place.position);
        if let Some(by) = sighted.and_then(|sighted| sighted.checked_sub(kept_for)) {
            let at_once_max = Position(forgotten.0.saturating_add(FORGOTTEN_MAX));
            *forgotten = history.lowest_since(by).unwrap_or_default().clamp(*forgotten, at_once_max);
            history.forget_before(by);
        }
        let (identities, trail) = (Arc::clone(identities), trail.clone());
        Note { announced: place.position, forget: *forgotten, identities, trail }
    }
}

impl State {
    /// The stores are what they were, as a look says that was asked for then.
    fn go_on(&mut self, asked_at: Instant, window: Duration) {
        self.counted.go_on(asked_at, window);
        // Where it stood then, and not where it has come to since.
        if let Some(position) = self.history.lowest_since(asked_at) {
            self.trail.push(self.counted.tick, position);
        }
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
