//! The queue's rules for one user, without clock, lock or storage.
//!
//! A user is idle, queued, claimed, claimed with newer news, or delayed; each state holds exactly what it needs, so
//! that a claim without a set-aside map, say, cannot be written down. A back-end keeps the ready list and the ends of
//! leases and delays; what a method answers says where the user belongs next.

use std::mem;

use doorbell_protocol::{DirtyMap, Timestamp};

use super::{ClaimToken, EXPIRIES_MAX, News};

/// What a user has not been told, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// The merged news; never empty.
    pub dirty: DirtyMap,
    /// When the oldest of them came in.
    pub since: Timestamp,
}

/// The state of one user in the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserState {
    /// Nothing to tell: not worth keeping.
    #[default]
    Idle,
    /// In the ready list.
    Queued {
        /// What to tell.
        untold: Untold,
        /// Claims that ended with their worker since the last settlement.
        expiries: u32,
    },
    /// In a worker's hands.
    Claimed {
        /// What the worker tells.
        aside: Untold,
        /// What proves the claim.
        token: ClaimToken,
        /// When the claim's lease ends.
        until: Timestamp,
        /// What came in since the claim.
        fresh: Option<Untold>,
        /// As in [`UserState::Queued`].
        expiries: u32,
    },
    /// Waiting before the next try.
    Delayed {
        /// What to tell.
        untold: Untold,
        /// When the user is ready again.
        until: Timestamp,
        /// As in [`UserState::Queued`].
        expiries: u32,
    },
}

/// What a piece of news did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hinted {
    /// An idle user is ready now: append them to the ready list.
    Queued,
    /// It lies with what the user has not been told; the user stays where they are.
    Merged,
}

/// What an ack did to a claimed user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// Newer news came meanwhile: append the user to the ready list.
    Requeued,
    /// All is told.
    Idle,
}

/// Where a user stands whose claim was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// Ready at once: append them to the ready list.
    Queued,
    /// Ready at this time.
    Delayed(Timestamp),
}

/// What the end of a claim's lease did. Either way the user goes to the ready list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEnded {
    /// The map was merged back.
    OfferedAgain,
    /// Too many workers ended with this map: it is given up, and the user is told `resync` instead, which loses
    /// nothing.
    GivenUp(DirtyMap),
}

impl Untold {
    fn new(news: News, now: Timestamp) -> Self {
        let mut untold = Self { dirty: DirtyMap::default(), since: now };
        untold.add(news);
        untold
    }

    fn add(&mut self, news: News) {
        match news {
            News::Hint(hint) => self.dirty.hint(hint),
            News::Resync => self.dirty.mark_resync(),
            News::Refollow => self.dirty.mark_refollow(),
        }
    }

    fn merge(mut self, newer: Option<Self>) -> Self {
        if let Some(newer) = newer {
            self.dirty.merge(newer.dirty);
            self.since = self.since.min(newer.since);
        }
        self
    }
}

impl UserState {
    /// Whether there is nothing to keep.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// When the lease ends of the claim made under `token`; `None` where that claim is not live.
    ///
    /// A lease that is over ends only by [`UserState::end_lease`]: until somebody else may be offered the user, a late
    /// settlement is as good as one in time.
    #[must_use]
    pub fn lease_of(&self, token: ClaimToken) -> Option<Timestamp> {
        match self {
            Self::Claimed { token: live, until, .. } if *live == token => Some(*until),
            _ => None,
        }
    }

