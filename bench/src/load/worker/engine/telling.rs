//! What the process says of its sessions.

use super::{Engine, Stage};
use crate::load::clock::{self, Moment};
use crate::load::orders::{Report, RingsHeard, Seen};
use crate::load::worker::say;

/// From one line about the progress to the next: in step with the seconds of the clock.
const PROGRESS_US: u64 = 200_000;

impl Engine {
    /// Says how far it is, where that is due or something was reached.
    pub(super) fn tell(&mut self) -> anyhow::Result<()> {
        if let Some(version) = self.lateness.reached() {
            say(&Report::Head(version))?;
        }
        let all = self.sockets.len() == self.job.sessions as usize;
        if self.opening && all && self.in_flight == 0 && !self.returning.is_waiting() {
            self.opening = false;
            say(&Report::Opened(self.tally))?;
        }
        let now = clock::now();
        if now >= self.next_progress {
            self.next_progress = (now / PROGRESS_US + 1) * PROGRESS_US;
            say(&Report::Progress(self.tally))?;
        }
        let lateness = (&mut self.lateness, &mut self.ring_lateness);
        if let Some(second) = self.seconds.over(now, (self.tally, self.ring_tally), lateness) {
            say(&Report::Second(Box::new(second)))?;
        }
        Ok(())
    }

    /// What was seen, where `last` is the last version that was published.
    pub(super) fn seen(&self, last: Moment) -> Seen {
        let open = || (self.job.first..).zip(&self.sockets).filter(|(_, socket)| socket.stage == Stage::Open);
        let steady = || open().filter(|(number, _)| *number < self.job.steady);
        let behind = open().filter(|(_, socket)| socket.known < last).count();
        let (back, current) = self.returning.counts(self.sockets.iter());
        Seen {
            tally: self.tally,
            began: self.began,
            last_welcome: self.last_welcome,
            secured: self.secured.counts(),
            upgrade: self.upgrade.counts(),
            welcome: self.welcome.counts(),
            late: self.lateness.counts(steady().map(|(user, socket)| (user, socket.known)), last),
            last_hint: self.lateness.last_hint(),
            rings: RingsHeard {
                hints: self.ring_tally.hints,
                learned: self.ring_tally.learned,
                // Of a schedule that is over nothing is due after its last.
                late: self
                    .ring_lateness
                    .counts(steady().map(|(user, socket)| (user, socket.ring_known)), clock::now()),
                last_hint: self.ring_lateness.last_hint(),
            },
            behind: behind as u64,
            back,
            current,
            failures: self.failures.clone(),
            heartbeat_ms: self.heartbeat_ms,
        }
    }
}
