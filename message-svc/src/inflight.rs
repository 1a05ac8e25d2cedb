//! Which users have writes under way, so that a read by one of them can wait its turn.
//!
//! Calls of one user take effect in the order in which they were made, also when the answer of the first is not
//! awaited: a client may send, and ask for the list in the next frame. Whoever has no write under way reads at once,
//! whatever the writers are doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use doorbell_protocol::UserId;
use xxhash_rust::xxh3::xxh3_64;

/// Counters; two users who share one sometimes wait for each other's write, which harms nobody.
const SLOTS: usize = 1_024;

/// Writes under way, by user.
#[derive(Clone)]
pub struct Inflight {
    slots: Arc<[AtomicU32]>,
}

impl Default for Inflight {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect() }
    }
}

impl Inflight {
    /// Counts a write of the user's, until the guard is dropped.
    #[must_use]
    pub fn enter(&self, user: &UserId) -> Guard {
        let slot = Self::slot(user);
        self.slots[slot].fetch_add(1, Ordering::AcqRel);
        Guard { inflight: self.clone(), slot }
    }

    /// Whether the user may have a write under way.
    #[must_use]
    pub fn any(&self, user: &UserId) -> bool {
        self.slots[Self::slot(user)].load(Ordering::Acquire) > 0
    }

    fn slot(user: &UserId) -> usize {
        let slots = u64::try_from(SLOTS).expect("the number is small");
        usize::try_from(xxh3_64(user.as_str().as_bytes()) % slots)
            .expect("a remainder is smaller than its divisor")
    }
}

/// One write under way.
pub struct Guard {
    inflight: Inflight,
    slot: usize,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.inflight.slots[self.slot].fetch_sub(1, Ordering::AcqRel);
    }
}
