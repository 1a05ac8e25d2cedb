//! A notifier between a real queue and gateways that do as they are told.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::queue::entry::UserState;
use doorbell_backplane::{
    Claim, ClaimToken, Enter, Entered, Entry, Error, HintQueue, HintReport, Lease, Memory, News, Partition,
    Partitions, QueueDepth, Registry, Settled, Settlement, UserHint,
};
use doorbell_notifier::{Config, Metrics, Neighbours, Notifier};
use doorbell_protocol::{
    Clock, DirtyMap, Epoch, GatewayId, Generation, Hint, Stamp, Timestamp, TopicId, UserId, Version,
};
use doorbell_rpc::{
    DeliverRequest, Delivered, Gateways, Heard as Answered, Missed, Move, OfflineHook, Presence,
    SignalRequest, Way,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Under the paused clock this passes at once when nothing else happens.
const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS_MAX: usize = 4_096;

/// What a gateway does with a batch.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    /// Rings one session of each user.
    Ring,
    /// Rings them after that time.
    Slow(Duration),
    /// Knows none of them; answers this stamp.
    Absent(Stamp),
    /// Is not there.
    Unreachable,
    /// Has no room.
    Busy,
    /// Never answers.
    Stuck,
    /// Answers for one user too few.
    Short,
    /// Has a bug.
    Panic,
}

/// What the backplane does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Sound,
    Failing,
    FailingToSettle,
    /// Settles, and the answers are lost.
    SettlingUnheard,
    /// Answers claims after that time.
    SlowToClaim(Duration),
    /// Works, but nobody hears its bell.
    Mute,
}

/// One call that a gateway got.
#[derive(Clone, Debug)]
pub struct Call {
    pub gateway: GatewayId,
    pub at: Instant,
    pub batch: Vec<(UserId, DirtyMap)>,
}

impl Call {
    pub fn users(&self) -> Vec<&str> {
        self.batch.iter().map(|(user, _)| user.as_str()).collect()
    }

    pub fn versions(&self, user: &str) -> Vec<u64> {
        let found = self.batch.iter().find(|(other, _)| other.as_str() == user);
        found.into_iter().flat_map(|(_, dirty)| dirty.topics().values().map(|v| v.get())).collect()
    }
}

/// One user settled, and what the queue said to it.
#[derive(Clone, Debug)]
pub struct SettledUser {
    pub at: Instant,
    pub settlement: Settlement,
    pub settled: Settled,
}

/// What was told of who went, and who was reported as offline, with the versions that they missed.
pub struct Heard {
    memory: Arc<Memory>,
    failing: Mutex<bool>,
    went: Mutex<Vec<String>>,
    missed: Mutex<Vec<(UserId, Vec<u64>)>>,
}

pub struct Rig {
    pub heard: Arc<Heard>,
    pub memory: Arc<Memory>,
    pub metrics: prometheus::Registry,
    gateways: Arc<Told>,
    watched: Arc<Watched>,
    calls: mpsc::Receiver<Call>,
    settled: mpsc::Receiver<SettledUser>,
    epochs: HashMap<GatewayId, Vec<Epoch>>,
    generation: u64,
    clock: Clock,
}

struct Told {
    behaviours: Mutex<HashMap<GatewayId, Behaviour>>,
    calls: mpsc::Sender<Call>,
}

struct Watched {
    memory: Arc<Memory>,
    store: Mutex<Store>,
    settled: mpsc::Sender<SettledUser>,
}

/// A user, or a canary.
pub fn user(name: &str) -> UserId {
    UserId::from_inside(name).unwrap()
}

pub fn gateway(name: &str) -> GatewayId {
    GatewayId::new(name).unwrap()
}

impl Rig {
    pub fn new() -> Self {
        let start = Instant::now();
        let clock: Clock = Arc::new(move || Timestamp::from_millis(1_000_000).plus(start.elapsed()));
        let memory = Arc::new(Memory::new(&doorbell_backplane::Config::default(), Arc::clone(&clock)));
        let (calls_in, calls) = mpsc::channel(EVENTS_MAX);
        let (settled_in, settled) = mpsc::channel(EVENTS_MAX);
        Self {
            metrics: prometheus::Registry::new(),
            gateways: Arc::new(Told { behaviours: Mutex::default(), calls: calls_in }),
            watched: Arc::new(Watched {
                memory: Arc::clone(&memory),
                store: Mutex::new(Store::Sound),
                settled: settled_in,
            }),
            heard: Arc::new(Heard {
                memory: Arc::clone(&memory),
                failing: Mutex::new(false),
                went: Mutex::default(),
                missed: Mutex::default(),
            }),
            memory,
            calls,
            settled,
            epochs: HashMap::new(),
            generation: 0,
            clock,
        }
    }

