//! The task that owns a lane: it takes the lease, enters who waits and lets those leave who have gone, one turn after
//! the other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{Enter, Entered, Entry, Partition, Registry};
use doorbell_protocol::{Stamp, UserId};
use doorbell_rpc::{Way, sabotage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Lane, NotLeft, Waiting, within};
use crate::gateway::Gateway;
use crate::local::{SHARDS_PER_PARTITION, SessionsOfUser};
use crate::metrics::Answer;

/// After a failed call: doubled, with full jitter.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Short beside `welcome_timeout`, so that a registry that is back serves those who still wait.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How a turn of a lane went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing is left to do.
    Done,
    /// The lease had ended: take another, now.
    Lapsed,
    /// The registry did not do it: later.
    Failed,
}

/// The task that owns a lane.
pub(in crate::entries) struct LaneTask {
    gateway: Arc<Gateway>,
    partition: Partition,
    /// Everybody must be entered again, since a lease was lost.
    reenters: bool,
}

impl LaneTask {
    pub(in crate::entries) fn new(gateway: Arc<Gateway>, partition: Partition) -> Self {
        Self { gateway, partition, reenters: false }
    }

    /// Runs until `stop`. What waits then is sent by the drain.
    pub(in crate::entries) async fn run(mut self, stop: CancellationToken) {
        stop.clone().run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        let mut backoff = BACKOFF_FIRST;
        if self.canary().is_some() {
            self.lane().wake();
        }
        loop {
            tokio::select! {
                () = self.lane().bell.notified() => {}
                () = until(self.lane().next_look()) => {}
            }
            tokio::time::sleep(self.gateway.setting().rules.config.enter_batch_delay).await;
            loop {
                match self.turn().await {
                    Turn::Done => break,
                    // The next lease is taken at once, but not in a circle.
                    Turn::Lapsed if backoff == BACKOFF_FIRST => {}
                    Turn::Lapsed | Turn::Failed => {
                        self.lane().entering(Waiting::forget_ended);
                        tokio::time::sleep(backoff.mul_f64(rand::random::<f64>())).await;
                    }
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
            backoff = BACKOFF_FIRST;
        }
    }

    fn lane(&self) -> &Lane {
        self.gateway.entries().lane_of(self.partition)
    }

    fn registry(&self) -> &dyn Registry {
        &*self.gateway.entries().registry
    }

    async fn turn(&mut self) -> Turn {
        let (lapsed, has_lease, has_work) = {
            let mut state = self.lane().state.lock();
            if state.lapsed {
                state.lingering.miss_all();
            }
            (state.lapsed, state.lease.is_some(), state.entering.len() > 0)
        };
        self.reenters |= lapsed;
        if lapsed {
            self.gateway.canaries().lapsed(self.partition);
        }
        let has_work = has_work || self.canary().is_some();
        if (lapsed || (!has_lease && (has_work || self.reenters))) && !self.take_lease().await {
            return Turn::Failed;
        }
        if self.reenters {
            match self.reenter_all().await {
                Turn::Done => self.reenters = false,
                turn => return turn,
            }
        }
        match self.enter_waiting().await {
            Turn::Done => {}
            turn => return turn,
        }
        self.lane().end_graces_over();
        match self.lane().leave_batch(&self.gateway).await {
            // The last of all: nothing waits for it, and what leaves may make the room that it needs.
            Ok(()) => self.enter_canary().await,
            Err(NotLeft) => Turn::Failed,
        }
    }

    async fn take_lease(&self) -> bool {
        let entries = self.gateway.entries();
        let ttl = self.gateway.setting().rules.config.lease_ttl;
        let call = self.registry().take_lease(&entries.gateway, self.partition, ttl);
        let Some(lease) = within(&self.gateway, call).await else { return false };
        tracing::debug!(partition = %self.partition, epoch = lease.epoch.0, "lease taken");
        self.lane().set_lease(lease);
        true
    }

    /// Enters every user of the partition again, then has each followed anew and hinted `resync`: only after the
    /// confirmation, for a change that comes after its pull and before its entry would be missed (GW-6).
    async fn reenter_all(&self) -> Turn {
        if sabotage::is("no-reenter") {
            return Turn::Done;
        }
        self.gateway.setting().metrics.partition_lapsed();
        let max = self.gateway.setting().rules.config.enter_batch_max.get();
        for shard in 0..SHARDS_PER_PARTITION {
            for users in self.gateway.local().users(self.partition, shard).chunks(max) {
                match self.enter(users.iter()).await {
                    Ok(confirmed) => self.tell(confirmed, Gateway::confirmed_again).await,
                    Err(turn) => return turn,
                }
            }
        }
        tracing::info!(partition = %self.partition, "all sessions registered again");
        Turn::Done
    }

    /// Enters those who wait by now. Whoever comes meanwhile is for the next turn: while many come all the time, a turn would
    /// not end, and nobody leave.
    async fn enter_waiting(&self) -> Turn {
        let max = self.gateway.setting().rules.config.enter_batch_max.get();
        let mut left = self.lane().entering(|waiting| waiting.len());
        loop {
            let batch = self.lane().entering(|waiting| waiting.take(max.min(left)));
            if batch.is_empty() {
                return Turn::Done;
            }
            left -= batch.len();
            let users: HashSet<_> = batch
                .iter()
                .filter_map(|session| Some(session.upgrade()?.identity()?.user.clone()))
                .collect();
            match self.enter(users.iter()).await {
                Ok(confirmed) => self.tell(confirmed, Gateway::confirmed).await,
                Err(turn) => {
                    self.lane().entering(|waiting| waiting.put_back(batch));
                    return turn;
                }
            }
        }
    }

    /// Enters users, each with a fresh stamp; answers the sessions that this confirms.
    async fn enter<'u>(&self, users: impl Iterator<Item = &'u UserId>) -> Result<Vec<SessionsOfUser>, Turn> {
        let entries = self.gateway.entries();
        let epoch = self.lane().epoch();
        let (mut enters, mut entered, mut confirmed) = (Vec::new(), Vec::new(), Vec::new());
        for user in users {
            let next = || Stamp { epoch, generation: entries.next_generation() };
            // Whoever has gone meanwhile is not entered.
            let Some((stamp, sessions)) = self.gateway.local().stamp(user, next) else { continue };
            let entry = Entry { gateway: entries.gateway.clone(), stamp };
            enters.push(Enter { user: user.clone(), entry });
            entered.push(user);
            confirmed.push(sessions);
        }
        if enters.is_empty() {
            return Ok(confirmed);
        }
        let metrics = &self.gateway.setting().metrics;
        let count = enters.len();
        let Some(answers) = within(&self.gateway, self.registry().enter(enters)).await else {
            metrics.entered(Answer::Failed, count);
            return Err(Turn::Failed);
        };
        if answers.len() != count || answers.contains(&Entered::LeaseLapsed) {
            metrics.entered(Answer::Lapsed, count);
            self.lane().lapse(epoch);
            return Err(Turn::Lapsed);
        }
        metrics.entered(Answer::Done, count);
        entered.into_iter().for_each(|user| self.note_came(user));
        Ok(confirmed)
    }

    /// The partition's canary, where it is to be entered.
    fn canary(&self) -> Option<UserId> {
        self.gateway.canaries().waiting(self.partition)
    }

    /// Enters the canary, after the users and in none of their counts.
    async fn enter_canary(&self) -> Turn {
        let Some(user) = self.canary() else { return Turn::Done };
        let entries = self.gateway.entries();
        let stamp = Stamp { epoch: self.lane().epoch(), generation: entries.next_generation() };
        let enter = Enter { user, entry: Entry { gateway: entries.gateway.clone(), stamp } };
        match within(&self.gateway, self.registry().enter(vec![enter])).await.as_deref() {
            Some([Entered::Registered]) => {
                self.gateway.canaries().entered(self.partition, stamp);
                Turn::Done
            }
            Some([Entered::LeaseLapsed]) => {
                self.lane().lapse(stamp.epoch);
                Turn::Lapsed
            }
            // It costs nobody their entry that a canary has none.
            _ => Turn::Failed,
        }
    }

    /// A further session is no news; an entry that had been gone with its lease is.
    fn note_came(&self, user: &UserId) {
        let first = self.gateway.local().confirm(user) && self.lane().came(user);
        if first || self.reenters {
            self.gateway.presence().note(user, Way::Came);
        }
    }

    async fn tell(&self, confirmed: Vec<SessionsOfUser>, tell: impl Fn(&Gateway, &SessionsOfUser)) {
        for sessions in confirmed {
            tell(&self.gateway, &sessions);
            tokio::task::consume_budget().await;
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
