//! One partition in memory: what the queue and the registry do in one operation. No clock, no lock.

use std::time::Duration;

use doorbell_protocol::{Epoch, GatewayId, Timestamp, UserId};

use super::backlog::{Backlog, DeadLetter};
use super::directory::Directory;
use crate::queue::entry::{Acked, Hinted, UserState};
use crate::queue::{Claim, ClaimToken, HintReport, QueueDepth, Settled, Settlement, UserHint};
use crate::registry::lease::Renewal;
use crate::registry::{Enter, Entered, Entry};

/// What a claim call did.
#[derive(Debug)]
pub struct Claimed {
    /// The users claimed.
    pub claims: Vec<Claim>,
    /// Whose map was given up on the way: each is queued with `resync`.
    pub given_up: Vec<UserId>,
}

/// Everything that is kept for one partition's users.
#[derive(Debug)]
pub struct PartitionState {
    /// The latest time seen. Time that went back would revive leases, so it stands still instead.
    now: Timestamp,
    backlog: Backlog,
    directory: Directory,
}

impl PartitionState {
    /// An empty partition that remembers the last `dead_letters_max` maps it gave up.
    #[must_use]
    pub fn new(dead_letters_max: usize) -> Self {
        Self {
            now: Timestamp::default(),
            backlog: Backlog::new(dead_letters_max),
            directory: Directory::default(),
        }
    }

    /// Takes one piece of news and counts it. A user without any entry is offline: nothing is stored, not even
    /// beside news that still wait from the time of an entry.
    pub fn hint(&mut self, hint: UserHint, report: &mut HintReport, now: Timestamp) {
        let now = self.tick(now);
        if self.directory.entries(&hint.user).is_empty() {
            report.offline.push(hint.user);
            return;
        }
        match self.backlog.hint(hint.user, hint.news, now) {
            Hinted::Queued => report.queued += 1,
            Hinted::Merged => report.merged += 1,
        }
    }

    /// Claims up to `users_max` users for `lease`, after ending at most as many leases, then delays, that are over:
    /// so a call costs no more than its size, however many ended at once.
    pub fn claim(
        &mut self,
        users_max: usize,
        lease: Duration,
        tokens: &dyn Fn() -> ClaimToken,
        now: Timestamp,
    ) -> Claimed {
        let now = self.tick(now);
        let given_up = self.backlog.end_leases(users_max, now);
        self.backlog.end_delays(users_max, now);
        let mut claims = Vec::with_capacity(users_max.min(self.backlog.ready_count()));
        while claims.len() < users_max {
            let token = tokens();
            let Some((user, untold)) = self.backlog.claim(token, now.plus(lease)) else { break };
            let entries = self.directory.entries(&user).to_vec();
            claims.push(Claim { user, token, dirty: untold.dirty, entries, since: untold.since });
        }
        Claimed { claims, given_up }
    }

    /// Settles one claim. Without a live claim nothing changes, the entries named absent included: the worker that
    /// has the user now asks again.
    pub fn settle(&mut self, settlement: &Settlement, delay: Duration, now: Timestamp) -> Settled {
        let now = self.tick(now);
        let Settlement { user, token, absent, unreachable } = settlement;
        if !self.backlog.is_claimed(user, *token) {
            return Settled::Stale;
        }
        for (gateway, stamp) in absent {
            self.directory.remove(user, gateway, *stamp);
        }
        if unreachable.iter().any(|entry| self.directory.is_live(entry, now)) {
            self.backlog.delay(user, *token, delay, now);
            return Settled::Delayed;
        }
        let acked = self.backlog.ack(user, *token).expect("the claim is live");
        let online = self.directory.is_online(user, now);
        Settled::Acked { requeued: acked == Acked::Requeued, online }
    }

    /// Gives one claim back unsettled, if it is live.
    pub fn release(&mut self, user: &UserId, token: ClaimToken, delay: Duration, now: Timestamp) {
        let now = self.tick(now);
        self.backlog.release(user, token, delay, now);
    }

    /// How many users stand in the ready list.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.backlog.ready_count()
    }

    /// Adds this partition to the picture.
    pub fn add_to(&mut self, depth: &mut QueueDepth, now: Timestamp) {
        let now = self.tick(now);
        self.backlog.add_to(depth, now);
    }

    /// A user's state in the queue.
    #[must_use]
    pub fn user(&self, user: &UserId) -> UserState {
        self.backlog.user(user)
    }

    /// The last maps that were given up, the oldest first.
    pub fn dead_letters(&self) -> impl Iterator<Item = &DeadLetter> {
        self.backlog.dead_letters()
    }

    /// Takes a gateway's lease and answers its epoch; a lease it held before ends.
    pub fn take_lease(&mut self, gateway: &GatewayId, ttl: Duration, now: Timestamp) -> Epoch {
        let now = self.tick(now);
        self.directory.take_lease(gateway, ttl, now)
    }

    /// Extends a gateway's lease to `ttl` from now, if it is live.
    pub fn renew_lease(
        &mut self,
        gateway: &GatewayId,
        epoch: Epoch,
        ttl: Duration,
        now: Timestamp,
    ) -> Renewal {
        let now = self.tick(now);
        self.directory.renew_lease(gateway, epoch, ttl, now)
    }

    /// Ends a gateway's lease, if it is of this epoch.
    pub fn end_lease(&mut self, gateway: &GatewayId, epoch: Epoch) {
        self.directory.end_lease(gateway, epoch);
    }

    /// Enters one user, if the lease is live under which the entry is made.
    pub fn enter(&mut self, enter: Enter, now: Timestamp) -> Entered {
        let now = self.tick(now);
        self.directory.enter(enter, now)
    }

    /// Removes one entry, if its stamp is not greater.
    pub fn leave(&mut self, leave: &Enter) {
        self.directory.remove(&leave.user, &leave.entry.gateway, leave.entry.stamp);
    }

    /// Every entry of a user, live or dead.
    #[must_use]
    pub fn entries(&self, user: &UserId) -> &[Entry] {
        self.directory.entries(user)
    }

    /// Whether a user has an entry under a live lease.
    pub fn is_online(&mut self, user: &UserId, now: Timestamp) -> bool {
        let now = self.tick(now);
        self.directory.is_online(user, now)
    }

    /// Up to `entries_max` entries whose lease has ended.
    pub fn lapsed(&mut self, entries_max: usize, now: Timestamp) -> Vec<Enter> {
        let now = self.tick(now);
        self.directory.lapsed(entries_max, now)
    }

    fn tick(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }
}

#[cfg(test)]
mod tests;
