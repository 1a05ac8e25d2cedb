//! How much a user may do: a token bucket each, one kind for messages and one for conversations, as large as the
//! configuration or, for messages, the user's token says.
//!
//! Whoever has the store open decides, in memory and at once. Where others stand by to take the store, how buckets stand is
//! kept for them ([`keeper`]).

mod keeper;
mod size;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{BucketId, BucketLevel};
use doorbell_rpc::Caller;
use governor::Quota;
use governor::clock::{Clock, DefaultClock};
use parking_lot::{Mutex, RwLock};
use xxhash_rust::xxh3::xxh3_64;

use crate::Config;
pub use keeper::Keeper;
use size::Size;

/// Sizes of buckets at once. An issuer of tokens has a few kinds of users; who comes with one size more has the
/// configured one until a size is free.
const SIZES_MAX: usize = 16;

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

    /// Has them note from which buckets was taken, for [`Throttles::taken`], which is then asked for again and again.
    #[must_use]
    pub fn noting(self) -> Self {
        Self { messages: self.messages.noting(), conversations: self.conversations.noting() }
    }

    /// Forgets full buckets; answers how many are left.
    pub fn tidy(&self) -> usize {
        self.messages.tidy() + self.conversations.tidy()
    }

    /// How the buckets stand from which was taken since the last question, but for those that are full again within so little
    /// time that nobody needs to know.
    pub fn taken(&self, little: Duration) -> Vec<BucketLevel> {
        let of = |kind: Kind| {
            let taken = self.of(kind).taken().into_iter();
            let level =
                move |(place, full_in)| BucketLevel { bucket: Place::written_as(kind, place), full_in };
            taken.map(level).filter(|level| level.full_in > little)
        };
        of(Kind::Messages).chain(of(Kind::Conversations)).collect()
    }

    /// Notes a bucket of [`Throttles::taken`] as if something more had been taken from it.
    pub fn note(&self, bucket: BucketId) {
        if let Some((kind, place)) = Place::read(bucket) {
            self.of(kind).note(place);
        }
    }

    /// Brings a bucket to where it stood when somebody else noted it. What this version knows no bucket for changes nothing.
    pub fn restore(&self, level: BucketLevel) {
        if let Some((kind, place)) = Place::read(level.bucket) {
            self.of(kind).restore(place, level.full_in);
        }
    }

    const fn of(&self, kind: Kind) -> &Throttle {
        match kind {
            Kind::Messages => &self.messages,
            Kind::Conversations => &self.conversations,
        }
    }
}

/// Which throttle. The numbers stand in what is kept: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Messages = 1,
    Conversations = 2,
}

/// Where a throttle has a bucket: its size, and whose it is, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    size: NonZeroU32,
    user: u64,
}

impl Place {
    /// From the greatest bit: the kind in 32 bits, the size in 32, the user in 64.
    fn written_as(kind: Kind, place: Self) -> BucketId {
        BucketId(((kind as u128) << 96) | (u128::from(place.size.get()) << 64) | u128::from(place.user))
    }

    /// Nothing where a later release wrote it.
    fn read(bucket: BucketId) -> Option<(Kind, Self)> {
        let kind = match bucket.0 >> 96 {
            1 => Kind::Messages,
            2 => Kind::Conversations,
            _ => return None,
        };
        let bytes = bucket.0.to_be_bytes();
        let (size, user) = (bytes[4..8].try_into().ok()?, bytes[8..].try_into().ok()?);
        let size = NonZeroU32::new(u32::from_be_bytes(size))?;
        Some((kind, Self { size, user: u64::from_be_bytes(user) }))
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
    sizes: RwLock<HashMap<NonZeroU32, Arc<Size<C>>>>,
    /// From which buckets was taken since that was last asked for, at most `users_max`: one more is not noted, and stands
    /// as it was noted before. `None` where nobody asks.
    taken: Option<Mutex<HashSet<Place>>>,
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
        let burst = NonZeroU32::new(burst);
        Self { burst, sizes: RwLock::default(), taken: None, clock, users_max, period }
    }

    fn noting(self) -> Self {
        Self { taken: Some(Mutex::default()), ..self }
    }

    /// Takes one of what the caller may do, or says when the next one is let through.
    ///
    /// # Errors
    /// The time to wait. A user who is not known yet also waits while there is no room for another bucket.
    pub fn admit(&self, caller: &Caller) -> Result<(), Duration> {
        let Some(burst) = self.burst else { return Ok(()) };
        if !self.has_room() {
            return Err(self.period);
        }
        let (size, buckets) = self.buckets(caller.throttle.unwrap_or(burst), burst);
        let user = xxh3_64(caller.user.as_str().as_bytes());
        buckets.take(user)?;
        // After it: who asks between the two hears of it the next time.
        self.note(Place { size, user });
        Ok(())
    }

    /// Forgets full buckets, and sizes that nobody uses; answers how many buckets are left.
    pub fn tidy(&self) -> usize {
        self.sizes.write().retain(|_, buckets| {
            buckets.tidy();
            // Who holds a size is about to take from it: forgotten, it would not be counted.
            buckets.users() > 0 || Arc::strong_count(buckets) > 1
        });
        self.users()
    }

    /// The buckets from which was taken since the last question, and how long each takes until it is full.
    fn taken(&self) -> Vec<(Place, Duration)> {
        let taken = self.taken.as_ref().map(|taken| std::mem::take(&mut *taken.lock())).unwrap_or_default();
        let sizes = self.sizes.read();
        let full_in = |place: Place| {
            let full_in = sizes.get(&place.size).map(|buckets| buckets.full_in(place.user));
            (place, full_in.unwrap_or_default())
        };
        taken.into_iter().map(full_in).collect()
    }

    fn note(&self, place: Place) {
        if let Some(taken) = &self.taken {
            let mut taken = taken.lock();
            if taken.len() < self.users_max {
                taken.insert(place);
            }
        }
    }

    /// Brings a bucket to where it stood elsewhere, as far as there is room for it. A bucket of a longer period than is
    /// configured now is as good as empty.
    fn restore(&self, place: Place, full_in: Duration) {
        let Some(burst) = self.burst else { return };
        if !self.has_room() {
            return;
        }
        let (size, buckets) = self.buckets(place.size, burst);
        if size == place.size {
            buckets.restore(place.user, full_in.min(self.period));
        }
    }

    fn has_room(&self) -> bool {
        self.users() < self.users_max || self.tidy() < self.users_max
    }

    fn users(&self) -> usize {
        self.sizes.read().values().map(|buckets| buckets.users()).sum()
    }

    /// The buckets of that size, or of the configured one where there are too many sizes; and which size it is.
    fn buckets(&self, asked: NonZeroU32, configured: NonZeroU32) -> (NonZeroU32, Arc<Size<C>>) {
        if let Some(buckets) = self.sizes.read().get(&asked) {
            return (asked, Arc::clone(buckets));
        }
        let mut sizes = self.sizes.write();
        let size = if sizes.len() < SIZES_MAX { asked } else { configured };
        let made = || Arc::new(Size::new(self.quota(size), self.clock.clone()));
        (size, Arc::clone(sizes.entry(size).or_insert_with(made)))
    }

    fn quota(&self, messages: NonZeroU32) -> Quota {
        let period = (self.period / messages.get()).max(Duration::from_nanos(1));
        Quota::with_period(period).expect("longer than zero").allow_burst(messages)
    }
}

#[cfg(test)]
mod tests;
