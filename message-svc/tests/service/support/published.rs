//! Where large audiences are told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use doorbell_protocol::{GatewayId, Raise, TopicId, Version};
use doorbell_rpc::{ChannelLife, Channels, Subscription};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::PATIENCE;

/// Large audiences, as far as this service has to do with them: what was published, and how many follow.
#[derive(Default)]
pub struct Published {
    topics: Mutex<BTreeMap<String, u64>>,
    fail: AtomicUsize,
    held: AtomicBool,
    asked: Notify,
}

impl Published {
    /// Leaves every further call without an answer.
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Lets the next calls fail.
    pub fn fail(&self, calls: usize) {
        self.fail.store(calls, Ordering::SeqCst);
    }

    /// Forgets what was published, as a store that starts anew.
    pub fn forget(&self) {
        self.topics.lock().clear();
    }

    /// The greatest version of each topic that was published.
    pub fn topics(&self) -> BTreeMap<String, u64> {
        self.topics.lock().clone()
    }

    /// Waits until a topic was published at a version.
    pub async fn reached(&self, topic: &str, version: u64) {
        let all = async {
            loop {
                let asked = self.asked.notified();
                if self.topics.lock().get(topic).is_some_and(|at| *at >= version) {
                    return;
                }
                asked.await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{topic}: {:?}", self.topics()));
    }
}

#[async_trait]
impl Channels for Published {
    async fn publish(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, doorbell_rpc::Error> {
        if self.held.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            let reason = "a test said so".into();
            return Err(doorbell_rpc::Error::Unavailable { service: "channel-svc", reason });
        }
        let mut topics = self.topics.lock();
        let mut stored = Vec::new();
        for (topic, raise) in raises {
            let at = topics.entry(topic.to_string()).or_default();
            match raise {
                Raise::To(version) => *at = version.get().max(*at),
                Raise::Next => {
                    assert_eq!(topic.kind(), "presence", "{topic}: a log counts its own versions");
                    *at += 1;
                }
            }
            stored.push(Version::new(*at).unwrap());
        }
        drop(topics);
        self.asked.notify_waiters();
        Ok(stored)
    }

    async fn subscribe(
        &self,
        _: &GatewayId,
        _: Vec<Subscription>,
    ) -> Result<ChannelLife, doorbell_rpc::Error> {
        unreachable!("the message service follows nothing")
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, doorbell_rpc::Error> {
        Ok(vec![7; topics.len()])
    }
}
