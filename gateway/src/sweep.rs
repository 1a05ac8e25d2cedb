//! The coarse wheel: which session is to be looked at in which second. No session has a timer of its own for this.
//!
//! Each session has one valid appointment, and knows its second; an appointment that was moved stays in the wheel and
//! is void. The wheel holds no session alive.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::session::Session;

/// How far ahead an appointment may lie; what is due later is looked at then and moved on.
pub(crate) const AHEAD_SECONDS_MAX: u64 = SLOTS - 1;

/// One slot a second.
const SLOTS: u64 = 64;
/// Wheels, so that starts of sessions do not meet at one lock.
const SHARDS: usize = 16;
/// Sessions looked at between two yields.
pub(crate) const CHUNK: usize = 256;

struct Wheel {
    slots: Vec<Vec<Weak<Session>>>,
    /// The last second that was looked at.
    swept: u64,
}

/// All appointments. It is also the list of all sessions.
pub(crate) struct Sweep {
    shards: Vec<Mutex<Wheel>>,
}

impl Sweep {
    pub(crate) fn new(second: u64) -> Self {
        let wheel = || {
            let slots = (0..SLOTS).map(|_| Vec::new()).collect();
            Mutex::new(Wheel { slots, swept: second })
        };
        Self { shards: (0..SHARDS).map(|_| wheel()).collect() }
    }

    /// Makes an appointment for the second that `due` answers, at most [`AHEAD_SECONDS_MAX`] ahead.
    ///
    /// `due` runs under the wheel's lock: of two appointments made at once the later is also the one that knows more.
    /// It may take the session's lock, under which the wheel's is never taken (GW-9).
    pub(crate) fn schedule(&self, session: &Arc<Session>, due: impl FnOnce() -> u64) {
        let mut wheel = self.shards[shard_of(session)].lock();
        // A second that was swept in this moment would not be looked at again for a whole turn.
        let second = due().max(wheel.swept + 1);
        if session.due() == second {
            // It is in that slot: only what was swept is taken out of one.
            return;
        }
        session.set_due(second);
        wheel.slots[slot_of(second)].push(Arc::downgrade(session));
    }

    /// Takes out one shard's sessions that are due by `second`. Appointments that were moved, and those of sessions
    /// that are gone, are dropped on the way.
    pub(crate) fn take_due(&self, shard: usize, second: u64) -> Vec<Arc<Session>> {
        let mut due = Vec::new();
        let mut wheel = self.shards[shard].lock();
        let first = wheel.swept + 1;
        // After a pause of more than a turn, every slot is looked at once.
        for slot in (first..=second.min(first + SLOTS - 1)).map(slot_of) {
            wheel.slots[slot].retain(|appointment| {
                let Some(session) = appointment.upgrade().filter(|session| slot_of(session.due()) == slot)
                else {
                    return false;
                };
                // Of a later turn: made while the sweep was behind.
                let keep = session.due() > second;
                if !keep {
                    due.push(session);
                }
                keep
            });
            wheel.slots[slot].shrink_to_fit();
        }
        wheel.swept = wheel.swept.max(second);
        due
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// One shard's sessions. One that is being looked at in this moment may be missing: ask again.
    pub(crate) fn sessions(&self, shard: usize) -> Vec<Arc<Session>> {
        let wheel = self.shards[shard].lock();
        let mut sessions: Vec<_> = wheel.slots.iter().flatten().filter_map(Weak::upgrade).collect();
        drop(wheel);
        sessions.sort_unstable_by_key(|session| session.id());
        sessions.dedup_by_key(|session| session.id());
        sessions
    }
}

fn slot_of(second: u64) -> usize {
    usize::try_from(second % SLOTS).expect("a slot's number is small")
}

fn shard_of(session: &Session) -> usize {
    usize::try_from(session.id().bits() % SHARDS as u64).expect("a shard's number is small")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use doorbell_protocol::Encoding;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::socket::Socket;
    use crate::uptime::Moment;

    async fn sessions(count: usize) -> Vec<Arc<Session>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sessions = Vec::new();
        for _ in 0..count {
            let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let socket = Socket::from(socket).hold();
            sessions.push(Arc::new(Session::new(socket, Encoding::Json, None, Moment::default())));
        }
        sessions
    }

    fn due(sweep: &Sweep, second: u64) -> usize {
        (0..sweep.shards()).map(|shard| sweep.take_due(shard, second).len()).sum()
    }

    #[tokio::test]
    async fn each_session_is_found_in_its_second_and_once() {
        let sweep = Sweep::new(1_000);
        let sessions = sessions(AHEAD_SECONDS_MAX as usize).await;
        for (ahead, session) in (1..).zip(&sessions) {
            sweep.schedule(session, || 1_000 + ahead);
        }
        for ahead in 1..=AHEAD_SECONDS_MAX {
            assert_eq!(due(&sweep, 1_000 + ahead), 1, "{ahead}");
        }
        assert_eq!(due(&sweep, 2_000), 0);
    }

    #[tokio::test]
    async fn a_moved_appointment_is_void() {
        let sweep = Sweep::new(1_000);
        let sessions = sessions(1).await;
        for second in [1_010, 1_030, 1_005, 1_005] {
            sweep.schedule(&sessions[0], || second);
        }
        let mut found = Vec::new();
        for second in 1_001..1_063 {
            if due(&sweep, second) > 0 {
                found.push(second);
                sweep.schedule(&sessions[0], || second + 20);
            }
        }
        assert_eq!(found, [1_005, 1_025, 1_045]);
    }

    #[tokio::test]
    async fn a_deadline_that_moves_while_an_appointment_is_made_is_kept() {
        let sweep = Sweep::new(1_000);
        let session = sessions(1).await.remove(0);
        let deadline = AtomicU64::new(1_030);
        std::thread::scope(|threads| {
            sweep.schedule(&session, || {
                let seen = deadline.load(Ordering::SeqCst);
                let other = threads.spawn(|| {
                    deadline.store(1_005, Ordering::SeqCst);
                    sweep.schedule(&session, || deadline.load(Ordering::SeqCst));
                });
                // The other waits for this one: else it is done first, and then overwritten.
                while !other.is_finished() && !sweep.shards[shard_of(&session)].is_locked() {
                    std::thread::yield_now();
                }
                seen
            });
        });
        assert_eq!(session.due(), 1_005);
    }

    #[tokio::test]
    async fn nobody_is_lost_while_the_sweep_stands_still() {
        let sweep = Sweep::new(1_000);
        let sessions = sessions(3).await;
        sweep.schedule(&sessions[0], || 1_010);
        // The process stood still for minutes; a session starts before the next sweep, another in the swept second.
        sweep.schedule(&sessions[1], || 1_510);
        assert_eq!(due(&sweep, 1_500), 1);
        sweep.schedule(&sessions[2], || 1_400);
        assert_eq!(due(&sweep, 1_501), 1);
        assert_eq!(due(&sweep, 1_510), 1);
    }

    #[tokio::test]
    async fn the_wheel_holds_no_session_alive_and_lists_each_once() {
        let sweep = Sweep::new(0);
        let mut sessions = sessions(3).await;
        for second in [5, 7] {
            sessions.iter().for_each(|session| sweep.schedule(session, || second));
        }
        sessions.pop();
        assert_eq!((0..sweep.shards()).map(|shard| sweep.sessions(shard).len()).sum::<usize>(), 2);
    }
}
