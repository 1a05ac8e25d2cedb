//! How many messages a user may send: a token bucket each.

use std::num::NonZeroU32;
use std::time::Duration;

use doorbell_protocol::UserId;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use xxhash_rust::xxh3::xxh3_64;

use crate::Config;

/// Buckets by a hash of the user: 36 bytes each. Two users who share a hash share a bucket, which happens to nobody.
type Buckets<C> = RateLimiter<u64, DashMapStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// How many messages a user may send.
pub struct Throttle<C: Clock = DefaultClock> {
    /// `None` where it is turned off.
    buckets: Option<Buckets<C>>,
    clock: C,
    users_max: usize,
    period: Duration,
}

impl Throttle {
    /// Makes the throttle of the configuration; it runs on the monotonic clock.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self::with_clock(config, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Throttle<C> {
    fn with_clock(config: &Config, clock: C) -> Self {
        let quota = NonZeroU32::new(config.throttle_messages).and_then(|burst| {
            Quota::with_period(config.throttle_period / burst.get()).map(|quota| quota.allow_burst(burst))
        });
        let buckets = quota.map(|quota| RateLimiter::new(quota, DashMapStateStore::default(), clock.clone()));
        let users_max = config.throttle_users_max.get();
        Self { buckets, clock, users_max, period: config.throttle_period }
    }

    /// Takes one message of the user's, or says when the next one is let through.
    ///
    /// # Errors
    /// The time to wait. A user who is not known yet also waits while there is no room for another bucket.
    pub fn admit(&self, user: &UserId) -> Result<(), Duration> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        if buckets.len() >= self.users_max {
            buckets.retain_recent();
            if buckets.len() >= self.users_max {
                return Err(self.period);
            }
        }
        let wait = |until: governor::NotUntil<C::Instant>| until.wait_time_from(self.clock.now());
        buckets.check_key(&xxh3_64(user.as_str().as_bytes())).map_err(wait)
    }

    /// Forgets full buckets; answers how many are left.
    pub fn tidy(&self) -> usize {
        let Some(buckets) = &self.buckets else { return 0 };
        buckets.retain_recent();
        buckets.shrink_to_fit();
        buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::num::NonZeroUsize;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn ten_go_through_at_once_and_then_one_a_second() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(&Config::default(), clock.clone());
        let ada = user("ada");

        assert_eq!((0..15).filter(|_| throttle.admit(&ada).is_ok()).count(), 10);
        assert_eq!(throttle.admit(&ada), Err(Duration::from_secs(1)));
        assert!(throttle.admit(&user("bob")).is_ok(), "each user has a bucket of their own");

        clock.advance(Duration::from_secs(2));
        assert_eq!((0..5).filter(|_| throttle.admit(&ada).is_ok()).count(), 2);
    }

    #[test]
    fn zero_messages_turn_it_off() {
        let throttle = Throttle::new(&Config { throttle_messages: 0, ..Config::default() });
        assert!((0..1_000).all(|_| throttle.admit(&user("ada")).is_ok()));
    }

    #[test]
    fn buckets_are_bounded_and_room_comes_back() {
        let clock = FakeRelativeClock::default();
        let config = Config { throttle_users_max: NonZeroUsize::new(3).unwrap(), ..Config::default() };
        let throttle = Throttle::with_clock(&config, clock.clone());
        let admitted = |name: &str| throttle.admit(&user(name)).is_ok();

        assert_eq!(["a", "b", "c", "d"].map(admitted), [true, true, true, false]);

        clock.advance(Duration::from_secs(10));
        assert!(admitted("d"));
        assert_eq!(throttle.tidy(), 1);
    }
}
