//! One claim, from delivery to settlement.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{Claim, Partition, Settled, Settlement};
use doorbell_protocol::{Clock, DirtyMap, UserId};
use doorbell_rpc::{Backoff, Delivered, Missed, OfflineHook, failpoint};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backplane::Backplane;
use crate::batch::{Route, group};
use crate::config::Config;
use crate::courier::Courier;
use crate::metrics::{Metrics, SettleOutcome, UserOutcome};
use crate::settle::{Answer, Done, Tally};

/// What all turns of a process share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) backplane: Backplane,
    pub(crate) courier: Courier,
    pub(crate) offline: Option<Arc<dyn OfflineHook>>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

/// Users claimed together. Each gateway's users are settled when it answers (NT-3), and `in_hand` gives back a
/// place for each.
pub(crate) struct Turn {
    pub(crate) shared: Arc<Shared>,
    pub(crate) partition: Partition,
    /// One place a claim.
    pub(crate) in_hand: OwnedSemaphorePermit,
    /// When the claims end by themselves.
    pub(crate) lease_ends: Instant,
    pub(crate) stop: CancellationToken,
    /// What each user was to be told who has not been rung so far; empty where no hook hears of it.
    pub(crate) unrung: HashMap<UserId, DirtyMap>,
}

impl Turn {
    /// Delivers and settles; done within the delivery's deadline and the backplane's answers, or the lease.
    pub(crate) async fn run(mut self, claims: Vec<Claim>) {
        let users = claims.len();
        if self.shared.offline.is_some() {
            let people = claims.iter().filter(|claim| !claim.user.is_canary());
            self.unrung = people.map(|claim| (claim.user.clone(), claim.dirty.clone())).collect();
        }
        self.shared.metrics.turn_began(users);
        let (held, batches) = group(claims);
        let mut tally = Tally::new(held);
        self.settle(tally.without_gateways()).await;
        let shared = Arc::clone(&self.shared);
        let calls: FuturesUnordered<_> =
            batches.into_iter().map(|batch| shared.courier.deliver(batch)).collect();
        // What is ready at once is settled at once: one call to the backplane for several gateways.
        let mut answers = calls.ready_chunks(users.max(1));
        while let Some(ready) = answers.next().await {
            let mut done = Vec::new();
            for (route, answer) in ready {
                self.note(&tally, &route, &answer);
                done.extend(tally.answered(&route, answer));
            }
            failpoint::pass("notifier.answered");
            self.settle(done).await;
        }
    }

    /// Counts what became of each user at one gateway.
    fn note(&mut self, tally: &Tally, route: &Route, answer: &Answer) {
        let metrics = &self.shared.metrics;
        let Answer::Outcomes { outcomes, .. } = answer else {
            route.members.iter().for_each(|_| metrics.user(UserOutcome::NoAnswer));
            return;
        };
        let now = (self.shared.clock)();
        for ((index, _), outcome) in route.members.iter().zip(outcomes) {
            match outcome {
                Delivered::Sessions(sessions) if *sessions > 0 => {
                    metrics.user(UserOutcome::Rung);
                    if let Some(user) = tally.user(*index) {
                        self.unrung.remove(user);
                    }
                    if let Some(since) = tally.since(*index) {
                        metrics.hint_delivered(now.since(since));
                    }
                }
                Delivered::Sessions(_) | Delivered::Absent(_) => metrics.user(UserOutcome::Absent),
                Delivered::Later => metrics.user(UserOutcome::Later),
            }
        }
    }

    async fn settle(&mut self, done: Vec<Done>) {
        let mut by_delay: BTreeMap<Duration, Vec<Settlement>> = BTreeMap::new();
        for Done { settlement, delay } in done {
            by_delay.entry(delay).or_default().push(settlement);
        }
        for (delay, settlements) in by_delay {
            let users = settlements.len();
            self.settle_alike(settlements, delay).await;
            self.shared.metrics.let_go(users);
            drop(self.in_hand.split(users));
        }
    }

    /// Tells the hook of those who have no session left and were not rung.
    fn report(&mut self, settlements: &[Settlement], settled: &[Settled]) {
        let offline = settlements.iter().zip(settled).filter(|(_, settled)| is_offline(settled));
        self.miss(offline.map(|(settlement, _)| &settlement.user));
    }

    /// Reports these, unless they were rung or reported.
    fn miss<'u>(&mut self, users: impl Iterator<Item = &'u UserId>) {
        let Some(hook) = &self.shared.offline else { return };
        let missed = users.filter_map(|user| self.unrung.remove_entry(user));
        let missed: Vec<Missed> = missed.map(|(user, news)| Missed { user, news }).collect();
        if !missed.is_empty() {
            hook.missed(missed);
        }
    }

    /// A settlement whose answer was lost is stale when it is repeated, and says nothing any more: who was not rung is
    /// looked up. Without an answer they are not reported; they ask for what they missed when they come.
    async fn report_settled_before(&mut self, settlements: &[Settlement], settled: &[Settled]) {
        let stale = settlements.iter().zip(settled).filter(|(_, settled)| **settled == Settled::Stale);
        let users: Vec<UserId> = stale
            .map(|(settlement, _)| settlement.user.clone())
            .filter(|user| self.unrung.contains_key(user))
            .collect();
        if users.is_empty() {
            return;
        }
        let Ok(online) = self.shared.backplane.online(users.clone()).await else { return };
        self.miss(users.iter().zip(online).filter(|(_, online)| !online).map(|(user, _)| user));
    }

    /// Tries until the backplane answers. Past the lease it has nothing left to settle (NT-1); after a stop one try
    /// has to do.
    async fn settle_alike(&mut self, settlements: Vec<Settlement>, delay: Duration) {
        let config = &self.shared.config;
        let mut backoff = Backoff::new(config.delay_min, config.delay_max);
        let mut is_repeat = false;
        loop {
            match self.shared.backplane.settle(self.partition, settlements.clone(), delay).await {
                Ok(settled) => {
                    settled.iter().for_each(|settled| self.shared.metrics.settled(outcome_of(*settled)));
                    self.report(&settlements, &settled);
                    if is_repeat {
                        self.report_settled_before(&settlements, &settled).await;
                    }
                    return;
                }
                Err(_) if Instant::now() >= self.lease_ends => return,
                Err(_) => {
                    is_repeat = true;
                    let wait = tokio::time::sleep(backoff.failed());
                    if self.stop.run_until_cancelled(wait).await.is_none() {
                        return;
                    }
                }
            }
        }
    }
}

const fn is_offline(settled: &Settled) -> bool {
    matches!(settled, Settled::Acked { online: false, .. })
}

const fn outcome_of(settled: Settled) -> SettleOutcome {
    match settled {
        Settled::Acked { online: false, .. } => SettleOutcome::Offline,
        Settled::Acked { requeued: true, .. } => SettleOutcome::Requeued,
        Settled::Acked { .. } => SettleOutcome::Acked,
        Settled::Delayed => SettleOutcome::Delayed,
        Settled::Stale => SettleOutcome::Stale,
    }
}
