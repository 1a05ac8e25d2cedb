//! What the looking task shares with those who follow: what is to be read, and which stores answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::Versions;
use doorbell_protocol::{TopicId, Version};
use doorbell_rpc::Peer;
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::reads::Reads;

/// A time in which this gateway saw the same stores of versions, none of which lost anything. Whoever asks in one what
/// there is, and follows in another, may have missed what was lost in between (GW-18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era(u64);

/// What is to be read. Each topic is in it once, so it is bounded by what is followed.
pub(crate) struct StoreReader {
    pub(super) versions: Arc<dyn Versions>,
    pub(super) peer: Peer,
    pub(super) unread: Mutex<HashSet<TopicId>>,
    pub(super) bell: Notify,
    /// For sessions that wait for an answer.
    pub(super) reads: Reads,
    /// None before every partition's store was seen.
    era: watch::Sender<Option<Era>>,
}

impl StoreReader {
    pub(crate) fn new(versions: Arc<dyn Versions>) -> Self {
        Self {
            reads: Reads::new(versions.partitions()),
            versions,
            peer: Peer::new("the store of versions"),
            unread: Mutex::default(),
            bell: Notify::new(),
            era: watch::Sender::new(None),
        }
    }

    /// A topic has its first follower here: whatever was known of it before does not count.
    pub(crate) fn read(&self, topic: &TopicId) {
        self.unread.lock().insert(topic.clone());
        self.bell.notify_one();
    }

    /// The stored versions as of a moment after the call, for somebody who waits; `None` without an answer in time. Whoever waits at the same
    /// time shares the read, which may have to wait for those under way: each takes up to `channel_timeout`.
    ///
    /// *Cancel safety*: dropped, nothing more is read for it.
    pub(crate) async fn now(&self, topics: &[TopicId], wait_max: Duration) -> Option<Vec<Version>> {
        let waits = try_join_all(topics.iter().map(|topic| self.reads.want(topic)));
        timeout(wait_max, waits).await.ok()?.ok()
    }

    /// The present era, for whoever is about to ask what there is; `None` where no store was seen in time, as for a
    /// moment after the start.
    pub(crate) async fn era(&self, wait_max: Duration) -> Option<Era> {
        let mut eras = self.era.subscribe();
        let known = eras.wait_for(Option::is_some);
        *timeout(wait_max, known).await.ok()?.ok()?
    }

    /// Whether another era has begun. Asked by a session that is in the index: if it has not, and begins later, the
    /// session is among those that are told.
    pub(crate) fn is_over(&self, era: Era) -> bool {
        *self.era.borrow() != Some(era)
    }

    pub(super) fn is_known(&self) -> bool {
        self.era.borrow().is_some()
    }

    /// Every partition's store was seen.
    pub(super) fn begin_first_era(&self) {
        self.era.send_if_modified(|era| era.is_none() && era.replace(Era(0)).is_none());
    }

    /// A store is another one, or has forgotten what was not looked at. Before anybody is told: whoever is not in the
    /// index by then finds it out by itself.
    pub(super) fn end_era(&self) {
        self.era.send_modify(|era| *era = era.map(|Era(number)| Era(number + 1)));
    }

    pub(super) fn take(&self, count_max: usize) -> Vec<TopicId> {
        let mut unread = self.unread.lock();
        let batch: Vec<_> = unread.iter().take(count_max).cloned().collect();
        batch.iter().for_each(|topic| {
            unread.remove(topic);
        });
        batch
    }
}
