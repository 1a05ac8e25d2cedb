//! What others call: publish, subscribe, and how many follow.

use async_trait::async_trait;
use doorbell_protocol::{GatewayId, Raise, TopicId, Version};
use doorbell_rpc::{ChannelLife, Channels, Error, Subscription, failpoint};
use tokio::time::Instant;

use crate::directory::Taken;
use crate::service::{CHUNK, ChannelService, Shared};

/// Who this service is in an error.
const SERVICE: &str = "channel-svc";

#[async_trait]
impl Channels for ChannelService {
    async fn publish(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        let shared = self.shared();
        let mut answers = Vec::with_capacity(raises.len());
        for batch in raises.chunks(shared.batch()) {
            answers.extend(shared.store_and_tell(batch).await?);
        }
        shared.metrics.published(answers.len());
        Ok(answers)
    }

    /// The subscriptions first, the versions that they bring after: what others publish meanwhile is told to this
    /// gateway as well. What was published between the gateway's own read of a topic and its word is in the store alone,
    /// so the topics that begin are read once more.
    async fn subscribe(
        &self,
        gateway: &GatewayId,
        subscriptions: Vec<Subscription>,
    ) -> Result<ChannelLife, Error> {
        let shared = self.shared();
        let now = Instant::now();
        let line = shared.known.hear(gateway, now);
        let (mut newer, mut begun) = (Vec::new(), Vec::new());
        for words in subscriptions.chunks(CHUNK) {
            for word in words {
                match shared.directory.take(&line, word, now) {
                    Taken::Newer => newer.push((word.topic.clone(), Raise::To(word.version))),
                    Taken::Began => begun.push(word.topic.clone()),
                    Taken::Refused => shared.metrics.refused(),
                    Taken::Current | Taken::Ended | Taken::Stale => {}
                }
            }
            tokio::task::yield_now().await;
        }
        let store_newer = async {
            for batch in newer.chunks(shared.batch()) {
                shared.store_and_tell(batch).await?;
            }
            Ok(())
        };
        // Beside it: the gateway waits for the answer.
        let (stored, ()) = tokio::join!(store_newer, shared.tell_stored(&begun));
        if !subscriptions.is_empty() {
            failpoint::pass("channel.subscribed");
        }
        stored.map(|()| line.life())
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, Error> {
        Ok(topics.iter().map(|topic| self.shared().directory.followers(topic)).collect())
    }
}

impl Shared {
    /// Stores first, tells after (CH-1): told first, a gateway could have a version that a crash has made unknown to
    /// everybody else.
    pub(crate) async fn store_and_tell(&self, raises: &[(TopicId, Raise)]) -> Result<Vec<Version>, Error> {
        let mut stored = self.store(raises).await?;
        self.store_beyond_known(raises, &mut stored).await?;
        for ((topic, _), version) in raises.iter().zip(&stored) {
            self.metrics.told(self.directory.tell(topic, *version));
        }
        Ok(stored)
    }

    /// A store that answers less than is known here has lost it, and its answer would be told to nobody (CH-7): what is
    /// known is stored first, and the raise repeated on top of it.
    async fn store_beyond_known(
        &self,
        raises: &[(TopicId, Raise)],
        stored: &mut [Version],
    ) -> Result<(), Error> {
        let short = |at: &usize| stored[*at] < self.directory.version(&raises[*at].0);
        let short: Vec<usize> = (0..raises.len()).filter(short).collect();
        if short.is_empty() {
            return Ok(());
        }
        let known = |at: &usize| {
            let topic = &raises[*at].0;
            (topic.clone(), Raise::To(self.directory.version(topic)))
        };
        self.store(&short.iter().map(known).collect::<Vec<_>>()).await?;
        let again: Vec<_> = short.iter().map(|at| raises[*at].clone()).collect();
        for (at, version) in short.into_iter().zip(self.store(&again).await?) {
            stored[at] = version;
        }
        Ok(())
    }

    /// Tells what is stored of these topics, where somebody does not have it. Without an answer in a short time the
    /// gateways' look finds it.
    async fn tell_stored(&self, topics: &[TopicId]) {
        let by = Instant::now() + self.config.publish_deadline;
        for batch in topics.chunks(self.batch()) {
            let read = self.versions.read(batch.to_vec());
            let left = by.saturating_duration_since(Instant::now());
            let Ok(stored) = self.store.within(left, read).await else { return self.metrics.store_failed() };
            for (topic, version) in batch.iter().zip(stored) {
                self.metrics.told(self.directory.tell(topic, version));
            }
        }
    }

    async fn store(&self, raises: &[(TopicId, Raise)]) -> Result<Vec<Version>, Error> {
        let call = self.versions.raise(raises.to_vec());
        let reason = match self.store.within(self.config.store_deadline, call).await {
            Ok(stored) if stored.len() == raises.len() => return Ok(stored),
            Ok(_) => "the store of versions answered for another number of topics".to_owned(),
            Err(error) => format!("the store of versions: {error}"),
        };
        self.metrics.store_failed();
        Err(Error::Unavailable { service: SERVICE, reason })
    }
}
