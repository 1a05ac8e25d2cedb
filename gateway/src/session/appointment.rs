//! A session's appointment with the sweep, which comes by when its rules must look at the clock.

use std::sync::atomic::Ordering;

use doorbell_protocol::Timestamp;

use super::event::Event;
use super::{Errands, Session, Setting};
use crate::sweep::AHEAD_SECONDS_MAX;

impl Session {
    /// Comes by with the sweep: answers what is to be done. Then it needs a new appointment.
    pub(crate) fn tick(&self, setting: &Setting) -> Errands {
        self.tell(Event::Tick { heard: self.heard(), wall: (setting.clock)() }, setting)
    }

    /// The second in which the sweep must come by.
    pub(crate) fn next_due(&self, wall: Timestamp, setting: &Setting) -> u64 {
        let at = self.at(setting);
        let due = self.core.lock().state.due(self.heard(), wall, &at);
        let now = at.now.second();
        due.second_after().clamp(now + 1, now + AHEAD_SECONDS_MAX)
    }

    /// Notes the present appointment with the sweep: an older one is void.
    pub(crate) fn set_due(&self, second: u64) {
        // Half a word, which is enough for 136 years of uptime.
        self.due.store(u32::try_from(second).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// The second of the session's present appointment with the sweep.
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed).into()
    }
}