    /// When the oldest news came in that the user has not been told, set aside or not.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Idle => None,
            Self::Queued { untold, .. } | Self::Delayed { untold, .. } => Some(untold.since),
            Self::Claimed { aside, fresh, .. } => {
                Some(fresh.as_ref().map_or(aside.since, |fresh| aside.since.min(fresh.since)))
            }
        }
    }

    /// Takes one piece of news: to the fresh map where the user is claimed, never to the one set aside.
    pub fn hint(&mut self, news: News, now: Timestamp) -> Hinted {
        match self {
            Self::Idle => {
                *self = Self::Queued { untold: Untold::new(news, now), expiries: 0 };
                return Hinted::Queued;
            }
            Self::Queued { untold, .. } | Self::Delayed { untold, .. } => untold.add(news),
            Self::Claimed { fresh: Some(fresh), .. } => fresh.add(news),
            Self::Claimed { fresh, .. } => *fresh = Some(Untold::new(news, now)),
        }
        Hinted::Merged
    }

    /// Sets the map of a queued user aside under `token` and answers what to tell; `None` where the user is not
    /// queued.
    pub fn claim(&mut self, token: ClaimToken, until: Timestamp) -> Option<Untold> {
        match mem::take(self) {
            Self::Queued { untold, expiries } => {
                let told = untold.clone();
                *self = Self::Claimed { aside: untold, token, until, fresh: None, expiries };
                Some(told)
            }
            other => self.stay(other),
        }
    }

    /// Drops what was set aside, and nothing else; `None` where `token` is not that of the live claim.
    pub fn ack(&mut self, token: ClaimToken) -> Option<Acked> {
        match mem::take(self) {
            Self::Claimed { token: live, fresh, .. } if live == token => match fresh {
                Some(untold) => {
                    *self = Self::Queued { untold, expiries: 0 };
                    Some(Acked::Requeued)
                }
                None => Some(Acked::Idle),
            },
            other => self.stay(other),
        }
    }

    /// Merges back what was set aside, because a gateway could not be reached, and waits until `until`. The worker
    /// lives, so its claim's expiries are forgotten. `None` where `token` is not that of the live claim.
    pub fn delay(&mut self, token: ClaimToken, until: Timestamp, now: Timestamp) -> Option<PutBack> {
        match mem::take(self) {
            Self::Claimed { aside, token: live, fresh, .. } if live == token => {
                Some(self.wait(aside.merge(fresh), until, 0, now))
            }
            other => self.stay(other),
        }
    }

    /// Merges back what was set aside, because the worker gives the claim up untried. `None` where `token` is not
    /// that of the live claim.
    pub fn release(&mut self, token: ClaimToken, until: Timestamp, now: Timestamp) -> Option<PutBack> {
        match mem::take(self) {
            Self::Claimed { aside, token: live, fresh, expiries, .. } if live == token => {
                Some(self.wait(aside.merge(fresh), until, expiries, now))
            }
            other => self.stay(other),
        }
    }

    /// Ends a claim whose lease is over; `None` where there is none. At the [`EXPIRIES_MAX`]th end in a row the map
    /// is given up for a `resync`.
    pub fn end_lease(&mut self, now: Timestamp) -> Option<LeaseEnded> {
        match mem::take(self) {
            Self::Claimed { aside, until, fresh, expiries, .. } if until <= now => {
                let expiries = expiries + 1;
                if expiries < EXPIRIES_MAX {
                    *self = Self::Queued { untold: aside.merge(fresh), expiries };
                    return Some(LeaseEnded::OfferedAgain);
                }
                let given_up = aside.dirty.clone();
                let mut untold = aside.merge(fresh);
                untold.add(News::Resync);
                *self = Self::Queued { untold, expiries: 0 };
                Some(LeaseEnded::GivenUp(given_up))
            }
            other => self.stay(other),
        }
    }

    /// Makes a user ready whose delay is over; `None` where there is none.
    pub fn end_delay(&mut self, now: Timestamp) -> Option<()> {
        match mem::take(self) {
            Self::Delayed { untold, until, expiries } if until <= now => {
                *self = Self::Queued { untold, expiries };
                Some(())
            }
            other => self.stay(other),
        }
    }

    fn wait(&mut self, untold: Untold, until: Timestamp, expiries: u32, now: Timestamp) -> PutBack {
        if until <= now {
            *self = Self::Queued { untold, expiries };
            return PutBack::Queued;
        }
        *self = Self::Delayed { untold, until, expiries };
        PutBack::Delayed(until)
    }

    /// The event does not apply: nothing changes.
    fn stay<T>(&mut self, state: Self) -> Option<T> {
        *self = state;
        None
    }
}

#[cfg(test)]
mod tests;
