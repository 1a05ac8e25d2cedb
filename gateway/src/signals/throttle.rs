//! How often a user may signal about one topic.

use std::num::NonZeroU32;
use std::time::Duration;

use doorbell_protocol::{TopicId, UserId};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use xxhash_rust::xxh3::Xxh3Default;

/// Pairs of user and topic that are remembered at a time at most, some 36 bytes each: a million users who are all
/// typing make half as many signals a second as there are pairs here, which is beyond what a gateway passes on.
const PAIRS_MAX: usize = 65_536;

/// By a hash of the pair. Two pairs that share one share a turn, which happens to nobody.
type Turns<C> = RateLimiter<u64, DashMapStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Why a signal has no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttled {
    /// The last one was too short a time ago: wait that long.
    Wait(Duration),
    /// There is no room to remember one more.
    Full,
}

/// One signal in a time, for each user and topic.
pub(super) struct Throttle<C: Clock = DefaultClock> {
    /// `None` where it is turned off.
    turns: Option<Turns<C>>,
    pairs_max: usize,
    clock: C,
}

impl Throttle {
    /// One signal each `interval`; zero turns it off.
    pub(super) fn new(interval: Duration) -> Self {
        Self::with_clock(interval, PAIRS_MAX, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Throttle<C> {
    fn with_clock(interval: Duration, pairs_max: usize, clock: C) -> Self {
        let quota = Quota::with_period(interval).map(|quota| quota.allow_burst(NonZeroU32::MIN));
        let turns = |quota| RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Self { turns: quota.map(turns), pairs_max, clock }
    }

    /// Takes the pair's turn.
    pub(super) fn pass(&self, user: &UserId, topic: &TopicId) -> Result<(), Throttled> {
        let Some(turns) = &self.turns else { return Ok(()) };
        if turns.len() >= self.pairs_max {
            return Err(Throttled::Full);
        }
        let wait = |until: governor::NotUntil<C::Instant>| until.wait_time_from(self.clock.now());
        turns.check_key(&pair(user, topic)).map_err(|until| Throttled::Wait(wait(until)))
    }

    /// Forgets pairs whose turn it has been for a while: the library keeps each for an interval more.
    pub(super) fn tidy(&self) {
        let Some(turns) = &self.turns else { return };
        if !turns.is_empty() {
            turns.retain_recent();
            turns.shrink_to_fit();
        }
    }
}

fn pair(user: &UserId, topic: &TopicId) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(user.as_str().as_bytes());
    // No name has this byte in it: the two parts cannot run into each other.
    hash.update(&[0]);
    hash.update(topic.as_str().as_bytes());
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn topic(name: &str) -> TopicId {
        TopicId::new(name).unwrap()
    }

    #[test]
    fn a_user_has_one_turn_a_topic_in_the_interval_and_who_waits_as_told_has_the_next() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(Duration::from_secs(2), 10, clock.clone());
        let (ada, bob, one, other) =
            (user("ada"), user("bob"), topic("conversation:a"), topic("conversation:b"));

        assert_eq!(throttle.pass(&ada, &one), Ok(()));
        assert_eq!(throttle.pass(&ada, &other), Ok(()));
        assert_eq!(throttle.pass(&bob, &one), Ok(()));
        clock.advance(Duration::from_millis(500));
        let refused = throttle.pass(&ada, &one);
        assert_eq!(refused, Err(Throttled::Wait(Duration::from_millis(1_500))));
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(throttle.pass(&ada, &one), Ok(()), "what was refused did not count");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(Duration::from_secs(2), 10, clock.clone());
        let ada = user("ada");
        for number in 0..10 {
            assert_eq!(throttle.pass(&ada, &topic(&format!("conversation:{number}"))), Ok(()));
        }

        assert_eq!(throttle.pass(&ada, &topic("conversation:one-more")), Err(Throttled::Full));
        clock.advance(Duration::from_secs(5));
        throttle.tidy();

        assert_eq!(throttle.turns.as_ref().map(RateLimiter::len), Some(0));
        assert_eq!(throttle.pass(&ada, &topic("conversation:one-more")), Ok(()));
    }

    #[test]
    fn an_interval_of_zero_turns_it_off() {
        let throttle = Throttle::new(Duration::ZERO);
        let (ada, topic) = (user("ada"), topic("conversation:a"));

        assert!((0..100).all(|_| throttle.pass(&ada, &topic).is_ok()));
    }
}
