//! The same-process side: gateways that live in this process, by name.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use doorbell_protocol::{GatewayId, Hint};
use parking_lot::RwLock;

use crate::{DeliverRequest, Delivered, Error, GatewayApi, Gateways, Heard, SignalRequest};

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

    fn find(&self, id: &GatewayId) -> Result<Arc<dyn GatewayApi>, Error> {
        self.by_id.read().get(id).cloned().ok_or_else(|| Error::Unreachable { gateway: id.clone() })
    }
}

#[async_trait]
impl Gateways for LocalGateways {
    async fn deliver(
        &self,
        gateway: &GatewayId,
        batch: Vec<DeliverRequest>,
    ) -> Result<Vec<Delivered>, Error> {
        self.find(gateway)?.deliver(batch).await
    }

    async fn publish(&self, gateway: &GatewayId, hints: Vec<Hint>) -> Result<Vec<Heard>, Error> {
        self.find(gateway)?.publish(hints).await
    }

    async fn signal(&self, gateway: &GatewayId, request: SignalRequest) -> Result<(), Error> {
        self.find(gateway)?.signal(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::{DirtyMap, Generation, Stamp, UserId};

    struct Absent;

    #[async_trait]
    impl GatewayApi for Absent {
        async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, Error> {
            Ok(batch.iter().map(|_| Delivered::Absent(Stamp::default())).collect())
        }

        async fn publish(&self, hints: Vec<Hint>) -> Result<Vec<Heard>, Error> {
            Ok(hints.iter().map(|_| Heard::Unfollowed(Generation::default())).collect())
        }

        async fn signal(&self, _: SignalRequest) -> Result<(), Error> {
            Ok(())
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
