//! Processes that record what they are asked, and a registry that can be away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::discovery::StoreFacts;
use doorbell_backplane::{Discovery, Instance, Instances, Memory, PartitionIdentity, Role, Versions};
use doorbell_cluster::{Config, Dial, Links, Local, Membership, Metrics, Others, OwnedChannels, Remote};
use doorbell_protocol::{
    ErrorBody, ErrorCode, GatewayId, Hint, InstanceId, Payload, Raise, Timestamp, TopicId, UserId, Version,
};
use doorbell_rpc::{
    Audiences, CallRequest, ChannelLife, Channels, DeliverRequest, Delivered, Error, GatewayApi, Heard,
    Messages, Missed, Move, Mutes, Presence, Signal, SignalReply, SignalRequest, Signals, Subscription,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// One process.
#[derive(Default)]
pub struct Process {
    pub is_away: AtomicBool,
    pub life: AtomicU64,
    /// How long every second word takes.
    pub lag: Mutex<Duration>,
    pub published: Mutex<Vec<TopicId>>,
    pub words: Mutex<Vec<Vec<TopicId>>>,
    pub calls: AtomicU64,
}

impl Process {
    fn up(&self) -> Result<(), Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { service: "channel-svc", reason: "away".to_owned() });
        }
        Ok(())
    }

    pub fn published(&self) -> Vec<String> {
        self.published.lock().iter().map(ToString::to_string).collect()
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Channels for Process {
    async fn publish(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        self.up()?;
        self.published.lock().extend(raises.iter().map(|(topic, _)| topic.clone()));
        let version = |raise| if let Raise::To(version) = raise { version } else { Version::ZERO };
        Ok(raises.into_iter().map(|(_, raise)| version(raise)).collect())
    }

    async fn subscribe(&self, _: &GatewayId, words: Vec<Subscription>) -> Result<ChannelLife, Error> {
        self.up()?;
        if self.calls().is_multiple_of(2) {
            let lag = *self.lag.lock();
            // The clock is paused: time passes while nobody answers.
            let _ = tokio::time::timeout(lag, std::future::pending::<()>()).await;
        }
        self.words.lock().push(words.into_iter().map(|word| word.topic).collect());
        Ok(ChannelLife(self.life.load(Ordering::SeqCst).into()))
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, Error> {
        self.up()?;
        Ok(topics.iter().map(|topic| topic.as_str().len() as u64).collect())
    }
}

#[async_trait]
impl GatewayApi for Process {
    async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, Error> {
        self.up()?;
        Ok(batch.iter().map(|_| Delivered::Sessions(1)).collect())
    }

    async fn publish(&self, _: Vec<Hint>) -> Result<Vec<Heard>, Error> {
        self.up().map(|()| Vec::new())
    }

    async fn signal(&self, _: SignalRequest) -> Result<(), Error> {
        self.up()
    }
}

#[async_trait]
impl Messages for Process {
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        self.up().map_err(|error| ErrorBody::new(ErrorCode::Internal, error.to_string()))?;
        Ok(request.params)
    }
}

#[async_trait]
impl Audiences for Process {
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, Error> {
        self.up().map(|()| vec![Vec::new(); users.len()])
    }

    async fn authorize(&self, _: &UserId, _: Vec<TopicId>) -> Result<Vec<Hint>, Error> {
        self.up().map(|()| Vec::new())
    }
}

#[async_trait]
impl Signals for Process {
    async fn signal(&self, _: Signal) -> Result<SignalReply, Error> {
        self.up().map(|()| SignalReply::Passed)
    }
}

#[async_trait]
impl Presence for Process {
    async fn moved(&self, _: Vec<Move>) -> Result<(), Error> {
        self.up()
    }
}

#[async_trait]
impl Mutes for Process {
    async fn unmuted(&self, missed: Vec<Missed>) -> Result<Vec<Missed>, Error> {
        self.up().map(|()| missed)
    }
}

/// Where processes say that they are there.
#[derive(Default)]
pub struct Lobby {
    pub is_away: AtomicBool,
    pub others: Mutex<BTreeMap<InstanceId, Instance>>,
}

#[async_trait]
impl Discovery for Lobby {
    async fn announce(
        &self,
        instance: &Instance,
        _: Duration,
    ) -> Result<Instances, doorbell_backplane::Error> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(doorbell_backplane::Error::Unavailable { reason: "away".to_owned() });
        }
        let mut others = self.others.lock();
        others.insert(instance.id.clone(), instance.clone());
        Ok(Instances {
            identity: PartitionIdentity("lobby".to_owned()),
            live: others.values().cloned().collect(),
        })
    }

    async fn withdraw(&self, instance: &InstanceId) -> Result<(), doorbell_backplane::Error> {
        self.others.lock().remove(instance);
        Ok(())
    }

    async fn settle_store(&self, store: &str) -> Result<String, doorbell_backplane::Error> {
        Ok(store.to_owned())
    }
}

