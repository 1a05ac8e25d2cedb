//! Builds everything for the roles of this process. The only place that knows all services.

pub mod backends;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail};
use doorbell_backplane::{HintQueue, Memory, Metered, Registry, Versions};
use doorbell_channel_svc::ChannelService;
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
use doorbell_protocol::{Clock, GatewayId};
use doorbell_rpc::{Channels, Gateways, LocalGateways, Messages, OfflineHook};
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
use backends::Answering;

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

/// The services, built and not yet running.
pub struct Parts {
    /// Holds sockets.
    pub gateway: Arc<Gateway>,
    /// Keeps messages; none where an upstream does.
    pub store: Option<Arc<MessageService>>,
    /// Rings.
    pub notifier: Notifier,
    /// Publishes to large audiences.
    pub channels: Arc<ChannelService>,
    /// Reports who had no session.
    pub hook: Option<Hook>,
    /// Sockets on their way from a request to a session.
    pub upgrades: TaskTracker,
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
    queue: Arc<dyn HintQueue>,
    hints: HintsDoor,
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
        let site = Arc::new(Site::new(admin, behind));
        Ok((Self { address, transport, site, readiness, handshakes, metrics, store }, listener))
    }

    /// Where everything of this process is counted.
    pub const fn metrics(&self) -> &prometheus::Registry {
        &self.metrics
    }

    /// Builds the services and opens the site to clients.
    ///
    /// # Errors
    /// The message store cannot be opened.
    pub async fn furnish(&self, config: &Config, trust: Trust) -> Result<Parts> {
        let (wall, steady) = (clock::wall(), clock::steady());
        let backplane = Arc::new(Metered::new(
            Memory::new(&config.backplane, Arc::clone(&steady)),
            Arc::new(doorbell_backplane::Metrics::register(&self.metrics)?),
        ));
        let queue: Arc<dyn HintQueue> = Arc::clone(&backplane) as _;
        let registry: Arc<dyn Registry> = Arc::clone(&backplane) as _;
        let versions: Arc<dyn Versions> = backplane;
        let gateways = Arc::new(LocalGateways::default());
        let channels = self.channels(config, Arc::clone(&versions), &gateways)?;
        let hook = self.hook(config, &wall)?;
        let offline: Option<Arc<dyn OfflineHook>> = hook.as_ref().map(|hook| Arc::new(hook.handle()) as _);
        let told = doorbell_message_svc::Neighbours {
            queue: Arc::clone(&queue),
            channels: Arc::clone(&channels) as Arc<dyn Channels>,
            registry: Arc::clone(&registry),
            versions: Arc::clone(&versions),
            gateways: Arc::clone(&gateways) as Arc<dyn Gateways>,
            offline: offline.clone(),
        };
        let Answering { messages, audiences, signals, presence, store } =
            self.answering(config, &wall, told).await?;
        let hook = match (hook, &store) {
            (Some(hook), Some(store)) => Some(hook.heeding(Arc::clone(store) as _)),
            (hook, _) => hook,
        };
        let authenticator = self.authenticator(config, &trust)?;
        let gateway = Gateway::new(GatewayParts {
            id: GatewayId::new(format!("gw-{:016x}", rand::random::<u64>())).expect("letters and digits"),
            config: config.gateway.clone(),
            registry: Arc::clone(&registry),
            partitions: queue.partitions(),
            messages: Arc::clone(&messages),
            audiences,
            signals,
            presence: Arc::clone(&presence),
            channels: Arc::clone(&channels) as Arc<dyn Channels>,
            versions,
            authenticator: Arc::clone(&authenticator),
            clock: Arc::clone(&wall),
            metrics: doorbell_gateway::Metrics::register(&self.metrics)?,
        });
        gateways.add(gateway.id().clone(), Arc::clone(&gateway) as _);
        let notifying = doorbell_notifier::Metrics::register(&self.metrics)?;
        let ingress = Ingress {
            queue: Arc::clone(&queue),
            channels: Some(Arc::clone(&channels) as Arc<dyn Channels>),
            offline: offline.clone(),
            reserved_kinds: backends::reserved_kinds(config),
            metrics: notifying.clone(),
        };
        let hints = self.hints_door(config, &trust, ingress)?;
        let notifier = Notifier::new(
            config.notifier.clone(),
            Neighbours {
                queue: Arc::clone(&queue),
                registry,
                presence: config.gateway.presence.then_some(presence),
                gateways: gateways as Arc<dyn Gateways>,
                offline,
                clock: steady,
            },
            notifying,
        );
        let upgrades = TaskTracker::new();
        let parts = Parts { gateway, store, notifier, channels, hook, upgrades };
        self.open(config, &parts, Doors { messages, authenticator, trust, wall, queue, hints })?;
        Ok(parts)
    }

    fn authenticator(&self, config: &Config, trust: &Trust) -> Result<Arc<dyn Authenticator>> {
        let metrics = TokenMetrics::register(&self.metrics)?;
        let tokens = SignedTokens::trusting(Arc::clone(&trust.keys.trusted), &config.auth);
        Ok(Arc::new(tokens.counted_by(metrics)))
    }

    fn channels(
        &self,
        config: &Config,
        versions: Arc<dyn Versions>,
        gateways: &Arc<LocalGateways>,
    ) -> Result<Arc<ChannelService>> {
        let gateways = Arc::clone(gateways) as Arc<dyn Gateways>;
        let metrics = doorbell_channel_svc::Metrics::register(&self.metrics)?;
        let neighbours = doorbell_channel_svc::Neighbours { versions, gateways };
        Ok(ChannelService::new(config.channel.clone(), neighbours, metrics))
    }

    /// Opening reads the disk, for long after a crash under load: not on a thread that serves.
    async fn open_store(
        &self,
        config: &Config,
        wall: &Clock,
        told: doorbell_message_svc::Neighbours,
    ) -> Result<Arc<MessageService>> {
        let metrics = Arc::new(doorbell_message_svc::Metrics::register(&self.metrics)?);
        let (section, data_dir): (_, PathBuf) = (config.message.clone(), config.data_dir.clone());
        let wall = Arc::clone(wall);
        let opening = move || MessageService::open(section, &data_dir, wall, told, metrics);
        let messages = tokio::task::spawn_blocking(opening).await.context("opening the message store")??;
        self.store.get_or_init(|| Arc::clone(&messages));
        Ok(messages)
    }

    fn open(&self, config: &Config, parts: &Parts, doors: Doors) -> Result<()> {
        let Doors { messages, authenticator, trust, wall, queue, hints } = doors;
        let call_metrics = doorbell_gateway::http::Metrics::register(&self.metrics)?;
        let Trust { keys, api_keys } = trust;
        let handshake = Handshake {
            origins: Origins::new(config.listener.origins.clone(), self.transport),
            authenticator: Arc::clone(&authenticator),
            clock: Arc::clone(&wall),
            upgrades: parts.upgrades.clone(),
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
        self.site.open(Services {
            gateway: Arc::clone(&parts.gateway),
            handshake,
            calls,
            hints,
            demo,
            queue,
        });
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
