//! How a run goes, for who watches it, and for its report.

use super::pulse::Pulse;
use crate::bar::{Bar, Shown};

/// The bar or the line, and what is seen second by second.
pub struct Line {
    bar: Bar,
    /// What is seen second by second: the fleet and the timeline have the same.
    pub pulse: Pulse,
}

impl Line {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { bar: Bar::new(), pulse: Pulse::default() }
    }

    /// Shows how it goes, where the last time is long enough ago.
    pub fn show<S: Into<Shown>>(&mut self, shown: impl FnOnce() -> S) {
        self.bar.show(shown);
    }

    /// Says something that stays.
    pub fn say(&mut self, what: &str) {
        self.bar.say(what);
    }

    /// What comes next begins a line of its own.
    pub fn end(&mut self) {
        self.bar.end();
    }
}