    pub fn notifier(&self, config: Config) -> Notifier {
        let neighbours = Neighbours {
            queue: Arc::clone(&self.watched) as Arc<dyn HintQueue>,
            registry: Arc::clone(&self.watched) as Arc<dyn Registry>,
            presence: Some(Arc::clone(&self.heard) as Arc<dyn Presence>),
            gateways: Arc::clone(&self.gateways) as Arc<dyn Gateways>,
            offline: Some(Arc::clone(&self.heard) as Arc<dyn OfflineHook>),
            clock: Arc::clone(&self.clock),
        };
        Notifier::new(config, neighbours, Metrics::register(&self.metrics).unwrap())
    }

    /// Starts a notifier; its result comes from the handle after the token was cancelled.
    pub fn start(&self, config: Config) -> (CancellationToken, Running) {
        let stop = CancellationToken::new();
        let run = self.notifier(config).run(stop.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(run);
        (stop, Running(tasks))
    }

    pub fn fail_presence(&self, failing: bool) {
        *self.heard.failing.lock() = failing;
    }

    /// Who was told to have gone, in order.
    pub fn went(&self) -> Vec<String> {
        self.heard.went.lock().clone()
    }

    pub fn tell(&self, id: &str, behaviour: Behaviour) {
        self.gateways.behaviours.lock().insert(gateway(id), behaviour);
    }

    pub fn store(&self, store: Store) {
        *self.watched.store.lock() = store;
    }

    /// A gateway with leases of that length on every partition.
    pub async fn open(&mut self, id: &str, behaviour: Behaviour, ttl: Duration) {
        self.tell(id, behaviour);
        let mut epochs = Vec::new();
        for partition in self.memory.partitions().all() {
            epochs.push(self.memory.take_lease(&gateway(id), partition, ttl).await.unwrap().epoch);
        }
        self.epochs.insert(gateway(id), epochs);
    }

    /// A gateway that holds its leases for the whole test.
    pub async fn open_for_good(&mut self, id: &str, behaviour: Behaviour) {
        self.open(id, behaviour, Duration::from_secs(86_400)).await;
    }

    pub async fn enter(&mut self, name: &str, at: &str) -> Stamp {
        self.generation += 1;
        let partition = self.memory.partitions().of(&user(name));
        let epoch = self.epochs[&gateway(at)][partition.index()];
        let stamp = Stamp { epoch, generation: Generation(self.generation) };
        let enter = Enter { user: user(name), entry: Entry { gateway: gateway(at), stamp } };
        assert_eq!(self.memory.enter(vec![enter]).await.unwrap(), [Entered::Registered]);
        stamp
    }

    pub async fn hint(&self, names: &[&str], version: u64) -> HintReport {
        let hint = Hint { topic: TopicId::new("t:1").unwrap(), version: Version::new(version).unwrap() };
        let hints = names.iter().map(|name| UserHint { user: user(name), news: News::Hint(hint.clone()) });
        self.memory.hint(hints.collect()).await.unwrap()
    }

    pub async fn next_call(&mut self) -> Call {
        timeout(PATIENCE, self.calls.recv()).await.expect("no gateway was called").unwrap()
    }

    pub async fn next_settled(&mut self) -> SettledUser {
        timeout(PATIENCE, self.settled.recv()).await.expect("nobody was settled").unwrap()
    }

    pub fn no_more_calls(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }

    /// `name{labels}` as /metrics shows it.
    pub fn metric(&self, name: &str) -> f64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.metrics.gather()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }

    pub fn is_idle(&self, name: &str) -> bool {
        self.memory.user(&user(name)) == UserState::Idle
    }
}

pub struct Running(tokio::task::JoinSet<Result<(), doorbell_notifier::Error>>);

impl Running {
    pub async fn ended(mut self) -> Result<(), doorbell_notifier::Error> {
        timeout(PATIENCE, self.0.join_next()).await.expect("the notifier did not end").unwrap().unwrap()
    }
}

impl Heard {
    pub fn of(&self, name: &str) -> Vec<u64> {
        let heard = self.missed.lock();
        heard
            .iter()
            .filter(|(user, _)| user.as_str() == name)
            .flat_map(|(_, versions)| versions.clone())
            .collect()
    }
}

impl OfflineHook for Heard {
    fn missed(&self, missed: Vec<Missed>) {
        let versions = |news: &DirtyMap| news.topics().values().map(|version| version.get()).collect();
        self.missed.lock().extend(missed.iter().map(|missed| (missed.user.clone(), versions(&missed.news))));
    }
}

#[async_trait]
impl Presence for Heard {
    async fn moved(&self, moves: Vec<Move>) -> Result<(), doorbell_rpc::Error> {
        if *self.failing.lock() {
            let reason = "told to".to_owned();
            return Err(doorbell_rpc::Error::Unavailable { service: "message-svc", reason });
        }
        for Move { user, way } in moves {
            assert_eq!(way, Way::Went);
            let entries = self.memory.look_up(vec![user.clone()]).await.unwrap();
            assert!(!entries[0].is_empty(), "{user} was removed before");
            self.went.lock().push(user.to_string());
        }
        Ok(())
    }
}

