//! Where the cursor stood, by the time that stores were seen over all starts: how far a start goes back that finds others.
//!
//! Time is counted in ticks, an eighth of the window each, and only while somebody looks. What passes while nothing
//! runs, or unseen, does not count, for nothing is announced in it; so no clock of the host is asked, and counting too
//! little means to go back too far. Starts that follow each other within the window go on with the same count.

use crate::conversation::Position;

/// Of so many ticks is the window.
pub const TICKS: u32 = 8;

/// Places with the tick in which the cursor stood there first, in the order of ticks: one a tick at most, and none
/// that no window needs, so some ten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Now; it stands still where the window has passed since the last place, so that an idle shard notes nothing.
    pub tick: u64,
    /// In which tick it came where.
    pub places: Vec<(u64, Position)>,
}

/// Whether a place of that tick is from before the window that ends in this one: both are rounded down.
fn is_before(at: u64, tick: u64) -> bool {
    at + u64::from(TICKS) < tick
}

impl Trail {
    /// It is that tick, and the cursor has come to this place. The first place of a tick stands for all of it.
    pub fn push(&mut self, tick: u64, position: Position) {
        if self.places.last().is_none_or(|(at, last)| *at < tick && *last != position) {
            self.places.push((tick, position));
        }
        let passed = self.places.last().map_or(0, |(at, _)| at + u64::from(TICKS) + 1);
        self.tick = tick.min(passed);
        let before = self.places.partition_point(|(at, _)| is_before(*at, tick));
        self.places.drain(..before.saturating_sub(1));
    }

    /// The cursor went back to this place.
    pub fn go_back(&mut self, tick: u64, position: Position) {
        match self.places.last_mut() {
            Some((at, last)) if *at >= tick => *last = position.min(*last),
            _ => self.places.push((tick, position)),
        }
        self.tick = tick;
    }

    /// The lowest place of the window that ends in this tick; `None` where it does not reach back that far.
    pub fn lowest(&self, tick: u64) -> Option<Position> {
        let first = self.places.partition_point(|(at, _)| is_before(*at, tick)).checked_sub(1)?;
        self.places[first..].iter().map(|(_, position)| *position).min()
    }
}
