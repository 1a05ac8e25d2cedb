//! Reads the stored versions of what is followed here: each topic at its first follow, and every two seconds whatever
//! changed. The stream of publishes is for speed; this is what makes sure.
//!
//! Where a partition's store is another one than at the last look, or has forgotten what changed since, nothing seen
//! there counts: everything followed is read again, and its followers are hinted `resync`.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::versions::{ChangeCounter, Look};
use doorbell_backplane::{Partition, PartitionIdentity, Versions};
use doorbell_protocol::{Hint, SessionId, TopicId, Version};
use doorbell_rpc::{Backoff, NoAnswer, Peer};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use crate::gateway::Gateway;
use crate::metrics::Answer;
use crate::session::event::Event;
use crate::topics::{Raised, SHARDS_PER_PARTITION};

/// Topics in one read.
const READ_MAX: usize = 512;
/// Changes in one answer of a partition; with more the look goes on at once.
const CHANGES_MAX: usize = 1_000;
/// After a read that failed.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What is to be read. Each topic is in it once, so it is bounded by what is followed.
pub(crate) struct StoreReader {
    versions: Arc<dyn Versions>,
    peer: Peer,
    unread: Mutex<HashSet<TopicId>>,
    bell: Notify,
}

impl StoreReader {
    pub(crate) fn new(versions: Arc<dyn Versions>) -> Self {
        Self {
            versions,
            peer: Peer::new("the store of versions"),
            unread: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// A topic has its first follower here: whatever was known of it before does not count.
    pub(crate) fn read(&self, topic: &TopicId) {
        self.unread.lock().insert(topic.clone());
        self.bell.notify_one();
    }

    /// The stored versions at this moment, for somebody who waits; `None` without an answer in time.
    pub(crate) async fn now(&self, gateway: &Gateway, topics: Vec<TopicId>) -> Option<Vec<Version>> {
        within(gateway, self.versions.read(topics)).await.ok()
    }

    fn take(&self, count_max: usize) -> Vec<TopicId> {
        let mut unread = self.unread.lock();
        let batch: Vec<_> = unread.iter().take(count_max).cloned().collect();
        batch.iter().for_each(|topic| {
            unread.remove(topic);
        });
        batch
    }
}

/// How far a partition was looked at, and which store that was.
#[derive(Clone, Debug)]
struct Mark {
    identity: PartitionIdentity,
    counter: ChangeCounter,
}

/// The store did not answer: what was to be done is still to be done.
type Failed = NoAnswer<doorbell_backplane::Error>;

/// The task that reads and looks.
pub(crate) struct LookTask {
    gateway: Arc<Gateway>,
    /// By partition; `None` while nothing of it is followed, and before the first read.
    marks: Vec<Option<Mark>>,
    /// Partitions whose store changed: their followers are hinted once everything is read again.
    changed: Vec<Partition>,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

impl LookTask {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        let marks = gateway.topics().partitions().all().map(|_| None).collect();
        Self {
            gateway,
            marks,
            changed: Vec::new(),
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MAX),
            retry_at: None,
        }
    }

    /// Reads and looks, as long as it is polled.
    pub(crate) async fn run(mut self) {
        let every = self.gateway.setting().rules.config.channel_look_interval;
        // Gateways that were started together do not look together.
        let first = Instant::now() + every.mul_f64(rand::random());
        let mut ticks = tokio::time::interval_at(first, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let gateway = Arc::clone(&self.gateway);
        loop {
            let retry_at = self.retry_at;
            tokio::select! {
                _ = ticks.tick() => self.look().await,
                () = gateway.store_reader().bell.notified() => {}
                () = until(retry_at) => self.retry_at = None,
            }
            if self.retry_at.is_none() {
                self.catch_up().await;
            }
        }
    }

    /// Reads what is to be read, then tells the followers of a partition whose store changed.
    async fn catch_up(&mut self) {
        match self.read_unread().await {
            Ok(()) => {
                self.backoff.succeeded();
                for partition in std::mem::take(&mut self.changed) {
                    self.resync(partition).await;
                }
            }
            Err(_) => {
                self.retry_at = Some(Instant::now() + self.backoff.failed());
            }
        }
    }

    async fn read_unread(&mut self) -> Result<(), Failed> {
        loop {
            let batch = self.gateway.store_reader().take(READ_MAX);
            if batch.is_empty() {
                return Ok(());
            }
            let read = self.read(&batch).await;
            if read.is_err() {
                self.gateway.store_reader().unread.lock().extend(batch);
                return read;
            }
        }
    }

    /// Where a partition has no mark yet, it is set before the read: what changes after it, the looks will show.
    async fn read(&mut self, batch: &[TopicId]) -> Result<(), Failed> {
        let partitions = self.gateway.topics().partitions();
        let of_batch: HashSet<_> = batch.iter().map(|topic| partitions.of_topic(topic)).collect();
        let unmarked = of_batch.into_iter().filter(|partition| self.marks[partition.index()].is_none());
        let unmarked: Vec<_> = unmarked.map(|partition| (partition, None)).collect();
        if !unmarked.is_empty() {
            let looks = self.ask(unmarked.clone()).await?;
            for ((partition, _), Look { identity, counter, .. }) in unmarked.into_iter().zip(looks) {
                self.marks[partition.index()] = Some(Mark { identity, counter });
            }
        }
        let versions = within(&self.gateway, self.versions().read(batch.to_vec())).await?;
        for (topic, version) in batch.iter().zip(versions) {
            if version > Version::ZERO {
                // Nobody may follow it any more.
                let _ = self.gateway.raise(&Hint { topic: topic.clone(), version });
            }
        }
        Ok(())
    }

    async fn look(&mut self) {
        let partitions: Vec<_> = self.gateway.topics().partitions().all().collect();
        for partition in &partitions {
            if self.gateway.topics().followed_count(*partition) == 0 {
                // A first follower reads the store, and that sets another mark.
                self.marks[partition.index()] = None;
            }
        }
        let mut since = self.since(&partitions);
        while !since.is_empty() {
            let Ok(looks) = self.ask(since.clone()).await else { return };
            let mut go_on = Vec::new();
            for ((partition, _), look) in since.iter().zip(looks) {
                if self.take_in(*partition, look) {
                    go_on.push(*partition);
                }
            }
            since = self.since(&go_on);
            tokio::task::consume_budget().await;
        }
    }

    fn since(&self, partitions: &[Partition]) -> Vec<(Partition, Option<ChangeCounter>)> {
        let marked = |partition: &Partition| {
            let mark = self.marks[partition.index()].as_ref()?;
            Some((*partition, Some(mark.counter)))
        };
        partitions.iter().filter_map(marked).collect()
    }

    /// Takes in what a look shows; answers whether there is more.
    fn take_in(&mut self, partition: Partition, look: Look) -> bool {
        let metrics = &self.gateway.setting().metrics.topics;
        let Some(mark) = &mut self.marks[partition.index()] else { return false };
        let Some(changed) = look.changed.filter(|_| mark.identity == look.identity) else {
            tracing::warn!(%partition, "the versions of topics lost what was looked at: read again");
            metrics.store_changed();
            self.marks[partition.index()] = None;
            self.changed.push(partition);
            let topics = self.followed(partition);
            self.gateway.store_reader().unread.lock().extend(topics);
            return false;
        };
        mark.counter = look.counter;
        for hint in &changed {
            // The answer names all topics: it is compared with what is followed now.
            if !matches!(self.gateway.raise(hint), Err(_) | Ok(Raised::Known)) {
                metrics.look_raised();
            }
        }
        look.more
    }

    /// Hints `resync` to every session that follows a topic of the partition, once each.
    async fn resync(&self, partition: Partition) {
        let mut told: HashSet<SessionId> = HashSet::new();
        let mut sessions = Vec::new();
        for topic in self.followed(partition) {
            let Some((stay, walk)) = self.gateway.topics().walk(&topic) else { continue };
            for row in 0..walk.rows_count() {
                self.gateway.topics().row(&stay, &walk, row, &mut sessions);
                for session in sessions.drain(..) {
                    if told.insert(session.id()) {
                        self.gateway.tell(&session, Event::Lost);
                    }
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn followed(&self, partition: Partition) -> Vec<TopicId> {
        (0..SHARDS_PER_PARTITION).flat_map(|shard| self.gateway.topics().followed(partition, shard)).collect()
    }

    async fn ask(&self, since: Vec<(Partition, Option<ChangeCounter>)>) -> Result<Vec<Look>, Failed> {
        within(&self.gateway, self.versions().look(since, CHANGES_MAX)).await
    }

    fn versions(&self) -> &dyn Versions {
        &*self.gateway.store_reader().versions
    }
}

async fn within<T>(
    gateway: &Gateway,
    call: impl Future<Output = Result<T, doorbell_backplane::Error>>,
) -> Result<T, Failed> {
    let deadline = gateway.setting().rules.config.channel_timeout;
    let answer = gateway.store_reader().peer.within(deadline, call).await;
    let counted = if answer.is_ok() { Answer::Done } else { Answer::Failed };
    gateway.setting().metrics.topics.store_answered(counted);
    answer
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
