//! What all processes with sockets saw, together.

use std::collections::BTreeMap;

use crate::load::clock::Moment;
use crate::load::orders::{Seen, Tally};
use crate::load::spread::Spread;
use crate::load::tool::Spent;

/// What users heard, over all processes, who are rung by their names.
#[derive(Default)]
pub struct Rings {
    /// Hint frames since measuring began.
    pub hints: u64,
    /// Rings that they told of.
    pub learned: u64,
    /// How late those were; what some did not hear of, with its age.
    pub late: Spread,
    /// When the last came; 0 where none did.
    pub last_hint: Moment,
}

/// What all processes saw, together.
#[derive(Default)]
pub struct Together {
    /// Counts.
    pub tally: Tally,
    /// When the first connection began.
    pub began: Moment,
    /// When the last `welcome` came.
    pub last_welcome: Moment,
    /// From the beginning of a connection to the end of its TLS handshake; nothing without TLS.
    pub secured: Spread,
    /// From the beginning of a connection to the answer to its upgrade.
    pub upgrade: Spread,
    /// From the beginning of a connection to its `welcome`.
    pub welcome: Spread,
    /// How late followers were; what some did not hear of, with its age.
    pub late: Spread,
    /// When the last hint came since measuring began; 0 where none did.
    pub last_hint: Moment,
    /// Rings of users by their names, where they are told of another topic.
    pub rings: Rings,
    /// Sessions that are open and have not heard of the last version.
    pub behind: u64,
    /// From the loss of a session to its next `welcome`.
    pub back: Spread,
    /// From the loss of a session to when it is current.
    pub current: Spread,
    /// Why sessions failed or ended.
    pub failures: BTreeMap<String, u64>,
    /// The heartbeat that the server told, in milliseconds.
    pub heartbeat_ms: u32,
    /// What the tool used since measuring began: since sessions began to be opened, where hints do not count.
    pub tool: Spent,
}

impl Together {
    /// What one more of them saw.
    pub fn add(&mut self, seen: &Seen) {
        self.tally = self.tally.plus(seen.tally);
        if seen.began > 0 {
            self.began = if self.began == 0 { seen.began } else { self.began.min(seen.began) };
        }
        self.last_welcome = self.last_welcome.max(seen.last_welcome);
        self.secured.merge(&seen.secured);
        self.upgrade.merge(&seen.upgrade);
        self.welcome.merge(&seen.welcome);
        self.late.merge(&seen.late);
        self.rings.hints += seen.rings.hints;
        self.rings.learned += seen.rings.learned;
        self.rings.late.merge(&seen.rings.late);
        self.rings.last_hint = self.rings.last_hint.max(seen.rings.last_hint);
        self.behind += seen.behind;
        self.back.merge(&seen.back);
        self.current.merge(&seen.current);
        self.last_hint = self.last_hint.max(seen.last_hint);
        for (why, count) in &seen.failures {
            *self.failures.entry(why.clone()).or_default() += count;
        }
        self.heartbeat_ms = self.heartbeat_ms.max(seen.heartbeat_ms);
    }
}
