//! A service on a directory of its own, and what its hint queue was told.

pub mod doors;
pub mod published;
pub mod stores;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use doorbell_backplane::queue::QueueDepth;
use doorbell_backplane::{
    Claim, ClaimToken, Error as Unavailable, HintQueue, HintReport, Memory, News, Partition, Partitions,
    Settled, Settlement, UserHint,
};
use doorbell_message_svc::{Config, Error, MessageService, Metrics, Neighbours};
use doorbell_protocol::{Clock, Encoding, ErrorBody, ErrorCode, Payload, Timestamp, UserId};
use doorbell_rpc::{CallRequest, Messages, Missed, OfflineHook};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use doors::{Directory, Doors};
use published::Published;
use stores::Stores;

/// A directory in memory where there is one: what is tested is not the disk.
pub fn fast_dir() -> Arc<TempDir> {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    Arc::new(in_memory.or_else(|_| tempfile::tempdir()).unwrap())
}

/// A wait for something that must come; far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that moves by hand.
#[derive(Clone)]
pub struct Hands(Arc<AtomicU64>);

impl Hands {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
    pub fn clock(&self) -> Clock {
        let hands = self.0.clone();
        Arc::new(move || Timestamp::from_millis(hands.load(Ordering::SeqCst)))
    }
}

/// The memory back-end, with a record of what it was told, and with faults.
pub struct Bells {
    inner: Arc<Memory>,
    pub directory: Arc<Directory>,
    pub doors: Arc<Doors>,
    pub stores: Arc<Stores>,
    told: Mutex<Vec<UserHint>>,
    /// Users without a session, with the topics that they missed. In the memory back-end nobody has one.
    missed: Mutex<BTreeSet<(String, String)>>,
    fail: AtomicUsize,
    calls: AtomicUsize,
    asked: Notify,
}

impl Bells {
    pub fn new(clock: Clock) -> Arc<Self> {
        let inner = Arc::new(Memory::new(&doorbell_backplane::Config::default(), clock));
        Arc::new(Self {
            directory: Arc::new(Directory::new(Arc::clone(&inner))),
            doors: Arc::default(),
            stores: Arc::default(),
            inner,
            told: Mutex::default(),
            missed: Mutex::default(),
            fail: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            asked: Notify::new(),
        })
    }

    /// The same memory as a registry.
    pub fn registry(&self) -> Arc<Memory> {
        Arc::clone(&self.inner)
    }

    /// Lets the next calls fail.
    pub fn fail(&self, calls: usize) {
        self.fail.store(calls, Ordering::SeqCst);
    }

    /// Everything that was told so far: user, topic, version; each once, sorted.
    pub fn told(&self) -> BTreeMap<(String, String), u64> {
        let mut told = BTreeMap::new();
        for hint in self.told.lock().iter() {
            let News::Hint(news) = &hint.news else { continue };
            let greatest = told.entry((hint.user.to_string(), news.topic.to_string())).or_insert(0);
            *greatest = news.version.get().max(*greatest);
        }
        told
    }

    /// Who was told to ask again for their large topics, so far.
    pub fn refollowed(&self) -> BTreeSet<String> {
        let told = self.told.lock();
        told.iter().filter(|hint| hint.news == News::Refollow).map(|hint| hint.user.to_string()).collect()
    }

    /// Forgets what was told so far.
    pub fn hush(&self) {
        self.told.lock().clear();
    }

    /// Waits until a user was told of a version of a topic.
    pub async fn rung(&self, user: &str, topic: &str, version: u64) {
        let key = (user.to_owned(), topic.to_owned());
        let is_rung = || self.told().get(&key).is_some_and(|told| *told >= version);
        assert!(self.until(is_rung).await, "{key:?} at {version}: {:?}", self.told());
    }

    /// Waits until users were told to ask for their topics.
    pub async fn marked(&self, users: &BTreeSet<String>) {
        let are_marked = self.until(|| self.refollowed().is_superset(users)).await;
        assert!(are_marked, "{users:?}: {:?}", self.refollowed());
    }

