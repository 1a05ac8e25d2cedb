//! The same-process side: gateways that live in this process, by name.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use doorbell_protocol::GatewayId;
use parking_lot::RwLock;

use crate::{DeliverRequest, Delivered, Error, GatewayApi, Gateways};

/// The gateways of this process. A gateway that is not here is unreachable.
#[derive(Default)]
pub struct LocalGateways {
    by_id: RwLock<HashMap<GatewayId, Arc<dyn GatewayApi>>>,
}

impl LocalGateways {
    /// Makes a gateway known; one of the same name is replaced.
    pub fn add(&self, id: GatewayId, gateway: Arc<dyn GatewayApi>) {
        self.by_id.write().insert(id, gateway);
    }

    /// Forgets a gateway: from now on it is unreachable.
    pub fn remove(&self, id: &GatewayId) {
        self.by_id.write().remove(id);
    }
}

#[async_trait]
impl Gateways for LocalGateways {
    async fn deliver(
        &self,
        gateway: &GatewayId,
        batch: Vec<DeliverRequest>,
    ) -> Result<Vec<Delivered>, Error> {
        let found = self.by_id.read().get(gateway).cloned();
        match found {
            Some(found) => found.deliver(batch).await,
            None => Err(Error::Unreachable { gateway: gateway.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::{DirtyMap, Stamp, UserId};

    struct Absent;

    #[async_trait]
    impl GatewayApi for Absent {
        async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, Error> {
            Ok(batch.iter().map(|_| Delivered::Absent(Stamp::default())).collect())
        }
    }

    #[tokio::test]
    async fn a_gateway_is_reachable_from_add_to_remove() {
        let gateways = LocalGateways::default();
        let id = GatewayId::new("gw-1").unwrap();
        let batch = || vec![DeliverRequest { user: UserId::new("ada").unwrap(), dirty: DirtyMap::default() }];

        assert!(matches!(gateways.deliver(&id, batch()).await, Err(Error::Unreachable { .. })));
        gateways.add(id.clone(), Arc::new(Absent));
        assert_eq!(gateways.deliver(&id, batch()).await.unwrap(), [Delivered::Absent(Stamp::default())]);
        gateways.remove(&id);
        assert!(gateways.deliver(&id, batch()).await.is_err());
    }
}
