//! Builds everything for the roles of this process. The only place that knows all services.

pub mod backends;
mod backplane;
mod peers;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail};
use doorbell_backplane::{Discovery, Role};
use doorbell_channel_svc::ChannelService;
use doorbell_cluster::Others;
use doorbell_gateway::auth::{ApiKeys, Authenticator, SignedTokens, TokenMetrics};
use doorbell_gateway::handshake::Handshake;
use doorbell_gateway::handshake::origin::Origins;
use doorbell_gateway::http::hints::HintsDoor;
use doorbell_gateway::http::{BodyLimits, CallDoor, CallRates};
use doorbell_gateway::listener::Listener;
use doorbell_gateway::socket::Transport;
use doorbell_gateway::tls::Tls;
use doorbell_gateway::uptime::Uptime;
use doorbell_gateway::{Gateway, GatewayParts};
use doorbell_message_svc::MessageService;
use doorbell_notifier::{Ingress, Neighbours, Notifier};
use doorbell_protocol::Clock;
use doorbell_rpc::remote::Served;
use doorbell_rpc::{Channels, Gateways, Messages, OfflineHook};
use doorbell_upstream::Hook;
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::clock;
use crate::config::{Config, Listen};
use crate::demo::{Admission, DemoDoor};
use crate::heartbeat::Lag;
use crate::readiness::Readiness;
use crate::site::{Behind, Services, Site};
use crate::trust::Keys;
use crate::whereabouts::Whereabouts;
use backends::Answering;
use backplane::Backplane;
pub use peers::Joined;
use peers::Peers;
pub use store::StoreTask;

/// The door, open to operators; the services follow.
pub struct Door {
    /// Where it is.
    pub address: SocketAddr,
    /// What is spoken there.
    pub transport: Transport,
    /// What connections reach.
    pub site: Arc<Site>,
    /// Whether new clients should come.
    pub readiness: Readiness,
    handshakes: doorbell_gateway::listener::Metrics,
    metrics: prometheus::Registry,
    store: Arc<OnceLock<Arc<MessageService>>>,
}

/// What this process's roles need, built and not yet running.
pub struct Parts {
    /// Holds sockets.
    pub gateway: Option<Arc<Gateway>>,
    /// Keeps messages.
    pub store: Store,
    /// Rings.
    pub notifier: Option<Notifier>,
    /// Publishes to large audiences.
    pub channels: Option<Arc<ChannelService>>,
    /// Reports who had no session.
    pub hook: Option<Hook>,
    /// One of several processes.
    pub joined: Option<(Joined, Served)>,
    /// Sockets on their way from a request to a session.
    pub upgrades: TaskTracker,
}

/// The message store, as far as this process has to do with it.
pub enum Store {
    /// Others have it, or an upstream.
    Elsewhere,
    /// It is open here.
    Open(Arc<MessageService>),
    /// It is opened here when no other process has it.
    Awaited(Box<StoreTask>),
}

/// What says who somebody is.
pub struct Trust {
    /// What signs tokens and checks them.
    pub keys: Keys,
    /// Which other back ends may come.
    pub api_keys: Arc<ApiKeys>,
}

/// What the doors of a process share.
struct Doors {
    messages: Arc<dyn Messages>,
    authenticator: Arc<dyn Authenticator>,
    trust: Trust,
    wall: Clock,
    hints: HintsDoor,
    upgrades: TaskTracker,
    others: Option<Others>,
}

/// What a gateway needs for its clients.
struct Clients {
    trust: Trust,
    upgrades: TaskTracker,
    /// What the notifier's ingress counts, whose door is here.
    notifying: doorbell_notifier::Metrics,
}

/// What the services of this process meet around them.
struct Around {
    backplane: Backplane,
    peers: Peers,
    channels: Arc<dyn Channels>,
    gateways: Arc<dyn Gateways>,
    offline: Option<Arc<dyn OfflineHook>>,
    wall: Clock,
}

impl Around {
    /// Whom the message service tells.
    fn told(&self) -> doorbell_message_svc::Neighbours {
        doorbell_message_svc::Neighbours {
            queue: Arc::clone(&self.backplane.queue),
            channels: Arc::clone(&self.channels),
            registry: Arc::clone(&self.backplane.registry),
            versions: Arc::clone(&self.backplane.versions),
            buckets: self.backplane.buckets.clone(),
            gateways: Arc::clone(&self.gateways),
            offline: self.offline.clone(),
        }
    }

    fn notifier(
        &self,
        config: &Config,
        answering: &Answering,
        metrics: doorbell_notifier::Metrics,
    ) -> Notifier {
        let neighbours = Neighbours {
            queue: Arc::clone(&self.backplane.queue),
            registry: Arc::clone(&self.backplane.registry),
            presence: config.gateway.presence.then(|| Arc::clone(&answering.presence)),
            gateways: Arc::clone(&self.gateways),
            offline: self.offline.clone(),
            clock: self.backplane.clock.clone(),
        };
        Notifier::new(config.notifier.clone(), neighbours, metrics)
    }
}

