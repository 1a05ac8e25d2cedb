//! The way to each process: one link to each, made when it is first called, and none for this process itself (CL-4).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use doorbell_backplane::Instance;
use doorbell_protocol::InstanceId;
use doorbell_rpc::remote::MessageDoor;
use doorbell_rpc::{Audiences, Channels, GatewayApi, Messages, Mutes, Presence, Signals};
use parking_lot::Mutex;

use crate::View;

/// One other process, and all that may be asked of it. What it does not serve, it refuses.
pub trait Remote: GatewayApi + Channels + Messages + Audiences + Signals + Presence + Mutes {}

impl<T: GatewayApi + Channels + Messages + Audiences + Signals + Presence + Mutes> Remote for T {}

/// Makes a link to a process; it connects when it is first used.
pub type Dial = Arc<dyn Fn(&Instance) -> Arc<dyn Remote> + Send + Sync>;

/// What this process serves itself. Each part is set when it is there.
#[derive(Default)]
pub struct Local {
    /// Its gateway.
    pub gateway: OnceLock<Arc<dyn GatewayApi>>,
    /// Its channel service.
    pub channels: OnceLock<Arc<dyn Channels>>,
    /// Its message store.
    pub store: OnceLock<MessageDoor>,
}

/// All links.
pub struct Links {
    own: InstanceId,
    local: Arc<Local>,
    dial: Dial,
    made: Mutex<HashMap<InstanceId, Arc<dyn Remote>>>,
}

impl Links {
    /// No link yet. `own` is this process.
    #[must_use]
    pub fn new(own: InstanceId, local: Arc<Local>, dial: Dial) -> Self {
        Self { own, local, dial, made: Mutex::default() }
    }

    /// What this process serves itself.
    #[must_use]
    pub const fn local(&self) -> &Arc<Local> {
        &self.local
    }

    /// Whether a process is this one.
    #[must_use]
    pub fn is_own(&self, instance: &Instance) -> bool {
        instance.id == self.own
    }

    /// The link to another process.
    pub fn to(&self, instance: &Instance) -> Arc<dyn Remote> {
        let mut made = self.made.lock();
        if let Some(link) = made.get(&instance.id) {
            return Arc::clone(link);
        }
        let link = (self.dial)(instance);
        made.insert(instance.id.clone(), Arc::clone(&link));
        link
    }

    /// Drops the links to those who are gone; who had the store last may still be asked.
    pub fn keep(&self, view: &View) {
        let is_there = |id: &InstanceId| view.all().binary_search_by(|instance| instance.id.cmp(id)).is_ok();
        let last_owner = view.last_store_owner().map(|owner| &owner.id);
        self.made.lock().retain(|id, _| is_there(id) || last_owner == Some(id));
    }
}
