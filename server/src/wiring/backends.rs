//! What is wired for back ends of the operator's own: the door for hints, the upstream, the offline hook.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use doorbell_gateway::http::hints::{self, HintsDoor};
use doorbell_message_svc::{MessageService, Neighbours};
use doorbell_notifier::Ingress;
use doorbell_protocol::Clock;
use doorbell_rpc::{Audiences, Messages, NoPresence, NoSignals, Presence, Signals};
use doorbell_upstream::{Hook, Upstream};

use super::{Door, Trust};
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
    /// The message service, where it is that.
    pub(super) store: Option<Arc<MessageService>>,
}

/// Kinds of topics whose versions the message service counts, or a part of ours will; fewer with an upstream in its
/// place.
pub(super) const fn reserved_kinds(config: &Config) -> &'static [&'static str] {
    if config.upstream.is_set() { &["presence"] } else { &["conversation", "inbox", "presence"] }
}

impl Door {
    /// An upstream where one is configured, and then no store is opened. Its families are there in any case, so that a
    /// dashboard has them at 0.
    pub(super) async fn answering(
        &self,
        config: &Config,
        wall: &Clock,
        told: Neighbours,
    ) -> Result<Answering> {
        let metrics = doorbell_upstream::Metrics::register(&self.metrics)?;
        if !config.upstream.is_set() {
            let store = self.open_store(config, wall, told).await?;
            return Ok(Answering {
                messages: Arc::clone(&store) as _,
                audiences: Arc::clone(&store) as _,
                signals: Arc::clone(&store) as _,
                presence: Arc::clone(&store) as _,
                store: Some(store),
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
            store: None,
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