impl Door {
    /// Takes the address. The listener is to be run at once, so that operators have answers while the store opens.
    ///
    /// # Errors
    /// The name is unknown, or the address cannot be had.
    pub async fn new(
        config: &Config,
        tls: Option<Tls>,
        metrics: prometheus::Registry,
        lag: Lag,
    ) -> Result<(Self, Listener)> {
        let handshakes = doorbell_gateway::listener::Metrics::register(&metrics)?;
        let mut listener = bind(config, &handshakes).await?;
        if let Some(tls) = tls {
            listener = listener.secured_by(tls);
        }
        let store: Arc<OnceLock<Arc<MessageService>>> = Arc::default();
        let asked = Arc::clone(&store);
        // A store that is not open yet is no reason of its own: the process is starting.
        let readiness = Readiness::new(lag, move || asked.get().is_none_or(|messages| messages.is_sound()));
        let admin = Admin { readiness: readiness.clone(), registry: metrics.clone() };
        let (address, transport) = (listener.local_addr(), listener.transport());
        let behind = if config.upstream.is_set() { Behind::Upstream } else { Behind::MessageService };
        let site = Arc::new(Site::new(admin, behind, config.roles.has(Role::Gateway)));
        Ok((Self { address, transport, site, readiness, handshakes, metrics, store }, listener))
    }

    /// Where everything of this process is counted.
    pub const fn metrics(&self) -> &prometheus::Registry {
        &self.metrics
    }

    /// Builds what the roles need, and opens the site to clients where there is a gateway.
    ///
    /// # Errors
    /// The message store cannot be opened, or the other processes cannot be reached in this way.
    pub async fn furnish(&self, config: &Config, trust: Option<Trust>) -> Result<Parts> {
        let backplane = Backplane::of(config, &self.metrics).await?;
        let (peers, joined) = match &backplane.discovery {
            None => (Peers::alone(config, &self.readiness, &self.metrics)?, None),
            Some(discovery) => {
                let discovery = Arc::clone(discovery);
                let (peers, joined) =
                    Peers::join(config, discovery, self.url(config), &self.readiness, &self.metrics).await?;
                (peers, Some(joined))
            }
        };
        if config.roles.has(Role::Notifier) {
            self.site.watch(Arc::clone(&backplane.queue));
        }
        let wall = clock::wall();
        let channels = self.channel_service(config, &backplane, &peers)?;
        let hook = self.hook(config, &wall)?;
        let around = Around {
            channels: peers.channels(config, &backplane.versions),
            gateways: peers.gateways(),
            offline: hook.as_ref().map(|hook| Arc::new(hook.handle()) as _),
            backplane,
            peers,
            wall,
        };
        let answering = self.answering(config, &around).await?;
        let hook = hook.map(|hook| match &answering.mutes {
            Some(mutes) => hook.heeding(Arc::clone(mutes)),
            None => hook,
        });
        let notifying = doorbell_notifier::Metrics::register(&self.metrics)?;
        let notifier = config.roles.has(Role::Notifier);
        let notifier = notifier.then(|| around.notifier(config, &answering, notifying.clone()));
        let upgrades = TaskTracker::new();
        let gateway = match trust {
            Some(trust) => {
                let clients = Clients { trust, upgrades: upgrades.clone(), notifying };
                Some(self.gateway(config, &around, &answering, clients)?)
            }
            None => None,
        };
        let joined = joined.map(|joined| (joined, around.peers.served(config)));
        Ok(Parts { gateway, store: answering.store, notifier, channels, hook, joined, upgrades })
    }

    fn gateway(
        &self,
        config: &Config,
        around: &Around,
        answering: &Answering,
        clients: Clients,
    ) -> Result<Arc<Gateway>> {
        let Clients { trust, upgrades, notifying } = clients;
        let authenticator = self.authenticator(config, &trust)?;
        let backplane = &around.backplane;
        let gateway = Gateway::new(GatewayParts {
            id: around.peers.own.gateway_id(),
            config: config.gateway.clone(),
            registry: Arc::clone(&backplane.registry),
            queue: Arc::clone(&backplane.queue),
            messages: Arc::clone(&answering.messages),
            audiences: Arc::clone(&answering.audiences),
            signals: Arc::clone(&answering.signals),
            presence: Arc::clone(&answering.presence),
            channels: Arc::clone(&around.channels),
            versions: Arc::clone(&backplane.versions),
            authenticator: Arc::clone(&authenticator),
            clock: Arc::clone(&around.wall),
            metrics: doorbell_gateway::Metrics::register(&self.metrics)?,
        });
        around.peers.serve_gateway(&gateway);
        let ingress = Ingress {
            queue: Arc::clone(&backplane.queue),
            channels: Some(Arc::clone(&around.channels)),
            offline: around.offline.clone(),
            reserved_kinds: backends::reserved_kinds(config),
            metrics: notifying,
        };
        let hints = self.hints_door(config, &trust, ingress)?;
        let messages = Arc::clone(&answering.messages);
        let others = around.backplane.discovery.as_ref().map(|_| around.peers.others.clone());
        let wall = Arc::clone(&around.wall);
        let doors = Doors { messages, authenticator, trust, wall, hints, upgrades, others };
        self.open(config, &gateway, doors)?;
        Ok(gateway)
    }

