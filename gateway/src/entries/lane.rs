//! One partition's enters and leaves, gathered for some milliseconds and sent one call after the other.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorbell_backplane::{Enter, Entered, Entry, Lease, Partition, PartitionIdentity, Registry};
use doorbell_protocol::{Epoch, Stamp, UserId};
use doorbell_rpc::Way;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lingering::{Lingering, Return};
use super::waiting::Waiting;
use crate::gateway::Gateway;
use crate::local::{Left, SHARDS_PER_PARTITION, SessionsOfUser};
use crate::metrics::{Answer, GraceEnd, Metrics};
use crate::session::Session;

/// Leaves that wait at most; beyond it they are dropped, counted, and the entries go when a hint finds nobody here.
const LEAVES_MAX: usize = 65_536;
/// After a failed call: doubled, with full jitter.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Short beside `welcome_timeout`, so that a registry that is back serves those who still wait.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What others see of a partition's entries.
pub(super) struct Lane {
    /// The lease's epoch; 0 where none was taken yet. Written under the state's lock.
    epoch: AtomicU64,
    bell: Notify,
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Default)]
struct State {
    entering: Waiting,
    /// Users whose last session ended less than the grace ago: they may be back.
    lingering: Lingering,
    /// Until the registry has taken them.
    leaving: Vec<(UserId, Stamp)>,
    lease: Option<Lease>,
    /// A lease was lost, or its store was: everybody must be entered again under a new one.
    lapsed: bool,
}

impl Lane {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { epoch: AtomicU64::new(0), bell: Notify::new(), state: Mutex::default(), metrics }
    }

    pub(super) fn queue_enter(&self, session: &Arc<Session>) {
        self.entering(|waiting| waiting.push(session));
        self.bell.notify_one();
    }

    pub(super) fn wake(&self) {
        self.bell.notify_one();
    }

    /// Works on the queue of enters, and counts what that changes.
    fn entering<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        let mut state = self.state.lock();
        let before = state.entering.len();
        let answer = work(&mut state.entering);
        self.metrics.waiting_changed(before, state.entering.len());
        answer
    }

    /// Leaves after the grace, if the user is not back by then; at once where there is none.
    pub(super) fn linger(&self, user: UserId, left: Left, grace: Duration) {
        let mut state = self.state.lock();
        if grace.is_zero() {
            self.queue_leaves(&mut state, [(user, left.stamp)]);
        } else {
            let was_empty = state.lingering.next_look().is_none();
            let until = Instant::now() + grace;
            let cut = self.lingering(&mut state, |lingering| lingering.begin(user, left, until));
            if let Some(cut) = cut {
                self.metrics.presence.grace_ended(GraceEnd::Cut, 1);
                self.queue_leaves(&mut state, [cut]);
            } else if !was_empty {
                // The lane looks at the others before.
                return;
            }
        }
        drop(state);
        self.bell.notify_one();
    }

    /// A user has an entry for the first time since the last session before went; answers whether that is news.
    fn came(&self, user: &UserId) -> bool {
        let mut state = self.state.lock();
        let end = match self.lingering(&mut state, |lingering| lingering.take_back(user)) {
            None => return true,
            Some(Return::Unnoticed) => GraceEnd::Returned,
            Some(Return::Missed) => GraceEnd::Missed,
        };
        self.metrics.presence.grace_ended(end, 1);
        end == GraceEnd::Missed
    }

    /// The user's entry may go now, by what a notifier was answered.
    pub(super) fn miss(&self, user: &UserId) {
        self.state.lock().lingering.miss(user);
    }

    /// Lets everybody leave who lingers.
    pub(super) fn end_graces(&self) {
        let mut state = self.state.lock();
        let all = self.lingering(&mut state, Lingering::take_all);
        self.metrics.presence.grace_ended(GraceEnd::Over, all.len());
        self.queue_leaves(&mut state, all);
    }

    /// Lets those leave whose grace is over.
    fn end_graces_over(&self) {
        let mut state = self.state.lock();
        let over = self.lingering(&mut state, |lingering| lingering.over(Instant::now()));
        self.metrics.presence.grace_ended(GraceEnd::Over, over.len());
        self.queue_leaves(&mut state, over);
    }

    /// Works on those who linger, and counts what that changes.
    fn lingering<T>(&self, state: &mut State, work: impl FnOnce(&mut Lingering) -> T) -> T {
        let before = state.lingering.len();
        let answer = work(&mut state.lingering);
        self.metrics.presence.lingering_changed(before, state.lingering.len());
        answer
    }

    fn queue_leaves(&self, state: &mut State, leaves: impl IntoIterator<Item = (UserId, Stamp)>) {
        for leave in leaves {
            if state.leaving.len() < LEAVES_MAX {
                state.leaving.push(leave);
            } else {
                self.metrics.leave_dropped();
            }
        }
    }

    /// When the next grace is to be looked at.
    fn next_look(&self) -> Option<Instant> {
        self.state.lock().lingering.next_look()
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    /// The lease to renew.
    pub(super) fn lease(&self) -> Option<Lease> {
        let state = self.state.lock();
        state.lease.clone().filter(|_| !state.lapsed)
    }

    /// The lease of this epoch does not hold any more; a newer one is not touched.
    pub(super) fn lapse(&self, epoch: Epoch) -> bool {
        let mut state = self.state.lock();
        let lapses = !state.lapsed && state.lease.as_ref().is_some_and(|lease| lease.epoch == epoch);
        state.lapsed |= lapses;
        drop(state);
        self.bell.notify_one();
        lapses
    }

    /// Whether a renewal's answer shows another store than the one that gave the lease.
    pub(super) fn moved(&self, epoch: Epoch, identity: &PartitionIdentity) -> bool {
        let state = self.state.lock();
        state.lease.as_ref().is_some_and(|lease| lease.epoch == epoch && lease.identity != *identity)
    }

    /// Forgets the lease, so that nobody renews it.
    pub(super) fn drop_lease(&self) -> Option<Epoch> {
        let mut state = self.state.lock();
        state.lapsed = false;
        state.lease.take().map(|lease| lease.epoch)
    }

    fn set_lease(&self, lease: Lease) {
        let mut state = self.state.lock();
        self.epoch.store(lease.epoch.0, Ordering::SeqCst);
        state.lease = Some(lease);
        state.lapsed = false;
    }

    /// Sends the leaves that wait, and notes who is gone by that. What fails waits on, and so does what is on its way: the
    /// drain sends it once more rather than miss it. A leave goes by its stamp, so that twice is as good as once.
    ///
    /// *Cancel safety*: nothing that waits is forgotten.
    pub(super) async fn leave_batch(&self, gateway: &Gateway) -> Result<(), NotLeft> {
        let leaving = self.state.lock().leaving.clone();
        let name = &gateway.entries().gateway;
        let max = gateway.setting().rules.config.enter_batch_max.get();
        for chunk in leaving.chunks(max) {
            let leaves = chunk
                .iter()
                .map(|(user, stamp)| Enter {
                    user: user.clone(),
                    entry: Entry { gateway: name.clone(), stamp: *stamp },
                })
                .collect();
            if within(gateway, gateway.entries().registry.leave(leaves)).await.is_none() {
                gateway.setting().metrics.left(Answer::Failed, chunk.len());
                return Err(NotLeft);
            }
            gateway.setting().metrics.left(Answer::Done, chunk.len());
            for (user, _) in chunk {
                // Who is back is told to have come, by an enter with a greater stamp: after that, this would hide it. Where
                // that enter is not sent yet, its word comes later, or never, and this one counts.
                if !gateway.local().is_sent(user) {
                    gateway.presence().note(user, Way::Went);
                }
            }
            let left: HashSet<_> = chunk.iter().collect();
            let leaving = &mut self.state.lock().leaving;
            leaving.retain(|waiting| !left.contains(waiting));
            if leaving.is_empty() {
                // A burst is over: its room is given back.
                *leaving = Vec::new();
            }
        }
        Ok(())
    }
}

