//! How a run goes, for who watches it: one line on standard error that changes on a terminal, a line a second elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

/// The line.
pub struct Line {
    changing: bool,
    next: Option<Instant>,
}

impl Line {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { changing: std::io::stderr().is_terminal(), next: None }
    }

    /// Shows how it goes, where the last time is long enough ago.
    pub fn show(&mut self, line: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + Duration::from_millis(if self.changing { 200 } else { 1_000 }));
        // Who closed the output does not want to be told.
        let _ = if self.changing {
            write!(std::io::stderr(), "\r\x1b[2K{}", line()).and_then(|()| std::io::stderr().flush())
        } else {
            writeln!(std::io::stderr(), "{}", line())
        };
    }

    /// Says something that stays.
    pub fn say(&mut self, what: &str) {
        self.end();
        let _ = writeln!(std::io::stderr(), "{what}");
    }

    /// What comes next begins a line of its own.
    pub fn end(&mut self) {
        if self.changing && self.next.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
        self.next = None;
    }
}