    /// Where clients reach this gateway, as far as that is known: as configured, or, for this machine alone, where it
    /// listens.
    fn url(&self, config: &Config) -> String {
        let set = &config.cluster.public_url;
        if set.is_empty() && self.address.ip().is_loopback() {
            return format!("{}://{}", self.transport.socket_scheme(), self.address);
        }
        set.clone()
    }

    fn authenticator(&self, config: &Config, trust: &Trust) -> Result<Arc<dyn Authenticator>> {
        let metrics = TokenMetrics::register(&self.metrics)?;
        let tokens = SignedTokens::trusting(Arc::clone(&trust.keys.trusted), &config.auth);
        Ok(Arc::new(tokens.counted_by(metrics)))
    }

    fn channel_service(
        &self,
        config: &Config,
        backplane: &Backplane,
        peers: &Peers,
    ) -> Result<Option<Arc<ChannelService>>> {
        if !config.roles.has(Role::Channel) {
            return Ok(None);
        }
        let metrics = doorbell_channel_svc::Metrics::register(&self.metrics)?;
        let versions = Arc::clone(&backplane.versions);
        let neighbours = doorbell_channel_svc::Neighbours { versions, gateways: peers.gateways() };
        let service = ChannelService::new(config.channel.clone(), neighbours, metrics);
        peers.serve_channels(&service);
        Ok(Some(service))
    }

    /// Opening reads the disk, for long after a crash under load: not on a thread that serves.
    async fn open_store(&self, config: &Config, around: &Around) -> Result<Arc<MessageService>> {
        let metrics = Arc::new(doorbell_message_svc::Metrics::register(&self.metrics)?);
        let (section, data_dir): (_, PathBuf) = (config.message.clone(), config.data_dir.clone());
        let (wall, told) = (Arc::clone(&around.wall), around.told());
        let opening = move || MessageService::open(section, &data_dir, wall, told, metrics);
        let messages = tokio::task::spawn_blocking(opening).await.context("opening the message store")??;
        self.store.get_or_init(|| Arc::clone(&messages));
        Ok(messages)
    }

    /// One of several processes takes the store when nobody has it.
    fn await_store(
        &self,
        config: &Config,
        around: &Around,
        discovery: &Arc<dyn Discovery>,
    ) -> Result<Box<StoreTask>> {
        Ok(Box::new(StoreTask {
            config: config.message.clone(),
            data_dir: config.data_dir.clone(),
            wall: Arc::clone(&around.wall),
            told: around.told(),
            metrics: Arc::new(doorbell_message_svc::Metrics::register(&self.metrics)?),
            discovery: Arc::clone(discovery),
            local: Arc::clone(&around.peers.local),
            own: Arc::clone(&around.peers.own),
            others: around.peers.others.clone(),
            opened: Arc::clone(&self.store),
        }))
    }

    fn open(&self, config: &Config, gateway: &Arc<Gateway>, doors: Doors) -> Result<()> {
        let Doors { messages, authenticator, trust, wall, hints, upgrades, others } = doors;
        let call_metrics = doorbell_gateway::http::Metrics::register(&self.metrics)?;
        let Trust { keys, api_keys } = trust;
        let handshake = Handshake {
            origins: Origins::new(config.listener.origins.clone(), self.transport),
            authenticator: Arc::clone(&authenticator),
            clock: Arc::clone(&wall),
            upgrades,
            metrics: self.handshakes.clone(),
        };
        let calls = CallDoor {
            messages,
            authenticator,
            api_keys,
            clock: Arc::clone(&wall),
            body: BodyLimits {
                bytes_max: config.gateway.message_bytes_max.get(),
                timeout: config.listener.body_timeout,
            },
            call_timeout: config.gateway.call_timeout,
            rates: CallRates::new(&config.gateway, Uptime::start(), call_metrics),
        };
        let demo = DemoDoor {
            admission: Admission::new(config, self.address),
            transport: self.transport,
            keys: keys.own,
            auth: config.auth.clone(),
            clock: wall,
            body_timeout: config.listener.body_timeout,
        };
        let whereabouts = Whereabouts { own: self.url(config), others };
        self.site.open(Services { gateway: Arc::clone(gateway), handshake, calls, hints, demo, whereabouts });
        Ok(())
    }
}

/// The first of the name's addresses that can be had.
async fn bind(config: &Config, metrics: &doorbell_gateway::listener::Metrics) -> Result<Listener> {
    let mut refused = None;
    for address in resolve(&config.listen).await? {
        match Listener::bind(address, config.listener.clone(), metrics.clone()) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) => Err(error.into()),
        None => bail!("`listen` is {}: the name has no address", config.listen),
    }
}

async fn resolve(listen: &Listen) -> Result<Vec<SocketAddr>> {
    let asked = listen.clone();
    let resolved = tokio::task::spawn_blocking(move || asked.resolve()).await?;
    resolved.with_context(|| format!("`listen` is {listen}: cannot find the address of the name"))
}