/// A call of the registry within its time. What went wrong is logged where it stops.
pub(super) async fn within<T>(
    gateway: &Gateway,
    call: impl Future<Output = Result<T, doorbell_backplane::Error>>,
) -> Option<T> {
    let deadline = gateway.setting().rules.config.registry_timeout;
    gateway.entries().peer.within(deadline, call).await.ok()
}

/// The registry did not take some leaves.
pub(super) struct NotLeft;

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
pub(super) struct LaneTask {
    gateway: Arc<Gateway>,
    partition: Partition,
    /// Everybody must be entered again, since a lease was lost.
    reenters: bool,
}

impl LaneTask {
    pub(super) fn new(gateway: Arc<Gateway>, partition: Partition) -> Self {
        Self { gateway, partition, reenters: false }
    }

    /// Runs until `stop`. What waits then is sent by the drain.
    pub(super) async fn run(mut self, stop: CancellationToken) {
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
        match self.enter_canary().await {
            Turn::Done => {}
            turn => return turn,
        }
        self.lane().end_graces_over();
        match self.lane().leave_batch(&self.gateway).await {
            Ok(()) => Turn::Done,
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

    async fn enter_waiting(&self) -> Turn {
        let max = self.gateway.setting().rules.config.enter_batch_max.get();
        loop {
            let batch = self.lane().entering(|waiting| waiting.take(max));
            if batch.is_empty() {
                return Turn::Done;
            }
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
            None => Turn::Failed,
            Some([Entered::Registered]) => {
                self.gateway.canaries().entered(self.partition, stamp);
                Turn::Done
            }
            Some(_) => {
                self.lane().lapse(stamp.epoch);
                Turn::Lapsed
            }
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

#[cfg(test)]
mod tests {
    use doorbell_protocol::Generation;

    use super::*;

    #[test]
    fn leaves_beyond_the_bound_are_dropped_and_counted() {
        let registry = prometheus::Registry::new();
        let lane = Lane::new(Metrics::register(&registry).unwrap());
        let stamp = Stamp { epoch: Epoch(1), generation: Generation(1) };
        let user = UserId::new("ada").unwrap();
        for _ in 0..LEAVES_MAX + 3 {
            lane.linger(user.clone(), Left { stamp, confirmed: true }, Duration::ZERO);
        }
        assert_eq!(lane.state.lock().leaving.len(), LEAVES_MAX);
        let families = registry.gather();
        let leaves = families.iter().find(|one| one.name() == "doorbell_gateway_leaves_total").unwrap();
        let dropped = leaves.get_metric().iter().find(|one| one.get_label()[0].value() == "dropped").unwrap();
        assert_eq!(dropped.get_counter().get_value(), 3.0);
    }
}
