//! Signals: whether they are allowed is read from the store, where the others are from the registry; then each gateway
//! is called once.
//!
//! A lane of its own: threads, places and a deadline that calls and announcements share nothing of. Whatever is
//! slow or busy on it, the signal is dropped and counted (MS-15).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use doorbell_backplane::Registry;
use doorbell_protocol::{GatewayId, UserId};
use doorbell_rpc::{Error, Gateways, Signal, SignalReply, SignalRequest, Signals};
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::MessageService;
use crate::Config;
use crate::metrics::{ReadFor, SignalCall, SignalOutcome};
use crate::read::audiences;
use crate::reader::Reader;
use crate::refusal::Refusal;

/// Reads for signals that run at the same time: one takes some 50 µs from memory, so two are tens of thousands a
/// second, and a cold disk keeps two threads busy with them at most.
const READ_THREADS: usize = 2;

/// What signals have to themselves.
pub struct SignalLane {
    pub(super) reader: Reader,
    places: Semaphore,
}

impl SignalLane {
    /// A lane of the configuration's width, which reads the store of `reader` on threads of its own.
    pub fn new(reader: &Reader, config: &Config) -> Self {
        let places = usize::try_from(config.signals_in_flight_max.get()).unwrap_or(Semaphore::MAX_PERMITS);
        let places = places.min(Semaphore::MAX_PERMITS);
        // Whoever has a place may wait for a read.
        let reader = reader.beside_calls(ReadFor::Signal, READ_THREADS, places);
        Self { reader, places: Semaphore::new(places) }
    }
}

#[async_trait]
impl Signals for MessageService {
    async fn signal(&self, signal: Signal) -> Result<SignalReply, Error> {
        let outcome = match self.signals.places.try_acquire() {
            Ok(_place) => self.pass(signal).await,
            Err(_) => Ok(SignalOutcome::Busy),
        };
        let metrics = &self.tools.metrics;
        Ok(match outcome {
            Ok(outcome) => {
                metrics.signal(outcome);
                if outcome.is_dropped() { SignalReply::Dropped } else { SignalReply::Passed }
            }
            Err(refusal) => {
                metrics.signal(SignalOutcome::Refused);
                SignalReply::Refused(refusal.into_body())
            }
        })
    }
}

impl MessageService {
    /// Passes one signal on. The error is the sender's fault; what fails here is an outcome.
    async fn pass(&self, signal: Signal) -> Result<SignalOutcome, Refusal> {
        let by = Instant::now() + self.tools.config.signal_deadline;
        let small_audience_max = self.tools.config.small_audience_max;
        let (topic, from) = (signal.topic.clone(), signal.from.clone());
        let read = self
            .signals
            .reader
            .read(move |store| audiences::others(store, &from, &topic, small_audience_max));
        let others = match timeout_at(by, read).await {
            Ok(Ok(others)) => others,
            Ok(Err(refusal)) if refusal.is_the_senders() => return Err(refusal),
            Ok(Err(_)) | Err(_) => return Ok(SignalOutcome::NoStore),
        };
        let looked_up = timeout_at(by, whereabouts(&*self.neighbours.registry, others)).await;
        let Ok(Some(by_gateway)) = looked_up else { return Ok(SignalOutcome::NoRegistry) };
        if by_gateway.is_empty() {
            return Ok(SignalOutcome::Nobody);
        }
        let calls = by_gateway.into_iter().map(|(gateway, users)| {
            let request = SignalRequest { signal: signal.clone(), users };
            self.call_gateway(gateway, request, by)
        });
        join_all(calls).await;
        Ok(SignalOutcome::Passed)
    }

    async fn call_gateway(&self, gateway: GatewayId, request: SignalRequest, by: Instant) {
        let gateways: &Arc<dyn Gateways> = &self.neighbours.gateways;
        let call = match timeout_at(by, gateways.signal(&gateway, request)).await {
            Ok(Ok(())) => SignalCall::Answered,
            Ok(Err(Error::Busy { .. })) => SignalCall::Busy,
            Ok(Err(Error::Unreachable { .. } | Error::Unavailable { .. })) => SignalCall::Unreachable,
            Err(_) => SignalCall::Late,
        };
        self.tools.metrics.signal_call(call);
    }
}

/// Which of these users have sessions where, in one call; `None` where the registry does not say.
async fn whereabouts(
    registry: &dyn Registry,
    users: Vec<UserId>,
) -> Option<BTreeMap<GatewayId, Vec<UserId>>> {
    let mut by_gateway: BTreeMap<GatewayId, Vec<UserId>> = BTreeMap::new();
    if users.is_empty() {
        return Some(by_gateway);
    }
    let entries = registry.look_up(users.clone()).await.ok()?;
    for (user, entries) in users.into_iter().zip(entries) {
        for entry in entries {
            by_gateway.entry(entry.gateway).or_default().push(user.clone());
        }
    }
    Some(by_gateway)
}
