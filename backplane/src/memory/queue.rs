//! The memory back-end as a hint queue.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::UserId;

use super::Memory;
use crate::queue::QueueDepth;
use crate::{
    Claim, ClaimToken, Error, HintQueue, HintReport, Partition, Partitions, Settled, Settlement, UserHint,
};

#[async_trait]
impl HintQueue for Memory {
    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn hint(&self, hints: Vec<UserHint>) -> Result<HintReport, Error> {
        let mut report = HintReport::default();
        let fuller =
            self.for_each(hints, |hint| &hint.user, |state, _, hint, now| state.hint(hint, &mut report, now));
        for partition in fuller {
            self.bell.ring(partition);
        }
        let mut seen = HashSet::new();
        report.offline.retain(|user| seen.insert(user.clone()));
        Ok(report)
    }

    async fn claim(
        &self,
        partition: Partition,
        users_max: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, Error> {
        let now = self.now();
        let (claimed, more) = {
            let mut state = self.lock(partition);
            let claimed = state.claim(users_max, lease, &|| self.token(), now);
            (claimed, state.ready_count() > 0)
        };
        if more {
            self.bell.ring(partition);
        }
        for user in claimed.given_up {
            tracing::warn!(%user, %partition, "claims ended with their worker too often: news given up for a resync");
        }
        Ok(claimed.claims)
    }

    async fn settle(
        &self,
        partition: Partition,
        settlements: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Error> {
        let now = self.now();
        let (settled, fuller) = {
            let mut state = self.lock(partition);
            let ready_before = state.ready_count();
            let settled = settlements.iter().map(|one| state.settle(one, delay, now)).collect();
            (settled, state.ready_count() > ready_before)
        };
        if fuller {
            self.bell.ring(partition);
        }
        Ok(settled)
    }

    async fn release(
        &self,
        partition: Partition,
        claims: Vec<(UserId, ClaimToken)>,
        delay: Duration,
    ) -> Result<(), Error> {
        let now = self.now();
        let fuller = {
            let mut state = self.lock(partition);
            let ready_before = state.ready_count();
            for (user, token) in &claims {
                state.release(user, *token, delay, now);
            }
            state.ready_count() > ready_before
        };
        if fuller {
            self.bell.ring(partition);
        }
        Ok(())
    }

    async fn bell(&self) -> Partition {
        self.bell.wait().await
    }

    async fn depth(&self) -> Result<QueueDepth, Error> {
        let mut depth = QueueDepth::default();
        for partition in self.partitions.all() {
            let now = self.now();
            self.lock(partition).add_to(&mut depth, now);
        }
        Ok(depth)
    }
}
