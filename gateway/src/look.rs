//! Reads the stored versions of what is followed here: each topic at its first follow, and every two seconds whatever
//! changed. The stream of publishes is for speed; this is what makes sure.
//!
//! Where a partition's store is another one than at the last look, or has forgotten what changed since, nothing seen
//! there counts: everything followed is read again, and its followers are hinted `resync`. So is whoever asked before
//! that what there is, and follows after it (GW-18): which store answers is looked at also where nothing is followed.

mod reader;
mod reads;

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::versions::{ChangeCounter, Look};
use doorbell_backplane::{Partition, PartitionIdentity, Versions};
use doorbell_protocol::{Hint, SessionId, TopicId, Version};
use doorbell_rpc::{Backoff, NoAnswer};
use tokio::time::{Instant, MissedTickBehavior};

use crate::gateway::Gateway;
use crate::metrics::Answer;
use crate::session::event::Event;
use crate::topics::{Raised, SHARDS_PER_PARTITION};

pub(crate) use reader::{Era, StoreReader};

/// Topics in one read.
const READ_MAX: usize = 512;
/// Changes in one answer of a partition; with more the look goes on at once.
const CHANGES_MAX: usize = 1_000;
/// After a read that failed.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How far a partition was looked at, and which store that was.
#[derive(Clone, Debug, Default)]
struct Mark {
    /// None before the first look.
    identity: Option<PartitionIdentity>,
    /// None while nothing of it is followed, and before the first read.
    counter: Option<ChangeCounter>,
}

/// The store did not answer: what was to be done is still to be done.
type Failed = NoAnswer<doorbell_backplane::Error>;

/// The task that reads and looks.
pub(crate) struct LookTask {
    gateway: Arc<Gateway>,
    /// By partition.
    marks: Vec<Mark>,
    /// Partitions whose store changed: their followers are hinted once everything is read again.
    changed: HashSet<Partition>,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

impl LookTask {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        let marks = gateway.topics().partitions().all().map(|_| Mark::default()).collect();
        Self {
            gateway,
            marks,
            changed: HashSet::new(),
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
        // Who starts waits until it is known which stores answer.
        self.catch_up().await;
        loop {
            let retry_at = self.retry_at;
            tokio::select! {
                // What fails is done with the next tick.
                _ = ticks.tick() => { let _ = self.look().await; }
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
        let caught_up = match self.reader().is_known() {
            true => self.read_unread().await,
            false => self.look().await,
        };
        match caught_up {
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
            let batch = self.reader().take(READ_MAX);
            if batch.is_empty() {
                return Ok(());
            }
            let read = self.read(&batch).await;
            if read.is_err() {
                self.reader().unread.lock().extend(batch);
                return read;
            }
        }
    }

    /// Where a partition was not looked at, a look begins before the read: what changes after it, the looks will show.
    async fn read(&mut self, batch: &[TopicId]) -> Result<(), Failed> {
        let partitions = self.gateway.topics().partitions();
        let of_batch: HashSet<_> = batch.iter().map(|topic| partitions.of_topic(topic)).collect();
        let unmarked: Vec<_> = of_batch
            .into_iter()
            .filter(|one| self.mark(*one).counter.is_none())
            .map(|one| (one, None))
            .collect();
        if !unmarked.is_empty() {
            let looks = self.ask(unmarked.clone()).await?;
            for ((partition, _), look) in unmarked.into_iter().zip(looks) {
                if self.meet(partition, look.identity) {
                    self.lose(partition);
                }
                self.mark(partition).counter = Some(look.counter);
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

    /// Looks what changed where anything is followed, and which store answers everywhere.
    async fn look(&mut self) -> Result<(), Failed> {
        let partitions: Vec<_> = self.gateway.topics().partitions().all().collect();
        for partition in &partitions {
            if self.gateway.topics().followed_count(*partition) == 0 {
                // A first follower reads the store, and that begins another look.
                self.mark(*partition).counter = None;
            }
        }
        let mut since = self.since(partitions);
        while !since.is_empty() {
            let looks = self.ask(since.clone()).await?;
            let mut go_on = Vec::new();
            for ((partition, asked), look) in since.into_iter().zip(looks) {
                if self.take_in(partition, asked, look) {
                    go_on.push(partition);
                }
            }
            since = self.since(go_on);
            tokio::task::consume_budget().await;
        }
        if self.marks.iter().all(|mark| mark.identity.is_some()) {
            self.reader().begin_first_era();
        }
        Ok(())
    }

    fn since(&mut self, partitions: Vec<Partition>) -> Vec<(Partition, Option<ChangeCounter>)> {
        partitions.into_iter().map(|partition| (partition, self.mark(partition).counter)).collect()
    }

    /// Takes in what a look shows; answers whether there is more.
    fn take_in(&mut self, partition: Partition, asked: Option<ChangeCounter>, look: Look) -> bool {
        let Look { identity, counter, changed, more } = look;
        let gap = asked.is_some() && changed.is_none();
        if self.meet(partition, identity) || gap {
            self.lose(partition);
            return false;
        }
        let Some(changed) = changed.filter(|_| asked.is_some()) else { return false };
        self.mark(partition).counter = Some(counter);
        for hint in &changed {
            // The answer names all topics: it is compared with what is followed now.
            if !matches!(self.gateway.raise(hint), Err(_) | Ok(Raised::Known)) {
                self.gateway.setting().metrics.topics.look_raised();
            }
        }
        more
    }

    /// Notes which store answered; whether it is another one.
    fn meet(&mut self, partition: Partition, identity: PartitionIdentity) -> bool {
        let before = self.mark(partition).identity.replace(identity);
        before.is_some() && before != self.mark(partition).identity
    }

    /// Nothing seen of a partition counts: everything followed there is read again, and then its followers are told.
    fn lose(&mut self, partition: Partition) {
        tracing::warn!(%partition, "the versions of topics lost what was looked at: read again");
        self.gateway.setting().metrics.topics.store_changed();
        self.mark(partition).counter = None;
        self.reader().end_era();
        self.changed.insert(partition);
        let topics = self.followed(partition);
        self.reader().unread.lock().extend(topics);
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

    fn mark(&mut self, partition: Partition) -> &mut Mark {
        &mut self.marks[partition.index()]
    }

    fn reader(&self) -> &StoreReader {
        self.gateway.store_reader()
    }

    fn versions(&self) -> &dyn Versions {
        &*self.reader().versions
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
