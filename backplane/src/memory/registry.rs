//! The memory back-end as a session registry.

use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{Epoch, GatewayId, UserId};

use super::Memory;
use crate::registry::lease::Renewal;
use crate::{Enter, Entered, Entry, Error, Lease, LeaseRenewal, Partition, Registry};

#[async_trait]
impl Registry for Memory {
    async fn take_lease(
        &self,
        gateway: &GatewayId,
        partition: Partition,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        let now = self.now();
        let epoch = self.lock(partition).take_lease(gateway, ttl, now);
        Ok(Lease { epoch, identity: self.identity(partition) })
    }

    async fn renew_leases(
        &self,
        gateway: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
        ttl: Duration,
    ) -> Result<Vec<LeaseRenewal>, Error> {
        let renew = |(partition, epoch)| {
            let now = self.now();
            match self.lock(partition).renew_lease(gateway, epoch, ttl, now) {
                Renewal::Extended => LeaseRenewal::Renewed(self.identity(partition)),
                Renewal::Lapsed => LeaseRenewal::Lapsed,
            }
        };
        Ok(leases.into_iter().map(renew).collect())
    }

    async fn end_leases(&self, gateway: &GatewayId, leases: Vec<(Partition, Epoch)>) -> Result<(), Error> {
        for (partition, epoch) in leases {
            self.lock(partition).end_lease(gateway, epoch);
        }
        Ok(())
    }

    async fn enter(&self, enters: Vec<Enter>) -> Result<Vec<Entered>, Error> {
        let mut answers = vec![Entered::LeaseLapsed; enters.len()];
        self.for_each(
            enters,
            |enter| &enter.user,
            |state, at, enter, now| answers[at] = state.enter(enter, now),
        );
        Ok(answers)
    }

    async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Error> {
        self.for_each(leaves, |leave| &leave.user, |state, _, leave, _| state.leave(&leave));
        Ok(())
    }

    async fn look_up(&self, users: Vec<UserId>) -> Result<Vec<Vec<Entry>>, Error> {
        let mut answers = vec![Vec::new(); users.len()];
        self.for_each(users, |user| user, |state, at, user, _| answers[at] = state.entries(&user).to_vec());
        Ok(answers)
    }

    async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Error> {
        let mut answers = vec![false; users.len()];
        self.for_each(users, |user| user, |state, at, user, now| answers[at] = state.is_online(&user, now));
        Ok(answers)
    }

    async fn lapsed(&self, partition: Partition, entries_max: usize) -> Result<Vec<Enter>, Error> {
        let now = self.now();
        Ok(self.lock(partition).lapsed(entries_max, now))
    }
}
