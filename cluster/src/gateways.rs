//! Calls to gateways, by their names.

use async_trait::async_trait;
use doorbell_backplane::Instance;
use doorbell_protocol::{GatewayId, Hint};
use doorbell_rpc::{DeliverRequest, Delivered, Error, GatewayApi, Gateways, Heard, SignalRequest};
use std::sync::Arc;

use crate::{Links, Others};

/// All gateways of the installation.
pub struct NamedGateways {
    links: Arc<Links>,
    others: Others,
}

/// The way to one gateway.
enum Way {
    Here(Arc<dyn GatewayApi>),
    There(Arc<dyn crate::Remote>),
}

impl Way {
    fn api(&self) -> &dyn GatewayApi {
        match self {
            Self::Here(gateway) => &**gateway,
            Self::There(link) => &**link,
        }
    }
}

impl NamedGateways {
    /// Finds them among the others.
    #[must_use]
    pub const fn new(links: Arc<Links>, others: Others) -> Self {
        Self { links, others }
    }

    /// A gateway that is not known may have started a moment ago.
    async fn way(&self, id: &GatewayId) -> Result<Way, Error> {
        let found = self.others.find(|view| view.gateway(id).cloned()).await;
        let unreachable = || Error::Unreachable { gateway: id.clone() };
        found.and_then(|found| self.to(&found)).ok_or_else(unreachable)
    }

    fn to(&self, instance: &Instance) -> Option<Way> {
        if self.links.is_own(instance) {
            return self.links.local().gateway.get().cloned().map(Way::Here);
        }
        Some(Way::There(self.links.to(instance)))
    }
}

#[async_trait]
impl Gateways for NamedGateways {
    async fn deliver(
        &self,
        gateway: &GatewayId,
        batch: Vec<DeliverRequest>,
    ) -> Result<Vec<Delivered>, Error> {
        self.way(gateway).await?.api().deliver(batch).await
    }

    async fn publish(&self, gateway: &GatewayId, hints: Vec<Hint>) -> Result<Vec<Heard>, Error> {
        self.way(gateway).await?.api().publish(hints).await
    }

    async fn signal(&self, gateway: &GatewayId, request: SignalRequest) -> Result<(), Error> {
        self.way(gateway).await?.api().signal(request).await
    }
}
