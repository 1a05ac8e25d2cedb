//! One partition's enters and leaves, gathered for some milliseconds and sent one call after the other.

mod task;

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorbell_backplane::{Enter, Entry, Lease, PartitionIdentity};
use doorbell_protocol::{Epoch, Stamp, UserId};
use doorbell_rpc::Way;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lingering::{Lingering, Return};
use super::waiting::Waiting;
use crate::gateway::Gateway;
use crate::local::Left;
use crate::metrics::{Answer, GraceEnd, Metrics};
use crate::session::Session;
pub(super) use task::LaneTask;

/// Leaves that wait at most; beyond it they are dropped, counted, and the entries go when a hint finds nobody here.
const LEAVES_MAX: usize = 65_536;

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
