//! What to do when `accept` fails. Out of file descriptors it fails at once, again and again: pause, say so once,
//! and go on.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::Metrics;

/// How long accepting rests when the system has nothing to give: short beside a client's patience, long beside a
/// busy loop.
const PAUSE: Duration = Duration::from_millis(100);
/// The process has no file descriptor left (`EMFILE`); the same number on Linux and macOS.
const EMFILE: i32 = 24;
/// The system has none left (`ENFILE`).
const ENFILE: i32 = 23;

/// How long accepting must have worked before a failure is news again: while descriptors come and go one by one, it
/// works and fails in turn.
const CALM: Duration = Duration::from_secs(5);

/// Remembers when `accept` last failed, so that a burst is reported once.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    failed_at: Option<Instant>,
}

/// What the accept loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Accept the next one.
    GoOn,
    /// Rest first.
    Pause(Duration),
}

impl Pressure {
    /// Judges one `accept`.
    pub(super) fn on_accept(
        &mut self,
        failed: Option<&io::Error>,
        now: Instant,
        metrics: &Metrics,
    ) -> Reaction {
        match failed {
            None => {
                if self.failed_at.is_some_and(|failed_at| now.duration_since(failed_at) >= CALM) {
                    self.failed_at = None;
                    tracing::info!("accepting connections again");
                }
                Reaction::GoOn
            }
            // The client went away between its connect and our accept: its own business.
            Some(error) if is_of_the_client(error) => Reaction::GoOn,
            Some(error) => {
                if self.failed_at.is_none() {
                    metrics.accept_paused();
                    let hint = is_out_of_files(error).then_some("raise the limit of open files (ulimit -n)");
                    tracing::warn!(%error, hint, "cannot accept connections; trying again until it works");
                }
                self.failed_at = Some(now);
                Reaction::Pause(PAUSE)
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_pauses_each_time_and_is_counted_once() {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let (mut pressure, start) = (Pressure::default(), Instant::now());
        for (at_secs, failed, expected, counted) in [
            (0, None, Reaction::GoOn, 0),
            (1, Some(EMFILE), Reaction::Pause(PAUSE), 1),
            (1, Some(ENFILE), Reaction::Pause(PAUSE), 1),
            (2, None, Reaction::GoOn, 1),
            (3, Some(EMFILE), Reaction::Pause(PAUSE), 1),
            (7, None, Reaction::GoOn, 1),
            (7, Some(EMFILE), Reaction::Pause(PAUSE), 1),
            (12, None, Reaction::GoOn, 1),
            (12, Some(EMFILE), Reaction::Pause(PAUSE), 2),
        ] {
            let failed = failed.map(io::Error::from_raw_os_error);
            let now = start + Duration::from_secs(at_secs);
            assert_eq!(pressure.on_accept(failed.as_ref(), now, &metrics), expected, "{at_secs} {failed:?}");
            assert_eq!(metrics.accept_pauses(), counted, "{at_secs} {failed:?}");
        }
    }

    #[test]
    fn a_client_that_went_away_costs_no_pause() {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(Pressure::default().on_accept(Some(&gone), Instant::now(), &metrics), Reaction::GoOn);
    }
}
