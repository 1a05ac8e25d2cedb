//! How much a user may do: a token bucket each, one kind for messages and one for conversations, as large as the
//! configuration or, for messages, the user's token says.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use doorbell_rpc::Caller;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_64;

use crate::Config;

/// Sizes of buckets at once. An issuer of tokens has a few kinds of users; who comes with one size more has the
/// configured one until a size is free.
const SIZES_MAX: usize = 16;

/// Buckets by a hash of the user: 36 bytes each. Two users who share a hash share a bucket, which happens to nobody.
type Buckets<C> = RateLimiter<u64, DashMapStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What all users may do, each.
pub struct Throttles {
    /// What appends to a log.
    pub messages: Throttle,
    /// What makes conversations, and adds and removes members.
    pub conversations: Throttle,
}

impl Throttles {
    /// Makes the throttles of the configuration; they run on the monotonic clock.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let users_max = config.throttle_users_max.get();
        let throttle = |burst, period| Throttle::new(Allowance { burst, period, users_max });
        Self {
            messages: throttle(config.throttle_messages, config.throttle_period),
            conversations: throttle(config.throttle_conversations, config.throttle_conversations_period),
        }
    }

    /// Forgets full buckets; answers how many are left.
    pub fn tidy(&self) -> usize {
        self.messages.tidy() + self.conversations.tidy()
    }
}

/// What a throttle lets through.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// In a row; 0 turns the throttle off.
    pub burst: u32,
    /// How long it takes until as many are let through again.
    pub period: Duration,
    /// Users whom the throttle knows at a time at most.
    pub users_max: usize,
}

/// How much of one kind a user may do.
pub struct Throttle<C: Clock = DefaultClock> {
    /// `None` where it is turned off, for everybody.
    burst: Option<NonZeroU32>,
    /// The buckets by their size. A user with tokens of two sizes has two buckets: what one token grants is no reason
    /// to refill the other's.
    sizes: RwLock<HashMap<NonZeroU32, Arc<Buckets<C>>>>,
    clock: C,
    users_max: usize,
    period: Duration,
}