    /// Whether something holds in time.
    async fn until(&self, holds: impl Fn() -> bool) -> bool {
        let all = async {
            loop {
                let asked = self.asked.notified();
                if holds() {
                    return;
                }
                asked.await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.is_ok()
    }

    /// Whether the hook has heard that a user missed a topic.
    pub fn has_missed(&self, user: &str, topic: &str) -> bool {
        self.missed.lock().contains(&(user.to_owned(), topic.to_owned()))
    }

    /// Forgets what anybody missed.
    pub fn forget_missed(&self) {
        self.missed.lock().clear();
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Waits for the next call, whatever becomes of it.
    pub async fn asked(&self) {
        tokio::time::timeout(PATIENCE, self.asked.notified()).await.unwrap();
    }
}

impl OfflineHook for Bells {
    fn missed(&self, missed: Vec<Missed>) {
        let topics = missed.iter().flat_map(|one| one.news.topics().keys().map(|topic| (&one.user, topic)));
        self.missed.lock().extend(topics.map(|(user, topic)| (user.to_string(), topic.to_string())));
    }
}

#[async_trait]
impl HintQueue for Bells {
    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }
    async fn hint(&self, hints: Vec<UserHint>) -> Result<HintReport, Unavailable> {
        let fails =
            self.fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let answer = if fails {
            Err(Unavailable::Unavailable { reason: "a test said so".into() })
        } else {
            self.told.lock().extend(hints.iter().cloned());
            self.inner.hint(hints).await
        };
        self.asked.notify_waiters();
        answer
    }
    async fn claim(
        &self,
        partition: Partition,
        users: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, Unavailable> {
        self.inner.claim(partition, users, lease).await
    }
    async fn settle(
        &self,
        partition: Partition,
        settlements: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Unavailable> {
        self.inner.settle(partition, settlements, delay).await
    }
    async fn release(
        &self,
        partition: Partition,
        claims: Vec<(UserId, ClaimToken)>,
        delay: Duration,
    ) -> Result<(), Unavailable> {
        self.inner.release(partition, claims, delay).await
    }
    async fn bell(&self) -> Partition {
        self.inner.bell().await
    }
    async fn depth(&self) -> Result<QueueDepth, Unavailable> {
        self.inner.depth().await
    }
}

/// A service, and what surrounds it.
pub struct House {
    service: Option<Arc<MessageService>>,
    pub bells: Arc<Bells>,
    pub published: Arc<Published>,
    pub hands: Hands,
    pub config: Config,
    pub dir: Arc<TempDir>,
    running: Option<(CancellationToken, JoinHandle<Result<(), Error>>)>,
}

/// No throttle: only its own tests want one. Two shards, so that what crosses from one to the other is tested.
pub fn config() -> Config {
    let shards = const { NonZeroU16::new(2).unwrap() };
    Config {
        shards,
        throttle_messages: 0,
        throttle_conversations: 0,
        disk_reserve_bytes: 1 << 20,
        ..Config::default()
    }
}

/// Who a service is told of: all of it doubles.
pub fn neighbours(bells: &Arc<Bells>, published: &Arc<Published>) -> Neighbours {
    Neighbours {
        queue: bells.clone(),
        channels: published.clone(),
        registry: bells.directory.clone(),
        versions: bells.stores.clone(),
        buckets: Some(bells.registry()),
        gateways: bells.doors.clone(),
        offline: Some(bells.clone()),
    }
}

pub fn open_in(
    dir: &Path,
    config: &Config,
    hands: &Hands,
    bells: &Arc<Bells>,
    published: &Arc<Published>,
) -> Result<Arc<MessageService>, Error> {
    let neighbours = neighbours(bells, published);
    let metrics = Arc::new(Metrics::register(&prometheus::Registry::new()).unwrap());
    MessageService::open(config.clone(), dir, hands.clock(), neighbours, metrics)
}

impl House {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        let hands = Hands::new();
        Self::build(config, fast_dir(), Bells::new(hands.clock()), hands)
    }

    fn build(config: Config, dir: Arc<TempDir>, bells: Arc<Bells>, hands: Hands) -> Self {
        let published = Arc::default();
        let service = open_in(dir.path(), &config, &hands, &bells, &published).unwrap();
        Self { published, ..Self::around(service, bells, hands, config, dir) }
    }

    /// Around a service that is open already.
    pub fn around(
        service: Arc<MessageService>,
        bells: Arc<Bells>,
        hands: Hands,
        config: Config,
        dir: Arc<TempDir>,
    ) -> Self {
        let published = Arc::default();
        Self { service: Some(service), bells, published, hands, config, dir, running: None }
    }

    /// Starts to announce.
    pub fn run(&mut self) {
        let stop = CancellationToken::new();
        let handle = tokio::runtime::Handle::current().spawn(self.service().clone().run(stop.clone()));
        self.running = Some((stop, handle));
    }

    /// Stops in good order.
    pub async fn stop(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        stop.cancel();
        tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
    }

    /// Opens the same directory again, with bells that have not heard anything.
    pub async fn reopen(mut self) -> Self {
        if self.running.is_some() {
            self.stop().await;
        }
        self.close();
        self.bells = Bells::new(self.hands.clock());
        self.open();
        self
    }

    /// The service.
    pub fn service(&self) -> &Arc<MessageService> {
        self.service.as_ref().unwrap()
    }

    /// Closes the store, and waits until it is.
    pub fn close(&mut self) {
        drop(Arc::into_inner(self.service.take().unwrap()).unwrap());
    }

    /// Opens the directory again.
    pub fn open(&mut self) {
        self.try_open().unwrap();
    }

    /// As `open`, where it may be refused.
    pub fn try_open(&mut self) -> Result<(), Error> {
        self.service =
            Some(open_in(self.dir.path(), &self.config, &self.hands, &self.bells, &self.published)?);
        Ok(())
    }

    pub async fn call_in(
        &self,
        encoding: Encoding,
        user: &str,
        method: &str,
        params: &Value,
    ) -> Result<Value, ErrorBody> {
        let user = UserId::new(user).unwrap();
        let params = Payload::encode(encoding, params);
        let request = CallRequest { caller: user.into(), method: method.into(), params };
        let result = self.service().call(request).await?;
        assert_eq!(result.encoding(), encoding);
        assert!(result.bytes().len() <= 256 * 1024 - 64, "{method}: {} bytes", result.bytes().len());
        Ok(result.parse().unwrap())
    }

    pub async fn call(&self, user: &str, method: &str, params: Value) -> Result<Value, ErrorBody> {
        self.call_in(Encoding::Json, user, method, &params).await
    }

    pub async fn ok(&self, user: &str, method: &str, params: Value) -> Value {
        self.call(user, method, params).await.unwrap_or_else(|e| panic!("{method}: {e:?}"))
    }

    pub async fn code(&self, user: &str, method: &str, params: Value) -> ErrorCode {
        match self.call(user, method, params).await {
            Err(body) => body.code,
            Ok(result) => panic!("{method}: {result}"),
        }
    }

    /// Sends a text under a key that nobody used before.
    pub async fn send(&self, user: &str, conversation: &str, text: &str) -> u64 {
        let params = json!({"conversation": conversation, "key": fresh_key(), "text": text});
        self.ok(user, "messages.send", params).await["version"].as_u64().unwrap()
    }

    /// Sends a text to a user; answers the conversation's id.
    pub async fn send_to(&self, user: &str, to: &str, text: &str) -> String {
        let params = json!({"to": to, "key": fresh_key(), "text": text});
        text_of(&self.ok(user, "messages.send", params).await["conversation"])
    }

    /// Makes a group; answers its id.
    pub async fn group(&self, user: &str, members: &[&str]) -> String {
        let params = json!({"members": members, "title": "a group", "key": fresh_key()});
        text_of(&self.ok(user, "conversations.create", params).await["conversation"])
    }

    /// The texts of a log after a version.
    pub async fn texts(&self, user: &str, conversation: &str, after: u64) -> Vec<String> {
        let params = json!({"conversation": conversation, "after": after, "limit": 500});
        let page = self.ok(user, "messages.list", params).await;
        page["messages"].as_array().unwrap().iter().map(|message| text_of(&message["text"])).collect()
    }
}

pub fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

pub fn fresh_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("key-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Raw bytes as parameters, as a client may send them.
pub fn raw(json: &str) -> Payload {
    Payload::from_untrusted(Encoding::Json, Bytes::copy_from_slice(json.as_bytes())).unwrap()
}
