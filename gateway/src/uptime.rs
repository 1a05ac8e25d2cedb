//! The gateway's own clock: monotonic, from its start, so that a jump of the wall clock ends no session.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// A point of the gateway's own clock: microseconds since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Takes whole seconds since the start.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000)
    }

    /// Takes microseconds since the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the start, rounded up: what happens by then is due in that second of a sweep.
    #[must_use]
    pub const fn second_after(self) -> u64 {
        self.0.div_ceil(1_000_000)
    }

    /// Whole seconds since the start.
    #[must_use]
    pub const fn second(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This moment and `duration` more.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The time since `earlier`; zero where that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Tells the moment. Cheap to clone.
#[derive(Clone)]
pub struct Uptime(Arc<dyn Fn() -> Moment + Send + Sync>);

impl fmt::Debug for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uptime({:?})", self.now())
    }
}

impl Uptime {
    /// Starts now, by tokio's clock.
    #[must_use]
    pub fn start() -> Self {
        let start = Instant::now();
        Self::from_fn(move || Moment::default().plus(start.elapsed()))
    }

    /// A clock that somebody else moves: for tests.
    pub fn from_fn(now: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        (self.0)()
    }
}