/// The process `own` and the way to the others.
pub struct Rig {
    pub lobby: Arc<Lobby>,
    pub processes: Arc<Mutex<BTreeMap<String, Arc<Process>>>>,
    pub links: Arc<Links>,
    pub others: Others,
    pub versions: Arc<Memory>,
    pub metrics: prometheus::Registry,
    pub stop: CancellationToken,
    cluster: Metrics,
    _tasks: JoinSet<()>,
}

pub fn instance(id: &str, roles: &[Role], store: Option<&str>) -> Instance {
    Instance {
        id: InstanceId::new(id).unwrap(),
        roles: roles.to_vec(),
        address: format!("{id}:1"),
        gateway: None,
        store: store.map(|id| StoreFacts { id: id.to_owned(), opened_ms: 1 }),
    }
}

pub fn topic(name: &str) -> TopicId {
    TopicId::new(format!("t:{name}")).unwrap()
}

impl Rig {
    /// `own` has these roles.
    pub async fn new(roles: &[Role]) -> Self {
        let (lobby, processes) =
            (Arc::<Lobby>::default(), Arc::<Mutex<BTreeMap<String, Arc<Process>>>>::default());
        let dialled = Arc::clone(&processes);
        let dial: Dial = Arc::new(move |instance: &Instance| {
            Arc::clone(dialled.lock().entry(instance.id.to_string()).or_default()) as Arc<dyn Remote>
        });
        let own = instance("own", roles, None);
        let links = Arc::new(Links::new(own.id.clone(), Arc::<Local>::default(), dial));
        let metrics = prometheus::Registry::new();
        let cluster = Metrics::register(&metrics).unwrap();
        let clock = Arc::new(|| Timestamp::from_millis(1_000));
        let versions = Arc::new(Memory::new(&doorbell_backplane::Config::default(), clock));
        let discovery = Arc::clone(&lobby) as Arc<dyn Discovery>;
        let described = Arc::new(move || own.clone());
        let mut membership =
            Membership::new(discovery, described, Arc::clone(&links), Config::default(), cluster.clone());
        membership.announce().await;
        let (others, stop) = (membership.others(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(membership.run(stop.clone()));
        Self { lobby, processes, links, others, versions, metrics, stop, cluster, _tasks: tasks }
    }

    /// One more process, known to the registry.
    pub fn add(&self, instance: Instance) -> Arc<Process> {
        let process = Arc::clone(self.processes.lock().entry(instance.id.to_string()).or_default());
        self.lobby.others.lock().insert(instance.id.clone(), instance);
        process
    }

    pub fn remove(&self, id: &str) {
        self.lobby.others.lock().remove(&InstanceId::new(id).unwrap());
    }

    /// Until everybody in the registry is known, and nobody else.
    pub async fn settled(&self) {
        // The clock is paused: it moves when everybody waits.
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        loop {
            looks.tick().await;
            let known: Vec<InstanceId> = self.others.view().all().iter().map(|one| one.id.clone()).collect();
            if known == self.lobby.others.lock().keys().cloned().collect::<Vec<_>>() {
                return;
            }
        }
    }

    pub fn channels(&self) -> OwnedChannels {
        let versions = Arc::clone(&self.versions) as Arc<dyn Versions>;
        OwnedChannels::new(
            Arc::clone(&self.links),
            self.others.clone(),
            versions,
            Config::default(),
            self.cluster.clone(),
        )
    }

    /// The sum of a family.
    pub fn counted(&self, family: &str) -> f64 {
        let families = self.metrics.gather();
        let found = families.iter().find(|one| one.name() == family).unwrap();
        found.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
    }
}
