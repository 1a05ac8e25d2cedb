//! One partition's leases and entries in memory, without clock or lock.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use doorbell_protocol::{Epoch, GatewayId, Stamp, Timestamp, UserId};

use crate::registry::entries::{Entries, Placed};
use crate::registry::lease::{HeldLease, Renewal};
use crate::registry::{Enter, Entered, Entry};

/// Who holds leases here, and which users are where.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The last epoch given to anybody.
    epoch: Option<Epoch>,
    /// Every gateway with a lease or with entries left.
    gateways: HashMap<GatewayId, Gateway>,
    /// Every user with an entry.
    users: HashMap<UserId, Entries>,
}

/// What one gateway has in a partition.
#[derive(Debug, Default)]
struct Gateway {
    lease: Option<HeldLease>,
    /// The index for the sweep: who was entered under which epoch.
    entries: BTreeMap<Epoch, HashSet<UserId>>,
}

impl Gateway {
    fn covers(&self, epoch: Epoch, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.covers(epoch, now))
    }

    fn forget(&mut self, user: &UserId, epoch: Epoch) {
        if let Some(users) = self.entries.get_mut(&epoch) {
            users.remove(user);
            if users.is_empty() {
                self.entries.remove(&epoch);
            }
        }
    }

    /// Whether nothing of it is worth keeping.
    fn is_gone(&self, now: Timestamp) -> bool {
        self.entries.is_empty() && !self.lease.is_some_and(|lease| self.covers(lease.epoch(), now))
    }
}

impl Directory {
    pub(super) fn take_lease(&mut self, gateway: &GatewayId, ttl: Duration, now: Timestamp) -> Epoch {
        let lease = HeldLease::take(self.epoch, ttl, now);
        self.epoch = Some(lease.epoch());
        // Taking a lease is rare and gateways are few: the place to forget those that are gone.
        self.gateways.retain(|_, gateway| !gateway.is_gone(now));
        self.gateways.entry(gateway.clone()).or_default().lease = Some(lease);
        lease.epoch()
    }

    pub(super) fn renew_lease(
        &mut self,
        gateway: &GatewayId,
        epoch: Epoch,
        ttl: Duration,
        now: Timestamp,
    ) -> Renewal {
        let lease = self.gateways.get_mut(gateway).and_then(|gateway| gateway.lease.as_mut());
        lease.map_or(Renewal::Lapsed, |lease| lease.renew(epoch, ttl, now))
    }

    pub(super) fn end_lease(&mut self, gateway: &GatewayId, epoch: Epoch) {
        if let Some(gateway) = self.gateways.get_mut(gateway) {
            gateway.lease.take_if(|lease| lease.epoch() == epoch);
        }
    }

    pub(super) fn enter(&mut self, enter: Enter, now: Timestamp) -> Entered {
        let Enter { user, entry } = enter;
        let gateway = self.gateways.get_mut(&entry.gateway);
        let Some(gateway) = gateway.filter(|gateway| gateway.covers(entry.stamp.epoch, now)) else {
            return Entered::LeaseLapsed;
        };
        let epoch = entry.stamp.epoch;
        match self.users.entry(user.clone()).or_default().place(entry) {
            Placed::Added => {
                gateway.entries.entry(epoch).or_default().insert(user);
            }
            Placed::Raised(before) if before.epoch < epoch => {
                gateway.forget(&user, before.epoch);
                gateway.entries.entry(epoch).or_default().insert(user);
            }
            Placed::Raised(_) | Placed::Kept => {}
        }
        Entered::Registered
    }

    /// Removes the user's entry at `gateway` if its stamp is not greater than `up_to`.
    pub(super) fn remove(&mut self, user: &UserId, gateway: &GatewayId, up_to: Stamp) {
        let Slot::Occupied(mut entries) = self.users.entry(user.clone()) else { return };
        let Some(stamp) = entries.get_mut().remove(gateway, up_to) else { return };
        if entries.get().is_empty() {
            entries.remove();
        }
        if let Some(gateway) = self.gateways.get_mut(gateway) {
            gateway.forget(user, stamp.epoch);
        }
    }

    /// Every entry of a user, live or dead.
    pub(super) fn entries(&self, user: &UserId) -> &[Entry] {
        self.users.get(user).map_or(&[], Entries::as_slice)
    }

    /// Whether the lease under which an entry was made is live.
    pub(super) fn is_live(&self, entry: &Entry, now: Timestamp) -> bool {
        let gateway = self.gateways.get(&entry.gateway);
        gateway.is_some_and(|gateway| gateway.covers(entry.stamp.epoch, now))
    }

    /// Whether any of a user's entries is live.
    pub(super) fn is_online(&self, user: &UserId, now: Timestamp) -> bool {
        self.entries(user).iter().any(|entry| self.is_live(entry, now))
    }

    /// Up to `entries_max` entries made under leases that have ended. It looks at each gateway, and at no live entry.
    pub(super) fn lapsed(&self, entries_max: usize, now: Timestamp) -> Vec<Enter> {
        let groups = self.gateways.iter().flat_map(|(name, gateway)| {
            let lapsed = gateway.entries.iter().filter(move |(epoch, _)| !gateway.covers(**epoch, now));
            lapsed.map(move |(_, users)| (name, users))
        });
        let entries = groups.flat_map(|(gateway, users)| {
            users.iter().filter_map(move |user| {
                let entry = self.entries(user).iter().find(|entry| entry.gateway == *gateway)?;
                Some(Enter { user: user.clone(), entry: entry.clone() })
            })
        });
        entries.take(entries_max).collect()
    }

    /// How many users have an entry, and how many gateways are known: what must go back to nothing.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.users.len(), self.gateways.len())
    }
}
