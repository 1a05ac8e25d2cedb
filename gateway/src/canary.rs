//! Canaries: in each partition a user who is nobody. The gateway rings each one all the time, and notes which ring
//! arrives: what rings of users need, the queue, a notifier and the way back here, is seen to work where nobody is rung.
//!
//! A canary is entered under the partition's lease like a user (`entries`), and is in no index, no presence and no count
//! of users here. It says how things are, and decides nothing: readiness does not ask for it.

mod watch;

use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{HintQueue, News, Partition, Partitions, UserHint};
use doorbell_protocol::{GatewayId, Hint, Stamp, TopicId, UserId, Version};
use doorbell_rpc::{DeliverRequest, Peer};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::gateway::Gateway;
use crate::metrics::{CanaryMetrics, Rung};
use crate::uptime::{Moment, Uptime};
use watch::{Turn, Watch};

/// The topic that canaries are rung about.
const TOPIC: &str = "canary:ring";
/// Looks in an interval: so finely are rings spread, and so old is the age that is shown.
const LOOKS: u32 = 10;
/// Looks are no further apart than that.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// One partition's.
struct Canary {
    user: UserId,
    watch: Mutex<Watch>,
}

/// All of this gateway's canaries.
pub(crate) struct Canaries {
    interval: Duration,
    queue: Arc<dyn HintQueue>,
    partitions: Partitions,
    /// By partition; none at all where they are turned off.
    canaries: Vec<Canary>,
    /// A ring's version is the moment at which it was sent.
    uptime: Uptime,
    topic: TopicId,
    peer: Peer,
    metrics: CanaryMetrics,
}

impl Canaries {
    /// One in each partition, or none where `interval` is zero.
    pub(crate) fn new(
        gateway: &GatewayId,
        queue: Arc<dyn HintQueue>,
        interval: Duration,
        metrics: CanaryMetrics,
    ) -> Self {
        let (uptime, partitions) = (Uptime::start(), queue.partitions());
        let users = if interval.is_zero() { Vec::new() } else { users(gateway, partitions) };
        let canaries = users.into_iter().map(|user| {
            let watch = Watch::new(interval, interval.mul_f64(rand::random::<f64>()), uptime.now());
            Canary { user, watch: Mutex::new(watch) }
        });
        let topic = TopicId::new(TOPIC).expect("a kind and a key");
        let peer = Peer::new("the hint queue (canaries)");
        Self { interval, queue, partitions, canaries: canaries.collect(), uptime, topic, peer, metrics }
    }

    /// The partition's canary, where it is to be entered into the registry.
    pub(crate) fn waiting(&self, partition: Partition) -> Option<UserId> {
        let canary = self.canaries.get(partition.index())?;
        canary.watch.lock().is_away().then(|| canary.user.clone())
    }

    /// The registry has the partition's canary: it can be rung.
    pub(crate) fn entered(&self, partition: Partition, stamp: Stamp) {
        self.watch(partition, |watch| watch.entered(stamp));
    }

    /// What was entered in the partition may be gone.
    pub(crate) fn lapsed(&self, partition: Partition) {
        self.watch(partition, Watch::lost);
    }

    /// Those that are to leave the registry: they are entered and rung no more.
    pub(crate) fn take_leaves(&self) -> Vec<(UserId, Stamp)> {
        let leaves = self.canaries.iter().filter_map(|canary| {
            let stamp = canary.watch.lock().leave()?;
            Some((canary.user.clone(), stamp))
        });
        leaves.collect()
    }

    /// Notes a ring where it is one of a canary of this gateway's; answers whether it is.
    pub(crate) fn arrived(&self, request: &DeliverRequest) -> bool {
        let partition = self.partitions.of(&request.user);
        let canary = self.canaries.get(partition.index()).filter(|canary| canary.user == request.user);
        let Some(canary) = canary else { return false };
        // A map that was given up says `resync` and no version: the next ring tells.
        if let Some(version) = request.dirty.topics().get(&self.topic) {
            let (sent, now) = (Moment::from_micros(version.get()), self.uptime.now());
            canary.watch.lock().arrived(sent);
            self.metrics.arrived(now.since(sent));
        }
        true
    }

