//! This process among the others: what it says of itself, who else is there, and the way to them.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use doorbell_backplane::discovery::{GatewayFacts, StoreFacts};
use doorbell_backplane::{Discovery, Instance, Role, Versions};
use doorbell_channel_svc::ChannelService;
use doorbell_cluster::{
    Dial, Links, Local, Membership, NamedGateways, Others, OwnedChannels, Remote, StoreOwner,
};
use doorbell_gateway::Gateway;
use doorbell_message_svc::MessageService;
use doorbell_protocol::{GatewayId, InstanceId};
use doorbell_rpc::remote::{Connection, MessageDoor, Served, Server, Trust};
use doorbell_rpc::{Channels, Gateways};

use crate::config::Config;
use crate::peerkey;
use crate::readiness::{Readiness, Stage};

/// Where nobody is, for ever (RFC 6761, section 6.4).
const NOWHERE: &str = "nowhere.invalid:1";

/// This process and the others.
pub struct Peers {
    /// This one, as it describes itself.
    pub own: Arc<Own>,
    /// What it serves itself.
    pub local: Arc<Local>,
    /// Who is there.
    pub others: Others,
    links: Arc<Links>,
    cluster: doorbell_cluster::Metrics,
}

/// What makes a process one of several.
pub struct Joined {
    /// Says that it is there.
    pub membership: Membership,
    /// Where others call it.
    pub server: Server,
}

/// What this process says of itself. Parts are set when they are there.
pub struct Own {
    id: InstanceId,
    roles: Vec<Role>,
    address: String,
    url: String,
    readiness: Readiness,
    /// Whose sessions are counted.
    pub gateway: OnceLock<Arc<Gateway>>,
    /// The store that is open.
    pub store: OnceLock<StoreFacts>,
}

impl Own {
    /// As of now.
    fn describe(&self) -> Instance {
        let facts = |gateway: &Arc<Gateway>| GatewayFacts {
            url: self.url.clone(),
            sessions: gateway.sockets() as u64,
            closed: self.readiness.stage() != Stage::Serving,
        };
        Instance {
            id: self.id.clone(),
            roles: self.roles.clone(),
            address: self.address.clone(),
            gateway: self.gateway.get().map(facts),
            store: self.store.get().cloned(),
        }
    }

    /// Its name as a gateway.
    pub fn gateway_id(&self) -> GatewayId {
        GatewayId::new(self.id.as_str()).expect("both are of the same letters")
    }
}

impl Peers {
    /// This process alone.
    pub fn alone(config: &Config, readiness: &Readiness, metrics: &prometheus::Registry) -> Result<Self> {
        // Families are there in any case, so that a dashboard has them at 0.
        doorbell_rpc::remote::Metrics::register(metrics)?;
        let own = Arc::new(own(config, readiness, String::new(), String::new()));
        let others = Others::nobody(own.describe());
        let dial: Dial = Arc::new(|_| unreachable!("a process that is alone calls nobody"));
        let local = Arc::<Local>::default();
        let links = Arc::new(Links::new(own.id.clone(), Arc::clone(&local), dial));
        let cluster = doorbell_cluster::Metrics::register(metrics)?;
        Ok(Self { own, local, others, links, cluster })
    }

    /// This process as one of several. Its door for the others is open with this, and answers once it is run.
    ///
    /// # Errors
    /// The address cannot be had, or others could call there without proof of who they are.
    pub async fn join(
        config: &Config,
        discovery: Arc<dyn Discovery>,
        url: String,
        readiness: &Readiness,
        metrics: &prometheus::Registry,
    ) -> Result<(Self, Joined)> {
        let calls = doorbell_rpc::remote::Metrics::register(metrics)?;
        let trust = peerkey::trust(&config.cluster)?;
        let server = bind(config, &trust, &calls).await;
        let server = server.with_context(|| format!("`cluster.listen` is {}", config.cluster.listen))?;
        let own = Arc::new(own(config, readiness, advertised(config, server.local_addr())?, url));
        let rpc = config.rpc.clone();
        let dial: Dial = Arc::new(move |instance: &Instance| {
            let gateway = GatewayId::new(instance.id.as_str()).ok();
            let to = |address: &str| Connection::new(address, gateway.clone(), &trust, &rpc, &calls);
            let connection = to(&instance.address).or_else(|error| {
                tracing::warn!(instance = %instance.id, %error, "a process says an address that is none: it is not called");
                to(NOWHERE)
            });
            Arc::new(connection.expect("the configuration is checked, and the address a good one"))
                as Arc<dyn Remote>
        });
        let local = Arc::<Local>::default();
        let links = Arc::new(Links::new(own.id.clone(), Arc::clone(&local), dial));
        let cluster = doorbell_cluster::Metrics::register(metrics)?;
        let described = Arc::clone(&own);
        let membership = Membership::new(
            discovery,
            Arc::new(move || described.describe()),
            Arc::clone(&links),
            config.cluster.clone(),
            cluster.clone(),
        );
        let others = membership.others();
        Ok((Self { own, local, others, links, cluster }, Joined { membership, server }))
    }

