//! The buckets of one size: what is taken from them, how they stand, and how they come to stand as they did elsewhere.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

/// Buckets by a hash of the user: 36 bytes each. Two users who share a hash share a bucket, which happens to nobody.
pub(super) struct Size<C: Clock> {
    limiter: RateLimiter<u64, Shelf, C, NoOpMiddleware<C::Instant>>,
    shelf: Shelf,
    /// What the times on the shelf count from. The limiter looks at the clock itself, less than a microsecond later: a
    /// bucket seems full that much later than it is.
    start: C::Instant,
}

/// When each bucket is full, in the time since the limiter's start. The limiter has it, and is looked over the shoulder.
#[derive(Clone, Default)]
struct Shelf(Arc<DashMapStateStore<u64>>);

impl<C: Clock> Size<C> {
    pub(super) fn new(quota: Quota, clock: C) -> Self {
        let (shelf, start) = (Shelf::default(), clock.now());
        Self { limiter: RateLimiter::new(quota, shelf.clone(), clock), shelf, start }
    }

    /// Takes one from a user's bucket, or says how long to wait for it.
    pub(super) fn take(&self, user: u64) -> Result<(), Duration> {
        let wait = |until: governor::NotUntil<C::Instant>| until.wait_time_from(self.limiter.clock().now());
        self.limiter.check_key(&user).map_err(wait)
    }

    /// How long until a user's bucket is full.
    pub(super) fn full_in(&self, user: u64) -> Duration {
        let full_at =
            self.shelf.0.get(&user).and_then(|state| {
                state.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>).err()?
            });
        full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_sub(self.now()).into())
    }

    /// Brings a user's bucket to where it stood elsewhere; what was taken here already counts, where that is more.
    pub(super) fn restore(&self, user: u64, full_in: Duration) {
        let full_at = self.now() + full_in;
        let Ok(()) = self.shelf.measure_and_replace(&user, |here| {
            Ok::<_, Infallible>(((), here.map_or(full_at, |here| here.max(full_at))))
        });
    }

    /// Forgets full buckets.
    pub(super) fn tidy(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Buckets that are known.
    pub(super) fn users(&self) -> usize {
        self.limiter.len()
    }

    fn now(&self) -> Nanos {
        self.limiter.clock().now().duration_since(self.start)
    }
}

impl StateStore for Shelf {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, user: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(user, decide)
    }
}

impl ShrinkableKeyedStateStore<u64> for Shelf {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        ShrinkableKeyedStateStore::shrink_to_fit(&*self.0);
    }

    fn len(&self) -> usize {
        ShrinkableKeyedStateStore::len(&*self.0)
    }

    fn is_empty(&self) -> bool {
        ShrinkableKeyedStateStore::is_empty(&*self.0)
    }
}
