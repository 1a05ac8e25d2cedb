//! What is wired for back ends of the operator's own: the door for hints, the upstream, the offline hook.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use doorbell_gateway::http::hints::{self, HintsDoor};
use doorbell_notifier::Ingress;
use doorbell_protocol::Clock;
use doorbell_rpc::{Audiences, Messages, Mutes, NoPresence, NoSignals, Presence, Signals};
use doorbell_upstream::{Hook, Upstream};

use super::{Around, Door, Store, Trust};
use crate::config::Config;
use crate::{clock, secretfile};

/// Who answers the gateways.
pub(super) struct Answering {
    /// Calls.
    pub(super) messages: Arc<dyn Messages>,
    /// Questions about audiences.
    pub(super) audiences: Arc<dyn Audiences>,
    /// Signals.
    pub(super) signals: Arc<dyn Signals>,
    /// Who comes and goes.
    pub(super) presence: Arc<dyn Presence>,
    /// What users do not want to be woken for; nobody knows with an upstream.
    pub(super) mutes: Option<Arc<dyn Mutes>>,
    /// The store, as far as this process has to do with it.
    pub(super) store: Store,
}

/// Kinds of topics whose versions the message service counts, or a part of ours will; fewer with an upstream in its
/// place.
pub(super) const fn reserved_kinds(config: &Config) -> &'static [&'static str] {
    if config.upstream.is_set() { &["presence"] } else { &["conversation", "inbox", "presence"] }
}

impl Door {
    /// An upstream where one is configured, and then no store is opened. Its families are there in any case, so that a
    /// dashboard has them at 0.
    pub(super) async fn answering(&self, config: &Config, around: &Around) -> Result<Answering> {
        let metrics = doorbell_upstream::Metrics::register(&self.metrics)?;
        if !config.upstream.is_set() {
            let store = match &around.backplane.discovery {
                None => {
                    let store = self.open_store(config, around).await?;
                    around.peers.serve_store(&store);
                    Store::Open(store)
                }
                Some(discovery) if config.keeps_messages() => {
                    Store::Awaited(self.await_store(config, around, discovery)?)
                }
                Some(_) => Store::Elsewhere,
            };
            let owner = around.peers.store_owner();
            return Ok(Answering {
                messages: Arc::clone(&owner) as _,
                audiences: Arc::clone(&owner) as _,
                signals: Arc::clone(&owner) as _,
                presence: Arc::clone(&owner) as _,
                mutes: Some(owner),
                store,
            });
        }
        let upstream = Arc::new(upstream(config, metrics)?);
        tracing::info!(
            url = config.upstream.url,
            "methods are answered by the upstream: no message store is opened"
        );
        Ok(Answering {
            messages: Arc::clone(&upstream) as _,
            audiences: upstream,
            signals: Arc::new(NoSignals),
            presence: Arc::new(NoPresence),
            mutes: None,
            store: Store::Elsewhere,
        })
    }

    /// The offline hook, where one is configured; its families are there in any case.
    pub(super) fn hook(&self, config: &Config, wall: &Clock) -> Result<Option<Hook>> {
        let metrics = doorbell_upstream::hook::Metrics::register(&self.metrics)?;
        if !config.offline_hook.is_set() {
            return Ok(None);
        }
        offline_hook(config, wall, metrics).map(Some)
    }

    pub(super) fn hints_door(&self, config: &Config, trust: &Trust, ingress: Ingress) -> Result<HintsDoor> {
        Ok(HintsDoor::new(
            Arc::new(ingress),
            Arc::clone(&trust.api_keys),
            config.hints.clone(),
            config.listener.body_timeout,
            hints::Metrics::register(&self.metrics)?,
        ))
    }
}

/// Builds what is configured and lets it go; answers all that would keep it from starting. Nothing is sent.
pub fn probe(config: &Config) -> Vec<anyhow::Error> {
    let nowhere = prometheus::Registry::new();
    let upstream = || upstream(config, doorbell_upstream::Metrics::register(&nowhere)?).map(|_| ());
    let hook = || {
        let metrics = doorbell_upstream::hook::Metrics::register(&nowhere)?;
        offline_hook(config, &clock::wall(), metrics).map(|_| ())
    };
    let probes: [(bool, &dyn Fn() -> Result<()>); 2] =
        [(config.upstream.is_set(), &upstream), (config.offline_hook.is_set(), &hook)];
    probes.into_iter().filter(|(is_set, _)| *is_set).filter_map(|(_, probe)| probe().err()).collect()
}

fn upstream(config: &Config, metrics: doorbell_upstream::Metrics) -> Result<Upstream> {
    let section = &config.upstream;
    let secret = secretfile::of("upstream", &section.secret, &section.secret_file)?;
    let question_timeout = question_timeout(config);
    Ok(Upstream::new(doorbell_upstream::Parts {
        config: section.clone(),
        secret,
        question_timeout,
        metrics,
    })?)
}

/// Three quarters of what a gateway waits for: a question that gets no answer ends, and counts, before it is dropped.
fn question_timeout(config: &Config) -> Duration {
    config.gateway.audience_timeout * 3 / 4
}

fn offline_hook(config: &Config, wall: &Clock, metrics: doorbell_upstream::hook::Metrics) -> Result<Hook> {
    let section = &config.offline_hook;
    let secret = secretfile::of("offline_hook", &section.secret, &section.secret_file)?;
    Ok(Hook::new(section.clone(), &secret, Arc::clone(wall), metrics)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_ends_before_its_gateway_drops_it() {
        let mut config = Config::default();
        assert_eq!(question_timeout(&config), Duration::from_millis(1_500));
        config.gateway.audience_timeout = Duration::from_millis(100);
        assert_eq!(question_timeout(&config), Duration::from_millis(75));
    }
}
