//! A peer as its callers see it: a deadline for each call, a burst of failures said once in the log, its end once.

use std::fmt::Display;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long calls must have worked before a failure is news again: where one partition of many fails, calls work and
/// fail in turn.
const CALM: Duration = Duration::from_secs(5);

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer<E> {
    /// The peer said why.
    #[error("{0}")]
    Refused(E),
    /// The deadline, which is named, has passed. Whether the call did anything is not known.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

/// Somebody who is called again and again, and may be away for a while. It holds no connection: it makes each call end
/// in time, and tells an operator, once, that the peer stopped answering and that it answers again.
#[derive(Debug)]
pub struct Peer {
    name: &'static str,
    /// Whether a burst of failures has begun: read at each call, so that those that work write nothing.
    failing: AtomicBool,
    failed_at: Mutex<Option<Instant>>,
}

impl Peer {
    /// A peer with the name that the log gives it.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, failing: AtomicBool::new(false), failed_at: Mutex::new(None) }
    }

    /// Makes a call within its time. What goes wrong is logged here: the caller counts it and decides what follows.
    ///
    /// *Cancel safety*: a dropped call is a call dropped at the peer; it counts neither as answered nor as failed.
    ///
    /// # Errors
    /// [`NoAnswer`], which may leave the call done or not done.
    pub async fn within<T, E: Display>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, NoAnswer<E>> {
        let answer = match tokio::time::timeout(deadline, call).await {
            Ok(answer) => answer.map_err(NoAnswer::Refused),
            Err(_) => Err(NoAnswer::Late(deadline)),
        };
        match &answer {
            Ok(_) if self.answered(Instant::now()) => tracing::info!(peer = self.name, "it answers again"),
            Err(error) if self.failed(Instant::now()) => {
                tracing::warn!(peer = self.name, %error, "a peer does not answer; calls go on until it does");
            }
            _ => {}
        }
        answer
    }

    /// Notes a failed call; answers whether it is the first of its burst.
    fn failed(&self, now: Instant) -> bool {
        let mut failed_at = self.failed_at.lock();
        self.failing.store(true, Ordering::Relaxed);
        failed_at.replace(now).is_none()
    }

    /// Notes a call that worked; answers whether it ends a burst.
    fn answered(&self, now: Instant) -> bool {
        if !self.failing.load(Ordering::Relaxed) {
            return false;
        }
        let mut failed_at = self.failed_at.lock();
        let ends = failed_at.is_some_and(|failed_at| now.duration_since(failed_at) >= CALM);
        if ends {
            *failed_at = None;
            self.failing.store(false, Ordering::Relaxed);
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_news_once_and_so_is_its_end() {
        let peer = Peer::new("the registry");
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        assert!(!peer.answered(at(0)), "nothing had failed");
        assert!(peer.failed(at(1)));
        for second in 2..20 {
            // One partition works, another does not.
            assert!(!peer.answered(at(second)) && !peer.failed(at(second)), "{second}");
        }
        assert!(!peer.answered(at(23)) && peer.answered(at(24)) && !peer.answered(at(25)));
        assert!(peer.failed(at(26)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_by_its_deadline() {
        let peer = Peer::new("the registry");
        let deadline = Duration::from_secs(2);
        let began = Instant::now();

        let silent = std::future::pending::<Result<(), String>>();
        assert_eq!(peer.within(deadline, silent).await, Err(NoAnswer::Late(deadline)));
        assert_eq!(began.elapsed(), deadline);

        let refused = async { Err::<(), _>("full".to_owned()) };
        assert_eq!(peer.within(deadline, refused).await, Err(NoAnswer::Refused("full".to_owned())));
        assert_eq!(peer.within(deadline, async { Ok::<_, String>(7) }).await, Ok(7));
    }
}