    /// This process's gateway, for itself and for others.
    pub fn serve_gateway(&self, gateway: &Arc<Gateway>) {
        let is_first = self.own.gateway.set(Arc::clone(gateway)).is_ok()
            && self.local.gateway.set(Arc::clone(gateway) as _).is_ok();
        assert!(is_first, "a process has one gateway");
    }

    /// This process's channel service, likewise.
    pub fn serve_channels(&self, service: &Arc<ChannelService>) {
        assert!(
            self.local.channels.set(Arc::clone(service) as _).is_ok(),
            "a process has one channel service"
        );
    }

    /// The store that this process has open from its start on.
    pub fn serve_store(&self, store: &Arc<MessageService>) {
        assert!(self.local.store.set(MessageDoor::of(store)).is_ok(), "a process has one store");
    }

    /// All gateways.
    pub fn gateways(&self) -> Arc<dyn Gateways> {
        Arc::new(NamedGateways::new(Arc::clone(&self.links), self.others.clone()))
    }

    /// All channel services, as one.
    pub fn channels(&self, config: &Config, versions: &Arc<dyn Versions>) -> Arc<dyn Channels> {
        Arc::new(OwnedChannels::new(
            Arc::clone(&self.links),
            self.others.clone(),
            Arc::clone(versions),
            config.cluster.clone(),
            self.cluster.clone(),
        ))
    }

    /// What this process serves to others: what it has, and, as one of those who keep messages, what their owner has.
    pub fn served(&self, config: &Config) -> Served {
        let messages = || MessageDoor::of(&self.store_owner());
        Served {
            gateway: self.local.gateway.get().map(|gateway| (self.own.gateway_id(), Arc::clone(gateway))),
            channels: self.local.channels.get().cloned(),
            messages: config.keeps_messages().then(messages),
        }
    }

    /// Whoever has the message store open.
    pub fn store_owner(&self) -> Arc<StoreOwner> {
        Arc::new(StoreOwner::new(Arc::clone(&self.links), self.others.clone()))
    }
}

async fn bind(config: &Config, trust: &Trust, calls: &doorbell_rpc::remote::Metrics) -> Result<Server> {
    let mut refused = None;
    for address in tokio::net::lookup_host(&config.cluster.listen).await? {
        match Server::bind(address, trust, &config.rpc, calls).await {
            Ok(server) => return Ok(server),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.map_or_else(|| anyhow::anyhow!("the name has no address"), Into::into))
}

fn own(config: &Config, readiness: &Readiness, address: String, url: String) -> Own {
    Own {
        id: InstanceId::new(format!("i-{:016x}", rand::random::<u64>())).expect("letters and digits"),
        roles: config.roles.iter().collect(),
        address,
        url,
        readiness: readiness.clone(),
        gateway: OnceLock::new(),
        store: OnceLock::new(),
    }
}

/// Where others reach this process.
fn advertised(config: &Config, bound: SocketAddr) -> Result<String> {
    let advertise = &config.cluster.advertise;
    if !advertise.is_empty() {
        return Ok(advertise.clone());
    }
    anyhow::ensure!(
        !bound.ip().is_unspecified(),
        "`cluster.listen` is {}: that is every address of this machine, so `cluster.advertise` has to say at which one \
         others reach it",
        config.cluster.listen
    );
    Ok(bound.to_string())
}