#[async_trait]
impl Gateways for Told {
    async fn deliver(
        &self,
        id: &GatewayId,
        batch: Vec<DeliverRequest>,
    ) -> Result<Vec<Delivered>, doorbell_rpc::Error> {
        let seen = batch.iter().map(|request| (request.user.clone(), request.dirty.clone())).collect();
        self.calls.try_send(Call { gateway: id.clone(), at: Instant::now(), batch: seen }).unwrap();
        let behaviour = self.behaviours.lock().get(id).copied().unwrap_or(Behaviour::Unreachable);
        let rung = || vec![Delivered::Sessions(1); batch.len()];
        match behaviour {
            Behaviour::Ring => Ok(rung()),
            Behaviour::Slow(time) => {
                let _ = timeout(time, pending::<()>()).await;
                Ok(rung())
            }
            Behaviour::Absent(stamp) => Ok(vec![Delivered::Absent(stamp); batch.len()]),
            Behaviour::Unreachable => Err(doorbell_rpc::Error::Unreachable { gateway: id.clone() }),
            Behaviour::Busy => Err(doorbell_rpc::Error::Busy { gateway: id.clone() }),
            Behaviour::Stuck => pending().await,
            Behaviour::Short => Ok(rung().split_off(1)),
            Behaviour::Panic => panic!("told to"),
        }
    }

    async fn publish(&self, id: &GatewayId, _: Vec<Hint>) -> Result<Vec<Answered>, doorbell_rpc::Error> {
        Err(doorbell_rpc::Error::Unreachable { gateway: id.clone() })
    }

    async fn signal(&self, _: &GatewayId, _: SignalRequest) -> Result<(), doorbell_rpc::Error> {
        unreachable!("a notifier sends no signals")
    }
}

impl Watched {
    fn check(&self, failing: &[Store]) -> Result<(), Error> {
        if failing.contains(&*self.store.lock()) {
            return Err(Error::Unavailable { reason: "told to".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl HintQueue for Watched {
    fn partitions(&self) -> Partitions {
        self.memory.partitions()
    }

    async fn hint(&self, hints: Vec<UserHint>) -> Result<HintReport, Error> {
        self.memory.hint(hints).await
    }

    async fn claim(
        &self,
        partition: Partition,
        users_max: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, Error> {
        self.check(&[Store::Failing])?;
        let claims = self.memory.claim(partition, users_max, lease).await?;
        let store = *self.store.lock();
        if let Store::SlowToClaim(time) = store
            && !claims.is_empty()
        {
            let _ = timeout(time, pending::<()>()).await;
        }
        Ok(claims)
    }

    async fn settle(
        &self,
        partition: Partition,
        settlements: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Error> {
        self.check(&[Store::Failing, Store::FailingToSettle])?;
        let answers = self.memory.settle(partition, settlements.clone(), delay).await?;
        for (settlement, settled) in settlements.into_iter().zip(&answers) {
            let at = Instant::now();
            self.settled.try_send(SettledUser { at, settlement, settled: *settled }).unwrap();
        }
        self.check(&[Store::SettlingUnheard])?;
        Ok(answers)
    }

    async fn release(
        &self,
        partition: Partition,
        claims: Vec<(UserId, ClaimToken)>,
        delay: Duration,
    ) -> Result<(), Error> {
        self.memory.release(partition, claims, delay).await
    }

    async fn bell(&self) -> Partition {
        if *self.store.lock() == Store::Mute {
            pending::<()>().await;
        }
        self.memory.bell().await
    }

    async fn depth(&self) -> Result<QueueDepth, Error> {
        self.memory.depth().await
    }
}

#[async_trait]
impl Registry for Watched {
    async fn take_lease(&self, id: &GatewayId, partition: Partition, ttl: Duration) -> Result<Lease, Error> {
        self.memory.take_lease(id, partition, ttl).await
    }

    async fn renew_leases(
        &self,
        id: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
        ttl: Duration,
    ) -> Result<Vec<doorbell_backplane::LeaseRenewal>, Error> {
        self.memory.renew_leases(id, leases, ttl).await
    }

    async fn end_leases(&self, id: &GatewayId, leases: Vec<(Partition, Epoch)>) -> Result<(), Error> {
        self.memory.end_leases(id, leases).await
    }

    async fn enter(&self, enters: Vec<Enter>) -> Result<Vec<Entered>, Error> {
        self.memory.enter(enters).await
    }

    async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Error> {
        self.check(&[Store::Failing])?;
        self.memory.leave(leaves).await
    }

    async fn look_up(&self, users: Vec<UserId>) -> Result<Vec<Vec<Entry>>, Error> {
        self.memory.look_up(users).await
    }

    async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Error> {
        self.memory.online(users).await
    }

    async fn lapsed(&self, partition: Partition, entries_max: usize) -> Result<Vec<Enter>, Error> {
        self.check(&[Store::Failing])?;
        self.memory.lapsed(partition, entries_max).await
    }
}
