//! The clock that all processes of the tool share: the machine's monotonic one, so that a moment of one is a moment of all.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds since the machine was started. It is a version as well: below 2^53 for 285 years, and it only grows.
pub type Moment = u64;

/// Now.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000_000 + nanos / 1_000
}
