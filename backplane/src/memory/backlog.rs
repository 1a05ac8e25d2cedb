//! One partition's queue in memory, without clock or lock: who is ready, claimed or delayed, in which order.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use doorbell_protocol::{DirtyMap, Timestamp, UserId};

use crate::queue::ages::Ages;
use crate::queue::entry::{Acked, Hinted, LeaseEnded, PutBack, Untold, UserState};
use crate::queue::{ClaimToken, News, QueueDepth};

/// A map that was given up, for an operator to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose it was. They were told `resync` instead.
    pub user: UserId,
    /// What they were not told in detail.
    pub dirty: DirtyMap,
    /// When it was given up.
    pub at: Timestamp,
}

/// The users of one partition who have news.
///
/// Each user but an idle one is in `users` and in exactly one of `ready`, `leases` and `delays`.
#[derive(Debug)]
pub(super) struct Backlog {
    users: HashMap<UserId, UserState>,
    /// Queued users, in the order in which they became ready.
    ready: VecDeque<UserId>,
    /// Claimed users, by the end of their claim's lease.
    leases: BTreeSet<(Timestamp, UserId)>,
    /// Delayed users, by the end of their delay.
    delays: BTreeSet<(Timestamp, UserId)>,
    ages: Ages,
    /// The last maps that were given up, at most `dead_letters_max` of them, the oldest first.
    dead_letters: VecDeque<DeadLetter>,
    dead_letters_max: usize,
    dead_letters_count: u64,
    expiries_count: u64,
}

impl Backlog {
    pub(super) fn new(dead_letters_max: usize) -> Self {
        Self {
            users: HashMap::new(),
            ready: VecDeque::new(),
            leases: BTreeSet::new(),
            delays: BTreeSet::new(),
            ages: Ages::default(),
            dead_letters: VecDeque::new(),
            dead_letters_max,
            dead_letters_count: 0,
            expiries_count: 0,
        }
    }

    pub(super) fn hint(&mut self, user: UserId, news: News, now: Timestamp) -> Hinted {
        if let Some(state) = self.users.get_mut(&user) {
            return state.hint(news, now);
        }
        let mut state = UserState::Idle;
        let hinted = state.hint(news, now);
        self.ages.add(now);
        self.users.insert(user.clone(), state);
        self.ready.push_back(user);
        hinted
    }

    /// Ends up to `users_max` leases that are over, soonest first; users become ready in that order. Answers whose
    /// map was given up.
    pub(super) fn end_leases(&mut self, users_max: usize, now: Timestamp) -> Vec<UserId> {
        let mut given_up = Vec::new();
        for _ in 0..users_max {
            let Some(user) = pop_over(&mut self.leases, now) else { break };
            let ended = self.state(&user).end_lease(now).expect("a user among the leases is claimed");
            self.expiries_count += 1;
            if let LeaseEnded::GivenUp(dirty) = ended {
                self.bury(DeadLetter { user: user.clone(), dirty, at: now });
                given_up.push(user.clone());
            }
            self.ready.push_back(user);
        }
        given_up
    }

    /// Ends up to `users_max` delays that are over, soonest first; users become ready in that order.
    pub(super) fn end_delays(&mut self, users_max: usize, now: Timestamp) {
        for _ in 0..users_max {
            let Some(user) = pop_over(&mut self.delays, now) else { return };
            self.state(&user).end_delay(now).expect("a user among the delays is delayed");
            self.ready.push_back(user);
        }
    }

    /// Claims the user who has been ready for longest.
    pub(super) fn claim(&mut self, token: ClaimToken, until: Timestamp) -> Option<(UserId, Untold)> {
        let user = self.ready.pop_front()?;
        let untold = self.state(&user).claim(token, until).expect("a user in the ready list is queued");
        self.leases.insert((until, user.clone()));
        Some((user, untold))
    }

    /// Whether `token` is that of a live claim of the user.
    pub(super) fn is_claimed(&self, user: &UserId, token: ClaimToken) -> bool {
        self.users.get(user).is_some_and(|state| state.lease_of(token).is_some())
    }

    pub(super) fn ack(&mut self, user: &UserId, token: ClaimToken) -> Option<Acked> {
        let since = self.leave_claim(user, token)?;
        self.ages.remove(since);
        let acked = self.state(user).ack(token)?;
        match acked {
            Acked::Idle => {
                self.users.remove(user);
            }
            Acked::Requeued => {
                let fresh = self.state(user).since().expect("a queued user has news");
                self.ages.add(fresh);
                self.ready.push_back(user.clone());
            }
        }
        Some(acked)
    }

    pub(super) fn delay(&mut self, user: &UserId, token: ClaimToken, delay: Duration, now: Timestamp) {
        if self.leave_claim(user, token).is_some() {
            let put_back = self.state(user).delay(token, now.plus(delay), now);
            self.wait(user, put_back);
        }
    }

    pub(super) fn release(&mut self, user: &UserId, token: ClaimToken, delay: Duration, now: Timestamp) {
        if self.leave_claim(user, token).is_some() {
            let put_back = self.state(user).release(token, now.plus(delay), now);
            self.wait(user, put_back);
        }
    }

    pub(super) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// Adds this partition to the picture.
    pub(super) fn add_to(&self, depth: &mut QueueDepth, now: Timestamp) {
        depth.ready += self.ready.len() as u64;
        depth.claimed += self.leases.len() as u64;
        depth.delayed += self.delays.len() as u64;
        depth.expiries += self.expiries_count;
        depth.dead_letters += self.dead_letters_count;
        let oldest = self.ages.oldest().map_or(Duration::ZERO, |since| now.since(since));
        depth.oldest = depth.oldest.max(oldest);
    }

    pub(super) fn user(&self, user: &UserId) -> UserState {
        self.users.get(user).cloned().unwrap_or_default()
    }

    pub(super) fn dead_letters(&self) -> impl Iterator<Item = &DeadLetter> {
        self.dead_letters.iter()
    }

    /// Takes a user with a live claim out of the leases, and answers since when they wait.
    fn leave_claim(&mut self, user: &UserId, token: ClaimToken) -> Option<Timestamp> {
        let state = self.users.get(user)?;
        let until = state.lease_of(token)?;
        let since = state.since()?;
        self.leases.remove(&(until, user.clone()));
        Some(since)
    }

    fn wait(&mut self, user: &UserId, put_back: Option<PutBack>) {
        match put_back.expect("the claim was live a moment ago") {
            PutBack::Queued => self.ready.push_back(user.clone()),
            PutBack::Delayed(until) => {
                self.delays.insert((until, user.clone()));
            }
        }
    }

    fn bury(&mut self, letter: DeadLetter) {
        self.dead_letters_count += 1;
        self.dead_letters.push_back(letter);
        if self.dead_letters.len() > self.dead_letters_max {
            self.dead_letters.pop_front();
        }
    }

    fn state(&mut self, user: &UserId) -> &mut UserState {
        self.users.get_mut(user).expect("who is ready, claimed or delayed has a state")
    }

    /// How many users are not idle: what must go back to nothing.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.users.len()
    }
}

/// Takes out the first whose time is over.
fn pop_over(ends: &mut BTreeSet<(Timestamp, UserId)>, now: Timestamp) -> Option<UserId> {
    ends.first().filter(|(until, _)| *until <= now)?;
    ends.pop_first().map(|(_, user)| user)
}
