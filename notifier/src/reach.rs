//! Which gateways answer, so that one that does not costs the others nothing (NT-3).
//!
//! After a failure a gateway is spared until its backoff is over; then one call probes it, and the others are still
//! spared until that call has its answer. A gateway that answers slowly keeps its share of the users in hand and
//! no more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::GatewayId;
use doorbell_rpc::Backoff;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::Config;

/// A gateway that was not called for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// What this process knows of each gateway that it called.
pub(crate) struct Reach {
    config: Config,
    gateways: Mutex<HashMap<GatewayId, Gateway>>,
}

struct Gateway {
    backoff: Backoff,
    /// Set after a failure, cleared by an answer: nobody calls before it.
    spared_until: Option<Instant>,
    failed_at: Option<Instant>,
    called_at: Instant,
    next_call: u64,
    /// Open calls, the oldest first: when they began, and with how many users.
    calls: BTreeMap<u64, (Instant, usize)>,
    users: usize,
}

/// The leave to call a gateway. Dropped without a verdict, it only ends the call.
pub(crate) struct Pass {
    reach: Arc<Reach>,
    gateway: GatewayId,
    call: u64,
    began: Instant,
}

impl Reach {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self { config: config.clone(), gateways: Mutex::default() })
    }

    /// Lets a call through, or says how long the users wait instead.
    pub(crate) fn admit(
        self: &Arc<Self>,
        id: &GatewayId,
        users: usize,
        now: Instant,
    ) -> Result<Pass, Duration> {
        let config = &self.config;
        let mut gateways = self.gateways.lock();
        if !gateways.contains_key(id) {
            gateways.retain(|_, known| !known.calls.is_empty() || now < known.called_at + FORGET_AFTER);
            gateways.insert(id.clone(), Gateway::new(config, now));
        }
        let gateway = gateways.get_mut(id).expect("it was inserted above");
        gateway.admit(config, users, now)?;
        let call = gateway.begin(users, now);
        Ok(Pass { reach: Arc::clone(self), gateway: id.clone(), call, began: now })
    }
}

impl Gateway {
    const fn new(config: &Config, now: Instant) -> Self {
        Self {
            backoff: Backoff::new(config.delay_min, config.delay_max),
            spared_until: None,
            failed_at: None,
            called_at: now,
            next_call: 0,
            calls: BTreeMap::new(),
            users: 0,
        }
    }

    fn admit(&mut self, config: &Config, users: usize, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.spared_until {
            if now < until {
                return Err((until - now).clamp(config.delay_min, config.delay_max));
            }
            // This call is the probe: the next may follow when it has failed, or was dropped.
            self.spared_until = Some(now + config.deliver_deadline);
        }
        let oldest = self.calls.first_key_value().map(|(_, (began, _))| *began);
        let slow = oldest.is_some_and(|began| now - began > config.gateway_slow_after);
        let share = config.gateway_users_in_hand_max.get() as usize;
        if slow && self.users + users > share {
            return Err(config.delay_min);
        }
        Ok(())
    }

    fn begin(&mut self, users: usize, now: Instant) -> u64 {
        let call = self.next_call;
        self.next_call += 1;
        self.called_at = now;
        self.calls.insert(call, (now, users));
        self.users += users;
        call
    }
}

impl Pass {
    /// The gateway answered: it is spared no longer.
    pub(crate) fn answered(self) {
        let mut gateways = self.reach.gateways.lock();
        if let Some(gateway) = gateways.get_mut(&self.gateway) {
            gateway.backoff.succeeded();
            gateway.spared_until = None;
            gateway.failed_at = None;
        }
    }

    /// It did not: says how long its users wait. Calls that were open together count as one failure.
    pub(crate) fn failed(self, now: Instant) -> Duration {
        let delay_min = self.reach.config.delay_min;
        let mut gateways = self.reach.gateways.lock();
        let Some(gateway) = gateways.get_mut(&self.gateway) else { return delay_min };
        if gateway.failed_at.is_none_or(|failed| self.began >= failed) {
            gateway.failed_at = Some(now);
            gateway.spared_until = Some(now + gateway.backoff.failed());
        }
        gateway.spared_until.map_or(delay_min, |until| (until - now).max(delay_min))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(gateway) = self.reach.gateways.lock().get_mut(&self.gateway)
            && let Some((_, users)) = gateway.calls.remove(&self.call)
        {
            gateway.users -= users;
        }
    }
}

#[cfg(test)]
mod tests;
