//! The two clocks: the wall's, for what people read and tokens say, and a steady one, for leases and the queue.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorbell_protocol::{Clock, Timestamp};
use tokio::time::Instant;

/// The wall clock. It may jump.
pub fn wall() -> Clock {
    Arc::new(wall_now)
}

/// The wall's time at the start plus what has passed since: a jump of the wall clock ends no lease.
pub fn steady() -> Clock {
    let (started_at, start) = (wall_now(), Instant::now());
    Arc::new(move || started_at.plus(start.elapsed()))
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that is passed to all others")]
fn wall_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::default().plus(since)
}
