//! A channel service over the real store of versions, with gateways that do as they are told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::{ChangeCounter, Look, Memory, Partition, Partitions, Versions};
use doorbell_channel_svc::{ChannelService, Config, Error, Metrics, Neighbours};
use doorbell_protocol::{GatewayId, Generation, Hint, Raise, Timestamp, TopicId, Version};
use doorbell_rpc::{
    ChannelLife, Channels, DeliverRequest, Delivered, Gateways, Heard, SignalRequest, Subscription,
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// The time of the store, which stands still.
pub const NOW_MS: u64 = 1_767_225_600_000;
/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(300);

pub struct Rig {
    pub service: Arc<ChannelService>,
    pub store: Arc<Store>,
    pub gateways: Arc<Told>,
    pub registry: prometheus::Registry,
    calls: mpsc::Receiver<Call>,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), Error>>,
}

/// One call to a gateway: which, and the topics with their versions, sorted.
pub type Call = (String, Vec<(String, u64)>);

/// The real store, which can be made to fail.
pub struct Store {
    memory: Mutex<Arc<Memory>>,
    pub fails: AtomicBool,
    pub hangs: AtomicBool,
}

/// How a gateway answers.
#[derive(Clone)]
pub enum Behaviour {
    Follows,
    Unfollowed(u64),
    /// Answers when it gets a permit.
    Waits(Arc<Semaphore>),
    Unreachable,
    Busy,
    /// Answers for one topic too few.
    Short,
    Panics,
}

pub struct Told {
    behaviours: Mutex<HashMap<GatewayId, Behaviour>>,
    calls: mpsc::Sender<Call>,
    /// Open calls by gateway: never more than one.
    open: Mutex<HashMap<GatewayId, usize>>,
}

struct Open<'a>(&'a Told, &'a GatewayId);

pub fn gateway(name: &str) -> GatewayId {
    GatewayId::new(name).unwrap()
}

pub fn topic(name: &str) -> TopicId {
    TopicId::new(format!("room:{name}")).unwrap()
}

pub fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

/// A word: topic, generation, followers, version.
pub fn word(name: &str, generation: u64, followers: u32, number: u64) -> Subscription {
    Subscription {
        topic: topic(name),
        generation: Generation(generation),
        followers,
        version: version(number),
    }
}

pub fn call(gateway: &str, topics: &[(&str, u64)]) -> Call {
    let topics = topics.iter().map(|(name, version)| (topic(name).to_string(), *version));
    (gateway.to_owned(), topics.collect())
}

impl Rig {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let memory = Mutex::new(empty());
        let (fails, hangs) = (AtomicBool::new(false), AtomicBool::new(false));
        Self::over(Arc::new(Store { memory, fails, hangs }), config)
    }

    /// Another service over the same store: as after a restart.
    pub fn over(store: Arc<Store>, config: Config) -> Self {
        config.validate().unwrap();
        let (sender, calls) = mpsc::channel(1_000);
        let gateways = Arc::new(Told { behaviours: Mutex::default(), calls: sender, open: Mutex::default() });
        let neighbours =
            Neighbours { versions: Arc::clone(&store) as _, gateways: Arc::clone(&gateways) as _ };
        let registry = prometheus::Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let service = ChannelService::new(config, neighbours, metrics);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&service).run(stop.clone()));
        Self { service, store, gateways, registry, calls, stop, tasks }
    }

    pub fn behave(&self, name: &str, behaviour: Behaviour) {
        self.gateways.behaviours.lock().insert(gateway(name), behaviour);
    }

    pub async fn say(&self, name: &str, words: Vec<Subscription>) -> ChannelLife {
        self.service.subscribe(&gateway(name), words).await.unwrap()
    }

    pub async fn publish(&self, name: &str, number: u64) -> u64 {
        let raises = vec![(topic(name), Raise::To(version(number)))];
        self.service.publish(raises).await.unwrap()[0].get()
    }

    pub async fn followers(&self, name: &str) -> u64 {
        self.service.followers(vec![topic(name)]).await.unwrap()[0]
    }

    pub async fn stored(&self, name: &str) -> u64 {
        self.store.memory().read(vec![topic(name)]).await.unwrap()[0].get()
    }

    /// The next call to a gateway.
    pub async fn next_call(&mut self) -> Call {
        timeout(LONG, self.calls.recv()).await.expect("a gateway is called").expect("the gateways are there")
    }

    /// No gateway is called for a while.
    pub async fn assert_quiet(&mut self) {
        let more = timeout(Duration::from_secs(1), self.calls.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }

    /// Time passes in which the gateways named say that they are there.
    pub async fn pass(&self, time: Duration, talking: &[&str]) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for name in talking {
                self.say(name, vec![]).await;
            }
            // The clock is paused: it moves on by itself when nothing else is to be done.
            let _ = timeout(Duration::from_millis(500), std::future::pending::<()>()).await;
        }
    }

    /// Asks it to end, and waits until it has.
    pub async fn end(&mut self) -> Result<(), Error> {
        self.stop.cancel();
        self.ended().await
    }

    pub async fn ended(&mut self) -> Result<(), Error> {
        timeout(LONG, self.tasks.join_next()).await.expect("it ends").expect("it ran").expect("no panic")
    }

    /// The sum of a counter or gauge without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect("the metric exists");
        let metric = &family.get_metric()[0];
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }
}

