//! Where users are, and the gateways that take signals to them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::{
    Enter, Entered, Entry, Error as Unavailable, Lease, LeaseRenewal, Memory, Partition, Registry,
};
use doorbell_protocol::{Epoch, GatewayId, Generation, Hint, Stamp, UserId};
use doorbell_rpc::{DeliverRequest, Delivered, Error, Gateways, Heard, SignalRequest};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Bells;

/// How a gateway takes signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Shows,
    Hangs,
    Busy,
    Gone,
}

/// Gateways that note what they were to show: gateway, users, and the text of the data.
#[derive(Default)]
pub struct Doors {
    shown: Mutex<Vec<(String, BTreeSet<String>, String)>>,
    behaviours: Mutex<HashMap<GatewayId, Behaviour>>,
}

impl Doors {
    pub fn make(&self, gateway: &str, behaviour: Behaviour) {
        self.behaviours.lock().insert(GatewayId::new(gateway).unwrap(), behaviour);
    }

    /// What was shown so far, by gateway.
    pub fn shown(&self) -> Vec<(String, BTreeSet<String>, String)> {
        let mut shown = self.shown.lock().clone();
        shown.sort();
        shown
    }
}

#[async_trait]
impl Gateways for Doors {
    async fn deliver(&self, _: &GatewayId, _: Vec<DeliverRequest>) -> Result<Vec<Delivered>, Error> {
        unreachable!("the message service rings nobody itself")
    }

    async fn publish(&self, _: &GatewayId, _: Vec<Hint>) -> Result<Vec<Heard>, Error> {
        unreachable!("the message service publishes through the channel service")
    }

    async fn signal(&self, gateway: &GatewayId, request: SignalRequest) -> Result<(), Error> {
        let behaviour = self.behaviours.lock().get(gateway).copied().unwrap_or(Behaviour::Shows);
        match behaviour {
            Behaviour::Shows => {
                let users = request.users.iter().map(ToString::to_string).collect();
                let data = String::from_utf8(request.signal.data.bytes().to_vec()).unwrap();
                self.shown.lock().push((gateway.to_string(), users, data));
                Ok(())
            }
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::Busy => Err(Error::Busy { gateway: gateway.clone() }),
            Behaviour::Gone => Err(Error::Unreachable { gateway: gateway.clone() }),
        }
    }
}

/// The memory registry, whose look-ups can be made to wait.
pub struct Directory {
    memory: Arc<Memory>,
    open: watch::Sender<bool>,
    failing: watch::Sender<bool>,
}

impl Directory {
    pub fn new(memory: Arc<Memory>) -> Self {
        Self { memory, open: watch::Sender::new(true), failing: watch::Sender::new(false) }
    }

    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    pub fn let_go(&self) {
        self.open.send_replace(true);
    }

    pub fn fail(&self) {
        self.failing.send_replace(true);
    }
}

impl Bells {
    /// A user has sessions at a gateway.
    pub async fn come(&self, user: &str, gateway: &str) {
        let (user, gateway) = (UserId::new(user).unwrap(), GatewayId::new(gateway).unwrap());
        let partition = doorbell_backplane::HintQueue::partitions(self).of(&user);
        let ttl = Duration::from_secs(1_000);
        let lease = self.directory.take_lease(&gateway, partition, ttl).await.unwrap();
        let stamp = Stamp { epoch: lease.epoch, generation: Generation(1) };
        let entered = self.directory.enter(vec![Enter { user, entry: Entry { gateway, stamp } }]).await;
        assert_eq!(entered.unwrap(), [Entered::Registered]);
    }
}

#[async_trait]
impl Registry for Directory {
    async fn take_lease(
        &self,
        gateway: &GatewayId,
        partition: Partition,
        ttl: Duration,
    ) -> Result<Lease, Unavailable> {
        self.memory.take_lease(gateway, partition, ttl).await
    }

    async fn renew_leases(
        &self,
        gateway: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
        ttl: Duration,
    ) -> Result<Vec<LeaseRenewal>, Unavailable> {
        self.memory.renew_leases(gateway, leases, ttl).await
    }

    async fn end_leases(
        &self,
        gateway: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
    ) -> Result<(), Unavailable> {
        self.memory.end_leases(gateway, leases).await
    }

    async fn enter(&self, enters: Vec<Enter>) -> Result<Vec<Entered>, Unavailable> {
        self.memory.enter(enters).await
    }

    async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Unavailable> {
        self.memory.leave(leaves).await
    }

    async fn look_up(&self, users: Vec<UserId>) -> Result<Vec<Vec<Entry>>, Unavailable> {
        if *self.failing.borrow() {
            return Err(Unavailable::Unavailable { reason: "a test said so".into() });
        }
        self.open.subscribe().wait_for(|open| *open).await.expect("the sender lives in self");
        self.memory.look_up(users).await
    }

    async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Unavailable> {
        if *self.failing.borrow() {
            return Err(Unavailable::Unavailable { reason: "a test said so".into() });
        }
        self.open.subscribe().wait_for(|open| *open).await.expect("the sender lives in self");
        self.memory.online(users).await
    }

    async fn lapsed(&self, partition: Partition, entries_max: usize) -> Result<Vec<Enter>, Unavailable> {
        self.memory.lapsed(partition, entries_max).await
    }
}
