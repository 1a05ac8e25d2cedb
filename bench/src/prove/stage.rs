//! What all clients of a run share.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::history::{Phase, Recorder};
use super::names::Names;
use super::progress::Progress;
use crate::tokens::Tokens;

/// The same for everybody.
pub struct Stage {
    /// Where things are written down.
    pub recorder: Recorder,
    /// Where to connect: a client takes any.
    pub targets: Vec<String>,
    /// Users' tokens.
    pub tokens: Tokens,
    /// Names and their numbers.
    pub names: Names,
    /// Which part of the run it is.
    pub phase: watch::Receiver<Phase>,
    /// For the terminal.
    pub progress: Progress,
    /// Why the run cannot go on, where it cannot.
    pub broken: Mutex<Option<String>>,
    next_session: AtomicU32,
    /// What the tool itself does wrong, on purpose.
    pub sabotage: Sabotage,
}

/// Faults of the tool's own, which its rules must find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    #[default]
    None,
    /// A repeat goes out under another key.
    RetryWithoutKey,
    /// A reader swaps two entries of its pages.
    SwapEntries,
}

impl Sabotage {
    /// By its name; names of faults in the server are none of the tool's.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "retry-without-key" if cfg!(feature = "sabotage") => Self::RetryWithoutKey,
            "swap-entries" if cfg!(feature = "sabotage") => Self::SwapEntries,
            _ => Self::None,
        }
    }
}

impl Stage {
    /// For one run.
    pub fn new(
        recorder: Recorder,
        (targets, tokens): (Vec<String>, Tokens),
        names: Names,
        phase: watch::Receiver<Phase>,
        sabotage: Sabotage,
    ) -> Self {
        Self {
            recorder,
            targets,
            tokens,
            names,
            phase,
            progress: Progress::default(),
            broken: Mutex::new(None),
            next_session: AtomicU32::new(1),
            sabotage,
        }
    }

    /// A number for a new session.
    pub fn next_session(&self) -> u32 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// Says why the run cannot go on; the first word stands.
    pub fn give_up(&self, why: String) {
        self.broken.lock().get_or_insert(why);
    }

    /// Which part of the run it is now.
    pub fn phase_now(&self) -> Phase {
        *self.phase.borrow()
    }
}
