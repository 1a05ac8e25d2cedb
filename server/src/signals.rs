//! Asked to end: SIGTERM or SIGINT.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// Within this time a signal is the same one again: `timeout` and some supervisors signal the process and then its
/// group. Shorter than a person's second thought.
const SAME: Duration = Duration::from_millis(400);

/// Listens from its making on: nothing sent after that is lost.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    last: Option<Instant>,
}

/// The one that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM.
    Terminate,
    /// SIGINT, Ctrl-C.
    Interrupt,
}

impl Signals {
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system has no room for a handler.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            last: None,
        })
    }

    /// Waits for the next one that is not the last one again.
    ///
    /// *Cancel safety*: none is lost.
    pub async fn next(&mut self) -> Asked {
        loop {
            let asked = tokio::select! {
                _ = self.terminate.recv() => Asked::Terminate,
                _ = self.interrupt.recv() => Asked::Interrupt,
            };
            let now = Instant::now();
            if self.last.is_none_or(|last| now >= last + SAME) {
                self.last = Some(now);
                return asked;
            }
        }
    }
}

impl Asked {
    /// The exit code of a process that ends at once by it: 128 and its number.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}
