//! Turns of one user at something: a bounded number at a time, in the order of the calls.
//!
//! Of reads that cost as much as a user has conversations, so that one user's do not fill the line of all: such a read
//! takes some 4 µs a conversation. A few sessions of a user with thousands of them could ask for more than the store
//! answers in a second, and everybody else's pulls would wait behind. And of statuses that are set, where what is
//! written follows from an answer that has to be waited for.

use std::sync::Arc;

use doorbell_protocol::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;
use xxhash_rust::xxh3::xxh3_64;

/// Slots; two users who share one sometimes wait for each other.
const SLOTS: u64 = 1_024;
/// Wide reads of one user at a time: a second one, so that a phone does not wait for a desktop's.
pub const WIDE_READS_MAX: usize = 2;

/// Whose turn it is at the moment.
#[derive(Clone)]
pub struct Turns {
    slots: Arc<[Arc<Semaphore>]>,
}

impl Turns {
    /// So many at a time for each user.
    pub fn of(at_a_time: usize) -> Self {
        Self { slots: (0..SLOTS).map(|_| Arc::new(Semaphore::new(at_a_time))).collect() }
    }

    /// Waits for the user's turn, which ends when the answer is dropped. Who waits is bounded by the calls that the
    /// gateways let a user have under way.
    ///
    /// *Ordering*: turns come in the order in which the futures are first polled.
    /// *Cancel safety*: a dropped wait gives up its place.
    pub async fn take(&self, user: &UserId) -> OwnedSemaphorePermit {
        let slot = usize::try_from(xxh3_64(user.as_str().as_bytes()) % SLOTS).expect("less than the slots");
        // A task that has used up its budget would be put off before it stands in line.
        let acquired = unconstrained(Arc::clone(&self.slots[slot]).acquire_owned()).await;
        acquired.expect("nobody closes it")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_third_read_of_a_user_waits_and_another_user_does_not() {
        let (turns, user) = (Turns::of(WIDE_READS_MAX), |name| UserId::new(name).unwrap());
        let first = turns.take(&user("ada")).now_or_never().unwrap();
        let _second = turns.take(&user("ada")).now_or_never().unwrap();

        assert!(turns.take(&user("ada")).now_or_never().is_none());
        assert!(turns.take(&user("bob")).now_or_never().is_some());
        drop(first);
        assert!(turns.take(&user("ada")).now_or_never().is_some());
    }
}
