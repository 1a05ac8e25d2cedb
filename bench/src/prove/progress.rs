//! How far a run is: for the terminal, and for who goes by it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::history::{Micros, Phase};
use crate::bar::Shown;

/// Counters; no rule looks at them.
#[derive(Debug, Default)]
pub struct Progress {
    acked: AtomicU64,
    hints: AtomicU64,
    sessions: AtomicI64,
    unsure: AtomicI64,
    reported: AtomicU64,
    fault: Mutex<Vec<(u32, String)>>,
    /// When the last fault ended.
    healed: Mutex<Option<Instant>>,
}

impl Progress {
    /// A send was acknowledged.
    pub fn acked(&self) {
        self.acked.fetch_add(1, Ordering::Relaxed);
    }

    /// Topics were hinted.
    pub fn hints(&self, topics: usize) {
        self.hints.fetch_add(topics as u64, Ordering::Relaxed);
    }

    /// A session is open.
    pub fn opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// A session is over.
    pub fn closed(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sends whose fate is not known: one more, or one fewer.
    pub fn unsure(&self, step: i64) {
        self.unsure.fetch_add(step, Ordering::Relaxed);
    }

    /// A reader has written down what it knows.
    pub fn reported(&self) {
        self.reported.fetch_add(1, Ordering::Relaxed);
    }

    /// How many have.
    pub fn reports(&self) -> u64 {
        self.reported.load(Ordering::Relaxed)
    }

    /// Sessions open now.
    pub fn sessions(&self) -> i64 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Sends acknowledged so far.
    pub fn acks(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// A fault begins.
    pub fn fault_begins(&self, fault: u32, what: String) {
        self.fault.lock().push((fault, what));
    }

    /// A fault ends.
    pub fn fault_ends(&self, fault: u32) {
        *self.healed.lock() = Some(Instant::now());
        self.fault.lock().retain(|(number, _)| *number != fault);
    }

    /// When a fault was last on; now, where one is.
    pub fn troubled(&self) -> Option<Instant> {
        let on = !self.fault.lock().is_empty();
        if on { Some(Instant::now()) } else { *self.healed.lock() }
    }

    /// For who watches it.
    pub fn shown(&self, phase: Phase, at: Micros) -> Shown {
        let seconds = at / 1_000_000;
        let faults: Vec<String> = self.fault.lock().iter().map(|(_, what)| what.clone()).collect();
        let unsure = self.unsure.load(Ordering::Relaxed);
        let mut figures = format!(
            "{:>2}:{:02}  {:>7} acked  {:>6} sessions  {:>8} hints",
            seconds / 60,
            seconds % 60,
            self.acks(),
            self.sessions(),
            self.hints.load(Ordering::Relaxed)
        );
        if unsure > 0 {
            figures.push_str(&format!("  {unsure} unsure"));
        }
        if !faults.is_empty() {
            figures.push_str(&format!("  fault: {}", faults.join(", ")));
        }
        Shown { what: phase_name(phase).to_owned(), place: None, figures }
    }
}

/// A phase for people.
pub const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::WarmUp => "warm-up",
        Phase::Load => "load",
        Phase::Heal => "heal",
        Phase::Settle => "wait T",
        Phase::Final => "final",
        Phase::Left => "left",
    }
}