impl Store {
    fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory.lock())
    }

    /// Another store answers from now on, and knows nothing.
    pub fn replace(&self) {
        *self.memory.lock() = empty();
    }
}

fn empty() -> Arc<Memory> {
    let clock = Arc::new(|| Timestamp::from_millis(NOW_MS));
    Arc::new(Memory::new(&doorbell_backplane::Config::default(), clock))
}

#[async_trait]
impl Versions for Store {
    fn partitions(&self) -> Partitions {
        Versions::partitions(&*self.memory())
    }

    async fn raise(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, doorbell_backplane::Error> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(doorbell_backplane::Error::Unavailable { reason: "told to".to_owned() });
        }
        self.memory().raise(raises).await
    }

    async fn read(&self, topics: Vec<TopicId>) -> Result<Vec<Version>, doorbell_backplane::Error> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.memory().read(topics).await
    }

    async fn look(
        &self,
        since: Vec<(Partition, Option<ChangeCounter>)>,
        changes_max: usize,
    ) -> Result<Vec<Look>, doorbell_backplane::Error> {
        self.memory().look(since, changes_max).await
    }
}

#[async_trait]
impl Gateways for Told {
    async fn deliver(
        &self,
        gateway: &GatewayId,
        _: Vec<DeliverRequest>,
    ) -> Result<Vec<Delivered>, doorbell_rpc::Error> {
        Err(doorbell_rpc::Error::Unreachable { gateway: gateway.clone() })
    }

    async fn publish(&self, id: &GatewayId, hints: Vec<Hint>) -> Result<Vec<Heard>, doorbell_rpc::Error> {
        let _open = Open::new(self, id);
        let mut topics: Vec<_> =
            hints.iter().map(|hint| (hint.topic.to_string(), hint.version.get())).collect();
        topics.sort();
        self.calls.try_send((id.to_string(), topics)).unwrap();
        let behaviour = self.behaviours.lock().get(id).cloned().unwrap_or(Behaviour::Follows);
        let mut heard = vec![Heard::Followed; hints.len()];
        match behaviour {
            Behaviour::Follows => {}
            Behaviour::Waits(permits) => permits.acquire().await.unwrap().forget(),
            Behaviour::Unfollowed(generation) => heard.fill(Heard::Unfollowed(Generation(generation))),
            Behaviour::Short => heard.truncate(hints.len() - 1),
            Behaviour::Unreachable => {
                return Err(doorbell_rpc::Error::Unreachable { gateway: id.clone() });
            }
            Behaviour::Busy => return Err(doorbell_rpc::Error::Busy { gateway: id.clone() }),
            Behaviour::Panics => panic!("told to"),
        }
        Ok(heard)
    }

    async fn signal(&self, _: &GatewayId, _: SignalRequest) -> Result<(), doorbell_rpc::Error> {
        unreachable!("the channel service sends no signals")
    }
}

impl<'a> Open<'a> {
    fn new(told: &'a Told, id: &'a GatewayId) -> Self {
        let mut open = told.open.lock();
        let calls = open.entry(id.clone()).or_default();
        *calls += 1;
        assert_eq!(*calls, 1, "one call to a gateway at a time");
        drop(open);
        Self(told, id)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        *self.0.open.lock().get_mut(self.1).expect("it was opened") -= 1;
    }
}
