//! A whole gateway with its loops, and what a test needs around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use doorbell_backplane::Registry;
use doorbell_backplane::memory::Memory;
use doorbell_gateway::auth::Verified;
use doorbell_gateway::uptime::{Moment, Uptime};
use doorbell_gateway::{Config, Error, Gateway, GatewayParts, Metrics, Upgraded};
use doorbell_protocol::{Clock, DirtyMap, Encoding, GatewayId, Hint, Timestamp, TopicId, UserId, Version};
use doorbell_rpc::{DeliverRequest, Delivered, GatewayApi, Heard};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::doubles::{Gated, Names, Service};
use crate::neighbours::{Ears, Members, Passer, Store, hint};

/// Where the clocks stand at a test's start.
pub const START_SECOND: u64 = 1_000;

pub struct Rig {
    pub gateway: Arc<Gateway>,
    /// The registry that the gateway calls: memory, behind a gate.
    pub registry: Arc<Gated>,
    /// What is behind it, and the hint queue.
    pub memory: Arc<Memory>,
    pub service: Arc<Service>,
    pub members: Arc<Members>,
    pub ears: Arc<Ears>,
    pub passer: Arc<Passer>,
    pub store: Arc<Store>,
    pub metrics: prometheus::Registry,
    second: Arc<AtomicU64>,
    stop: CancellationToken,
    loops: JoinHandle<Result<(), Error>>,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    /// Nobody lingers: the tests look at what is left at once.
    pub fn with(config: Config) -> Self {
        Self::lingering(Duration::ZERO, config)
    }

    /// Whoever goes is there for that long still.
    pub fn lingering(grace: Duration, config: Config) -> Self {
        Self::with_canaries(Config { presence_grace: grace, canary_interval: Duration::ZERO, ..config })
    }

    /// As configured, canaries included.
    pub fn with_canaries(config: Config) -> Self {
        let second = Arc::new(AtomicU64::new(START_SECOND));
        let (wall, up) = (Arc::clone(&second), Arc::clone(&second));
        let clock: Clock = Arc::new(move || Timestamp::from_millis(wall.load(Ordering::SeqCst) * 1_000));
        let uptime = Uptime::from_fn(move || Moment::from_secs(up.load(Ordering::SeqCst)));
        let memory = Arc::new(Memory::new(&doorbell_backplane::Config::default(), Arc::clone(&clock)));
        let registry = Arc::new(Gated::new(Arc::clone(&memory)));
        let service = Arc::new(Service::default());
        let (members, ears) = (Arc::<Members>::default(), Arc::<Ears>::default());
        let (store, passer) = (Arc::<Store>::default(), Arc::<Passer>::default());
        let metrics = prometheus::Registry::new();
        let parts = GatewayParts {
            id: GatewayId::new("gw-1").unwrap(),
            config: Config { sweep_interval: Duration::from_millis(5), ..config },
            registry: Arc::clone(&registry) as Arc<dyn Registry>,
            queue: Arc::clone(&memory) as _,
            messages: Arc::clone(&service) as _,
            audiences: Arc::clone(&members) as _,
            signals: Arc::clone(&passer) as _,
            presence: Arc::clone(&members) as _,
            channels: Arc::clone(&ears) as _,
            versions: Arc::clone(&store) as _,
            authenticator: Arc::new(Names),
            clock,
            metrics: Metrics::register(&metrics).unwrap(),
        };
        let gateway = Gateway::with_uptime(parts, uptime);
        let stop = CancellationToken::new();
        let loops = TaskTracker::new().spawn(Arc::clone(&gateway).run(stop.clone()));
        Self {
            gateway,
            registry,
            memory,
            service,
            members,
            ears,
            passer,
            store,
            metrics,
            second,
            stop,
            loops,
        }
    }

    /// Moves both clocks; the sweep sees it within milliseconds.
    pub fn advance(&self, seconds: u64) {
        self.second.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn now_ms(&self) -> u64 {
        self.second.load(Ordering::SeqCst) * 1_000
    }

    /// A socket of the gateway's, and the client's end. Small buffers, so that a client that does not read is noticed.
    pub async fn pair() -> (TcpStream, TcpStream) {
        let listening = TcpSocket::new_v4().unwrap();
        listening.set_send_buffer_size(16 * 1024).unwrap();
        listening.set_nodelay(true).unwrap();
        listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = listening.listen(1).unwrap();
        let connecting = TcpSocket::new_v4().unwrap();
        connecting.set_recv_buffer_size(16 * 1024).unwrap();
        let connected = connecting.connect(listener.local_addr().unwrap());
        let (connected, accepted) = tokio::join!(connected, listener.accept());
        (accepted.unwrap().0, connected.unwrap())
    }

    pub async fn socket(&self, verified: Option<Verified>, encoding: Encoding, leftover: &[u8]) -> TcpStream {
        let (socket, client) = Self::pair().await;
        let peer = socket.peer_addr().unwrap();
        let leftover = Bytes::copy_from_slice(leftover);
        self.gateway.start(Upgraded { socket: socket.into(), leftover, encoding, verified, peer });
        client
    }

    /// A client that has not said anything yet.
    pub async fn connect(&self) -> Client {
        Client::new(self.socket(None, Encoding::Json, &[]).await, Encoding::Json).await
    }

    pub async fn connect_in(&self, encoding: Encoding) -> Client {
        Client::new(self.socket(None, encoding, &[]).await, encoding).await
    }

    /// A client that has its welcome.
    pub async fn session(&self, user: &str) -> Client {
        let mut client = self.connect().await;
        client.hello(user).await;
        client.welcome().await;
        client
    }

    /// Rings one user about one topic.
    pub async fn ring(&self, user: &str, topic: &str, version: u64) -> Delivered {
        let mut dirty = DirtyMap::default();
        dirty.hint(Hint { topic: TopicId::new(topic).unwrap(), version: Version::new(version).unwrap() });
        self.ring_with(user, dirty).await
    }

    pub async fn ring_with(&self, user: &str, dirty: DirtyMap) -> Delivered {
        let batch = vec![DeliverRequest { user: UserId::new(user).unwrap(), dirty }];
        self.gateway.deliver(batch).await.unwrap()[0]
    }

    /// Publishes one topic's version to the gateway.
    pub async fn publish(&self, topic: &str, version: u64) -> Heard {
        self.gateway.publish(vec![hint(topic, version)]).await.unwrap()[0]
    }

    /// Delivers a refollow mark.
    pub async fn mark(&self, user: &str) -> Delivered {
        let mut dirty = DirtyMap::default();
        dirty.mark_refollow();
        self.ring_with(user, dirty).await
    }

    /// Waits until the gateway has asked for a user's large topics that often.
    pub async fn asked(&self, times: usize) {
        self.until("it asks", || self.members.asks() >= times).await;
    }

    /// The sum of a metric's values; a family without any is not gathered.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.metrics.gather();
        let of_name = families.iter().filter(|family| family.name() == name);
        of_name
            .flat_map(|family| family.get_metric())
            .map(|m| m.get_counter().get_value() + m.get_gauge().get_value())
            .sum()
    }

    /// Waits until something holds, without a pause of a fixed length.
    pub async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.loops.await.unwrap().unwrap();
    }
}

pub fn conversation(key: &str, version: u64) -> (TopicId, Version) {
    (TopicId::new(format!("conversation:{key}")).unwrap(), Version::new(version).unwrap())
}
