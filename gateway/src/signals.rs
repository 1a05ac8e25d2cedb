//! Signals: from a session to message-svc, and from there to the sessions of others. A lane of its own, on which
//! nothing waits: what is too many, too slow or not taken by a socket at once is dropped and counted (GW-16).

mod throttle;

use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{Encoding, ErrorBody, ErrorCode, Payload, ServerFrame, TopicId};
use doorbell_rpc::{Signal, SignalReply, SignalRequest, Signals as Service};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::Config;
use crate::fanout::{EncodedOnce, USER_TURN};
use crate::gateway::Gateway;
use crate::metrics::Sent;
use crate::rates::Limited;
use crate::session::Session;
use crate::session::event::Event;
use throttle::Throttle;

/// The signals of a gateway.
pub(crate) struct Signals {
    service: Arc<dyn Service>,
    throttle: Throttle,
    /// From sessions here.
    going: Arc<Semaphore>,
    /// For sessions here.
    coming: Semaphore,
    tasks: TaskTracker,
}

impl Signals {
    pub(crate) fn new(service: Arc<dyn Service>, config: &Config) -> Self {
        let in_flight_max = config.signals_in_flight_max.get().min(Semaphore::MAX_PERMITS);
        Self {
            service,
            throttle: Throttle::new(config.signal_interval),
            going: Arc::new(Semaphore::new(in_flight_max)),
            coming: Semaphore::new(in_flight_max),
            tasks: TaskTracker::new(),
        }
    }

    /// Waits for what is on its way: not longer than a signal may take.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A signal for many sessions, with its bytes in each encoding once somebody needs them.
pub(crate) struct Passing {
    frame: ServerFrame,
    encoded: EncodedOnce,
}

impl Passing {
    fn new(signal: Signal) -> Self {
        let Signal { topic, from, data } = signal;
        Self { frame: ServerFrame::Signal { topic, from, data }, encoded: EncodedOnce::default() }
    }

    /// The whole WebSocket frame.
    pub(crate) fn bytes(&mut self, encoding: Encoding) -> &[u8] {
        self.encoded.frame(encoding, &self.frame)
    }
}

impl Gateway {
    /// Passes a session's signal on, in a task of its own. The session hears of it only where it is refused.
    pub(crate) fn send_signal(self: &Arc<Self>, session: &Arc<Session>, topic: TopicId, data: Payload) {
        let Some(identity) = session.identity() else { return };
        let metrics = &self.setting().metrics;
        match self.signals().throttle.pass(&identity.user, &topic, self.setting().uptime.now()) {
            Ok(()) => {}
            Err(Limited::Wait(wait)) => {
                metrics.signal_sent(Sent::TooOften);
                return self.tell(session, Event::SignalRefused(too_often(wait)));
            }
            Err(Limited::Full) => return metrics.signal_sent(Sent::Busy),
        }
        let Ok(place) = Arc::clone(&self.signals().going).try_acquire_owned() else {
            return metrics.signal_sent(Sent::Busy);
        };
        let signal = Signal { topic, from: identity.user.clone(), data };
        let (gateway, session) = (Arc::clone(self), Arc::clone(session));
        self.signals().tasks.spawn(async move {
            gateway.pass_signal(&session, signal).await;
            drop(place);
        });
    }

    async fn pass_signal(&self, session: &Arc<Session>, signal: Signal) {
        let deadline = self.setting().rules.config.signal_timeout;
        let sent = match timeout(deadline, self.signals().service.signal(signal)).await {
            Ok(Ok(SignalReply::Passed)) => Sent::Passed,
            Ok(Ok(SignalReply::Dropped)) => Sent::Dropped,
            Ok(Ok(SignalReply::Refused(error))) => {
                self.tell(session, Event::SignalRefused(error));
                Sent::Refused
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a signal found nobody to pass it on");
                Sent::Failed
            }
            Err(_) => Sent::Late,
        };
        self.setting().metrics.signal_sent(sent);
    }

    /// Writes a signal to those sessions of its users that take it at once.
    pub(crate) async fn show_signal(&self, request: SignalRequest) -> Result<(), doorbell_rpc::Error> {
        let Ok(_place) = self.signals().coming.try_acquire() else {
            return Err(doorbell_rpc::Error::Busy { gateway: self.id().clone() });
        };
        let SignalRequest { signal, users } = request;
        let mut passing = Passing::new(signal);
        let sessions = users.iter().flat_map(|user| self.local().sessions(user));
        for (nth, session) in sessions.enumerate() {
            let shown = session.show(&mut passing, self.setting());
            self.setting().metrics.signal_shown(shown);
            if nth % USER_TURN == USER_TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

fn too_often(wait: Duration) -> ErrorBody {
    let wait_ms = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX).max(1);
    let message = "signal: too many about this topic in a short time";
    ErrorBody::retry_after(ErrorCode::RateLimited, message, wait_ms)
}
