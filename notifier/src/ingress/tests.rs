use std::time::Duration;

use doorbell_backplane::{
    Claim, ClaimToken, Enter, Entry, Error, Memory, Partition, Partitions, QueueDepth, Registry,
};
use doorbell_backplane::{Settled, Settlement};
use doorbell_protocol::{GatewayId, Generation, Stamp, Timestamp, Version};
use doorbell_rpc::{ChannelLife, Ingress as _, Subscription};
use parking_lot::Mutex;

use super::*;

#[derive(Default)]
struct Heard(Mutex<Vec<Missed>>);

impl OfflineHook for Heard {
    fn missed(&self, missed: Vec<Missed>) {
        self.0.lock().extend(missed);
    }
}

/// Three followers of everything; 5 is stored already.
struct Followers;

#[async_trait]
impl Channels for Followers {
    async fn publish(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, doorbell_rpc::Error> {
        let stored = |(_, raise)| match raise {
            Raise::To(version) => version.max(Version::new(5).unwrap()),
            Raise::Next => unreachable!("a back end names its version"),
        };
        Ok(raises.into_iter().map(stored).collect())
    }

    async fn subscribe(
        &self,
        _: &GatewayId,
        _: Vec<Subscription>,
    ) -> Result<ChannelLife, doorbell_rpc::Error> {
        unreachable!("the ingress follows nothing")
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, doorbell_rpc::Error> {
        Ok(vec![3; topics.len()])
    }
}

/// A queue that does not answer.
struct Gone;

#[async_trait]
impl HintQueue for Gone {
    fn partitions(&self) -> Partitions {
        Partitions::default()
    }
    async fn hint(&self, _: Vec<UserHint>) -> Result<HintReport, Error> {
        Err(gone())
    }
    async fn claim(&self, _: Partition, _: usize, _: Duration) -> Result<Vec<Claim>, Error> {
        Err(gone())
    }
    async fn settle(&self, _: Partition, _: Vec<Settlement>, _: Duration) -> Result<Vec<Settled>, Error> {
        Err(gone())
    }
    async fn release(&self, _: Partition, _: Vec<(UserId, ClaimToken)>, _: Duration) -> Result<(), Error> {
        Err(gone())
    }
    async fn bell(&self) -> Partition {
        std::future::pending().await
    }
    async fn depth(&self) -> Result<QueueDepth, Error> {
        Err(gone())
    }
}

fn gone() -> Error {
    Error::Unavailable { reason: "gone".into() }
}

fn user(name: impl AsRef<str>) -> UserId {
    UserId::new(name).unwrap()
}

fn ring(topic: &str, version: u64, users: Option<&[&str]>) -> Ring {
    Ring {
        topic: TopicId::new(topic).unwrap(),
        version: Version::new(version).unwrap(),
        users: users.map(|users| users.iter().map(user).collect()),
    }
}

fn ingress(queue: Arc<dyn HintQueue>, channels: Option<Arc<dyn Channels>>) -> (Ingress, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let offline = Some(Arc::clone(&heard) as _);
    (Ingress { queue, channels, offline, reserved_kinds: &["conversation"], metrics }, heard)
}

/// A queue in which these users have a session.
async fn queue(online: &[&str]) -> Arc<Memory> {
    let clock = Arc::new(|| Timestamp::from_millis(1));
    let memory = Arc::new(Memory::new(&doorbell_backplane::Config::default(), clock));
    let gateway = GatewayId::new("gw-1").unwrap();
    let partitions = HintQueue::partitions(&*memory);
    for (name, generation) in online.iter().zip(1..) {
        let partition = partitions.of(&user(name));
        let lease = memory.take_lease(&gateway, partition, Duration::from_secs(60)).await.unwrap();
        let stamp = Stamp { epoch: lease.epoch, generation: Generation(generation) };
        let entry = Entry { gateway: gateway.clone(), stamp };
        memory.enter(vec![Enter { user: user(name), entry }]).await.unwrap();
    }
    memory
}

const fn rung(queued: u64, merged: u64, offline: u64) -> Rung {
    Rung { queued, merged, offline }
}

#[tokio::test]
async fn users_are_queued_merged_or_offline_and_the_hook_hears_of_the_last() {
    let (ingress, heard) = ingress(queue(&["ada", "bob"]).await, None);

    let first = ingress.ring(vec![ring("order:1", 1, Some(&["ada", "eve", "ada", "eve"]))]).await.unwrap();
    let second = ingress
        .ring(vec![ring("order:1", 2, Some(&["ada", "bob"])), ring("order:2", 7, Some(&[]))])
        .await
        .unwrap();

    assert_eq!(first, [rung(1, 0, 1)]);
    assert_eq!(second, [rung(1, 1, 0), rung(0, 0, 0)]);
    let heard = heard.0.lock();
    assert_eq!(heard.iter().map(|missed| missed.user.as_str()).collect::<Vec<_>>(), ["eve"]);
    assert_eq!(heard[0].news.topics()[&TopicId::new("order:1").unwrap()].get(), 1);
}

#[tokio::test]
async fn more_users_than_one_call_of_the_queue_takes_are_counted_together() {
    let (ingress, heard) = ingress(queue(&[]).await, None);
    let users = (0..USERS_MAX + 5).map(|number| user(format!("u{number}"))).collect();

    let rings = vec![Ring { users: Some(users), ..ring("order:1", 1, None) }];

    assert_eq!(ingress.ring(rings).await.unwrap(), [rung(0, 0, USERS_MAX as u64 + 5)]);
    assert_eq!(heard.0.lock().len(), USERS_MAX + 5);
}

#[tokio::test]
async fn followers_are_told_and_those_of_an_older_version_had_been() {
    let (ingress, _) = ingress(queue(&["ada"]).await, Some(Arc::new(Followers)));

    let answer = ingress
        .ring(vec![ring("news:a", 9, None), ring("order:1", 1, Some(&["ada"])), ring("news:b", 4, None)])
        .await;

    assert_eq!(answer.unwrap(), [rung(3, 0, 0), rung(1, 0, 0), rung(0, 3, 0)]);
}

#[tokio::test]
async fn what_may_not_be_rung_refuses_the_whole_call_before_anything_happens() {
    let memory = queue(&["ada"]).await;
    let (ingress, heard) = ingress(Arc::clone(&memory) as _, None);
    for (bad, code, place) in [
        (ring("conversation:x", 1, Some(&["ada"])), ErrorCode::Forbidden, "`hints[1].topic`"),
        (ring("news:a", 1, None), ErrorCode::Unsupported, "`hints[1].users`"),
    ] {
        let error = ingress.ring(vec![ring("order:1", 1, Some(&["ada", "eve"])), bad]).await.unwrap_err();
        assert_eq!(error.code, code);
        assert!(error.message.starts_with(place), "{}", error.message);
    }
    assert_eq!(memory.depth().await.unwrap().ready, 0);
    assert!(heard.0.lock().is_empty());
}

#[tokio::test]
async fn a_queue_that_fails_is_said_and_may_be_asked_again() {
    let (ingress, _) = ingress(Arc::new(Gone), None);
    let error = ingress.ring(vec![ring("order:1", 1, Some(&["ada"]))]).await.unwrap_err();
    assert_eq!((error.code, error.retry_after_ms), (ErrorCode::Unavailable, Some(RETRY_MS)));
}
