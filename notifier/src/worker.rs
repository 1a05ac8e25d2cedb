//! When to claim: rung by the bell, or by itself once a look.

use std::collections::{HashMap, VecDeque};
use std::future::ready;
use std::sync::Arc;

use doorbell_backplane::Partition;
use doorbell_rpc::{Backoff, failpoint};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::turn::{Shared, Turn};

/// Claims users and starts a turn for each claim. It does not wait for a turn before the next claim, so that a slow
/// gateway holds up no others; the places in `in_hand` bound what runs at once (NT-5).
pub(crate) struct Worker {
    shared: Arc<Shared>,
    in_hand: Arc<Semaphore>,
    /// Which one of the workers: their looks are spread over the interval.
    index: usize,
    /// Partitions to claim from without being rung.
    due: VecDeque<Partition>,
    turns: JoinSet<()>,
    backoff: Backoff,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, in_hand: Arc<Semaphore>, index: usize) -> Self {
        let backoff = Backoff::new(shared.config.delay_min, shared.config.delay_max);
        Self { shared, in_hand, index, due: VecDeque::new(), turns: JoinSet::new(), backoff }
    }

    /// Runs until `stop`; then finishes its turns. Every arm waits on what may be dropped: a bell is not lost, and a
    /// claim is never under way here.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let interval = shared.config.look_interval;
        let workers = u32::try_from(shared.config.workers.get()).unwrap_or(u32::MAX);
        let offset = interval * u32::try_from(self.index).unwrap_or(0) / workers;
        let mut look = interval_at(Instant::now() + offset, interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(turn) = self.turns.join_next() => ended(turn)?,
                partition = shared.backplane.bell() => self.claim(partition, &stop).await,
                _ = look.tick() => shared.backplane.partitions().all().for_each(|p| self.look_at(p)),
                () = ready(()), if !self.due.is_empty() => {
                    if let Some(partition) = self.due.pop_front() {
                        self.claim(partition, &stop).await;
                    }
                }
            }
        }
        while let Some(turn) = self.turns.join_next().await {
            ended(turn)?;
        }
        Ok(())
    }

    fn look_at(&mut self, partition: Partition) {
        if !self.due.contains(&partition) {
            self.due.push_back(partition);
        }
    }

    /// Claims once from a partition. A full claim means that there may be more: the partition is due again, after
    /// the others.
    async fn claim(&mut self, partition: Partition, stop: &CancellationToken) {
        let config = &self.shared.config;
        let users_max = config.claim_users_max.get();
        let places = Arc::clone(&self.in_hand).acquire_many_owned(users_max);
        let Some(places) = stop.run_until_cancelled(places).await else { return };
        let mut places = places.expect("nobody closes the semaphore");
        // Counted from before the call, so that this end is never later than the back-end's.
        let lease_ends = Instant::now() + config.claim_lease;
        let claims =
            match self.shared.backplane.claim(partition, users_max as usize, config.claim_lease).await {
                Ok(claims) => claims,
                Err(_) => {
                    drop(places);
                    self.look_at(partition);
                    stop.run_until_cancelled(sleep(self.backoff.failed())).await;
                    return;
                }
            };
        self.backoff.succeeded();
        if claims.is_empty() {
            return;
        }
        failpoint::pass("notifier.claimed");
        if stop.is_cancelled() {
            let claims = claims.into_iter().map(|claim| (claim.user, claim.token)).collect();
            // Where this fails too, the lease ends (NT-1), and the failure is counted and logged already.
            let _ = self.shared.backplane.release(partition, claims).await;
            return;
        }
        if claims.len() >= users_max as usize {
            self.look_at(partition);
        }
        let taken = places.split(claims.len()).unwrap_or(places);
        let shared = Arc::clone(&self.shared);
        let turn = Turn {
            shared,
            partition,
            in_hand: taken,
            lease_ends,
            stop: stop.clone(),
            unrung: HashMap::new(),
        };
        self.turns.spawn(turn.run(claims));
    }
}

fn ended(turn: Result<(), JoinError>) -> Result<(), Error> {
    turn.map_err(Error::Panicked)
}
