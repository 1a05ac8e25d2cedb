//! What each partition's store is, as a test says.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use doorbell_backplane::{ChangeCounter, Error, Look, Partition, PartitionIdentity, Partitions, Versions};
use doorbell_protocol::{Raise, TopicId, Version};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The stores of all partitions: the same ones in each test until it replaces some.
pub struct Stores {
    /// How often each was replaced.
    lives: Mutex<Vec<u32>>,
    failing: AtomicBool,
    looks: watch::Sender<u64>,
}

impl Default for Stores {
    fn default() -> Self {
        let lives = vec![0; Partitions::default().count()];
        Self { lives: Mutex::new(lives), failing: AtomicBool::new(false), looks: watch::Sender::new(0) }
    }
}

impl Stores {
    /// Other stores answer for these partitions from now on.
    pub fn replace(&self, partitions: std::ops::Range<usize>) {
        self.lives.lock()[partitions].iter_mut().for_each(|life| *life += 1);
    }

    /// Nobody can be asked.
    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    pub fn recover(&self) {
        self.failing.store(false, Ordering::SeqCst);
    }

    /// Waits for an answer to a look, or a refusal, that was asked for after this call, and until it was taken in.
    pub async fn looked(&self) {
        let mut looks = self.looks.subscribe();
        let now = *looks.borrow();
        // The next look is asked for when the last one has been taken in.
        looks.wait_for(|looks| *looks >= now + 2).await.unwrap();
    }
}

#[async_trait]
impl Versions for Stores {
    fn partitions(&self) -> Partitions {
        Partitions::default()
    }

    async fn raise(&self, _: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        unreachable!("the message service publishes by the channel service")
    }

    async fn read(&self, _: Vec<TopicId>) -> Result<Vec<Version>, Error> {
        unreachable!("the message service knows its versions")
    }

    async fn look(
        &self,
        since: Vec<(Partition, Option<ChangeCounter>)>,
        _: usize,
    ) -> Result<Vec<Look>, Error> {
        self.looks.send_modify(|looks| *looks += 1);
        if self.failing.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { reason: "a test said so".into() });
        }
        let lives = self.lives.lock();
        let look = |(partition, since): (Partition, Option<ChangeCounter>)| {
            assert_eq!(since, None, "it asks what they are, and nothing else");
            let identity = PartitionIdentity(format!("store-{partition}-{}", lives[partition.index()]));
            Look { identity, counter: ChangeCounter::default(), changed: Some(Vec::new()), more: false }
        };
        Ok(since.into_iter().map(look).collect())
    }
}