impl Throttle {
    /// Makes a throttle that runs on the monotonic clock.
    #[must_use]
    pub fn new(allowance: Allowance) -> Self {
        Self::with_clock(allowance, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Throttle<C> {
    fn with_clock(allowance: Allowance, clock: C) -> Self {
        let Allowance { burst, period, users_max } = allowance;
        Self { burst: NonZeroU32::new(burst), sizes: RwLock::default(), clock, users_max, period }
    }

    /// Takes one of what the caller may do, or says when the next one is let through.
    ///
    /// # Errors
    /// The time to wait. A user who is not known yet also waits while there is no room for another bucket.
    pub fn admit(&self, caller: &Caller) -> Result<(), Duration> {
        let Some(burst) = self.burst else { return Ok(()) };
        if self.users() >= self.users_max && self.tidy() >= self.users_max {
            return Err(self.period);
        }
        let buckets = self.buckets(caller.throttle.unwrap_or(burst), burst);
        let wait = |until: governor::NotUntil<C::Instant>| until.wait_time_from(self.clock.now());
        buckets.check_key(&xxh3_64(caller.user.as_str().as_bytes())).map_err(wait)
    }

    /// Forgets full buckets, and sizes that nobody uses; answers how many buckets are left.
    pub fn tidy(&self) -> usize {
        self.sizes.write().retain(|_, buckets| {
            buckets.retain_recent();
            buckets.shrink_to_fit();
            // Who holds a size is about to take from it: forgotten, it would not be counted.
            !buckets.is_empty() || Arc::strong_count(buckets) > 1
        });
        self.users()
    }

    fn users(&self) -> usize {
        self.sizes.read().values().map(|buckets| buckets.len()).sum()
    }

    fn buckets(&self, asked: NonZeroU32, configured: NonZeroU32) -> Arc<Buckets<C>> {
        if let Some(buckets) = self.sizes.read().get(&asked) {
            return Arc::clone(buckets);
        }
        let mut sizes = self.sizes.write();
        let size = if sizes.len() < SIZES_MAX { asked } else { configured };
        let made =
            || Arc::new(RateLimiter::new(self.quota(size), DashMapStateStore::default(), self.clock.clone()));
        Arc::clone(sizes.entry(size).or_insert_with(made))
    }

    fn quota(&self, messages: NonZeroU32) -> Quota {
        let period = (self.period / messages.get()).max(Duration::from_nanos(1));
        Quota::with_period(period).expect("longer than zero").allow_burst(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::UserId;
    use governor::clock::FakeRelativeClock;

    const TEN: Allowance = Allowance { burst: 10, period: Duration::from_secs(10), users_max: 1_000_000 };

    fn user(name: &str) -> Caller {
        UserId::new(name).unwrap().into()
    }

    fn granted(name: &str, messages: u32) -> Caller {
        Caller { throttle: NonZeroU32::new(messages), ..user(name) }
    }

    #[test]
    fn ten_go_through_at_once_and_then_one_a_second() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(TEN, clock.clone());
        let ada = user("ada");

        assert_eq!((0..15).filter(|_| throttle.admit(&ada).is_ok()).count(), 10);
        assert_eq!(throttle.admit(&ada), Err(Duration::from_secs(1)));
        assert!(throttle.admit(&user("bob")).is_ok(), "each user has a bucket of their own");

        clock.advance(Duration::from_secs(2));
        assert_eq!((0..5).filter(|_| throttle.admit(&ada).is_ok()).count(), 2);
    }

    #[test]
    fn zero_messages_turn_it_off() {
        let throttle = Throttle::new(Allowance { burst: 0, ..TEN });
        assert!((0..1_000).all(|_| throttle.admit(&user("ada")).is_ok()));
    }

    #[test]
    fn buckets_are_bounded_and_room_comes_back() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(Allowance { users_max: 3, ..TEN }, clock.clone());
        let admitted = |name: &str| throttle.admit(&user(name)).is_ok();

        assert_eq!(["a", "b", "c", "d"].map(admitted), [true, true, true, false]);

        clock.advance(Duration::from_secs(10));
        assert!(admitted("d"));
        assert_eq!(throttle.tidy(), 1);
    }

    #[test]
    fn a_token_may_name_more_or_fewer() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(TEN, clock.clone());
        let sent = |caller: &Caller| (0..200).filter(|_| throttle.admit(caller).is_ok()).count();

        assert_eq!(sent(&granted("bot", 100)), 100);
        assert_eq!(sent(&granted("guest", 2)), 2);
        assert_eq!(sent(&granted("ada", 10)), 10, "as many as the configured number");
        assert_eq!(sent(&user("ada")), 0, "which is the same bucket");

        clock.advance(Duration::from_secs(1));
        assert_eq!(sent(&granted("bot", 100)), 10);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(throttle.tidy(), 0);
        assert_eq!(throttle.sizes.read().len(), 0);
    }

    #[test]
    fn sizes_are_bounded_and_what_is_beyond_gets_the_configured_one() {
        let throttle = Throttle::with_clock(TEN, FakeRelativeClock::default());
        assert!(throttle.admit(&user("first")).is_ok());
        for messages in 1_000..1_100 {
            assert!(throttle.admit(&granted("bot", messages)).is_ok(), "{messages}");
            if throttle.sizes.read().len() == SIZES_MAX {
                break;
            }
        }
        let sent = (0..200).filter(|_| throttle.admit(&granted("late", 150)).is_ok()).count();
        assert_eq!(sent, 10);
        assert_eq!(throttle.sizes.read().len(), SIZES_MAX);
    }

    #[test]
    fn the_largest_number_is_no_fault() {
        let throttle = Throttle::with_clock(TEN, FakeRelativeClock::default());
        assert!((0..1_000).all(|_| throttle.admit(&granted("bot", u32::MAX)).is_ok()));
    }
}