    fn watch(&self, partition: Partition, change: impl FnOnce(&mut Watch)) {
        if let Some(canary) = self.canaries.get(partition.index()) {
            change(&mut canary.watch.lock());
        }
    }

    /// Looks at all of them: shows and says how they are, and answers who is to be rung now.
    fn look(&self) -> Vec<(Partition, Version)> {
        let now = self.uptime.now();
        let (mut due, mut worst, mut late) = (Vec::new(), Duration::ZERO, 0);
        let (mut silent, mut back) = (Vec::new(), Vec::new());
        for (partition, canary) in self.partitions.all().zip(&self.canaries) {
            let look = canary.watch.lock().look(now);
            worst = worst.max(look.age);
            late += usize::from(look.is_late);
            due.extend(look.ring.map(|version| (partition, version)));
            match look.turn {
                Some(Turn::Late) => silent.push(partition.index()),
                Some(Turn::Back) => back.push(partition.index()),
                None => {}
            }
        }
        self.metrics.looked(worst, late);
        if !silent.is_empty() {
            tracing::warn!(partitions = ?silent, age = ?worst, "rings do not arrive: canaries are late");
        }
        if !back.is_empty() {
            tracing::info!(partitions = ?back, "rings arrive again");
        }
        due
    }

    async fn ring(&self, partition: Partition, version: Version, deadline: Duration) -> (Partition, Rung) {
        let Some(canary) = self.canaries.get(partition.index()) else { return (partition, Rung::Offline) };
        let news = News::Hint(Hint { topic: self.topic.clone(), version });
        let hints = vec![UserHint { user: canary.user.clone(), news }];
        let rung = match self.peer.within(deadline, self.queue.hint(hints)).await {
            Ok(report) if report.offline.is_empty() => Rung::Sent,
            Ok(_) => Rung::Offline,
            Err(_) => Rung::Failed,
        };
        (partition, rung)
    }
}

impl Gateway {
    /// Rings the canaries as long as it is polled, by one task. One ring of each is under way at a time, so that a partition
    /// that does not answer holds up no other.
    pub(crate) async fn ring_canaries(&self) {
        let canaries = self.canaries();
        if canaries.canaries.is_empty() {
            return;
        }
        let deadline = self.setting().rules.config.registry_timeout;
        let mut ticks = tokio::time::interval((canaries.interval / LOOKS).min(LOOK_PAUSE));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut rings = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let due = canaries.look().into_iter();
                    rings.extend(due.map(|(partition, version)| canaries.ring(partition, version, deadline)));
                }
                Some((partition, rung)) = rings.next() => self.canary_rung(partition, rung),
            }
        }
    }

    fn canary_rung(&self, partition: Partition, rung: Rung) {
        let canaries = self.canaries();
        canaries.metrics.rung(rung);
        canaries.watch(partition, Watch::answered);
        if rung == Rung::Offline {
            // The registry does not have it, though it said so: it is entered again.
            canaries.watch(partition, Watch::lost);
            self.entries().wake(partition);
        }
    }
}

/// One name in each partition: numbers are tried until each has one, some `n * ln(n)` of them.
fn users(gateway: &GatewayId, partitions: Partitions) -> Vec<UserId> {
    let mut users = vec![None; partitions.count()];
    let mut missing = users.len();
    for nth in 0.. {
        if missing == 0 {
            break;
        }
        let user = UserId::canary(gateway, nth);
        let place = &mut users[partitions.of(&user).index()];
        if place.is_none() {
            *place = Some(user);
            missing -= 1;
        }
    }
    users.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn each_partition_has_a_canary_of_its_own() {
        for count in [1, 16, 1_024] {
            let partitions = Partitions::new(NonZeroU16::new(count).unwrap());
            let users = users(&GatewayId::new("gw-1").unwrap(), partitions);
            let homes: Vec<_> = users.iter().map(|user| partitions.of(user)).collect();
            assert_eq!(homes, partitions.all().collect::<Vec<_>>());
            assert!(users.iter().all(UserId::is_canary));
        }
    }
}
