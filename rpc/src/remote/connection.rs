//! The caller's side: one other process, as the traits of this crate.

use std::sync::Arc;

use async_trait::async_trait;
use doorbell_protocol::{ErrorBody, ErrorCode, GatewayId, Hint, Payload, Raise, TopicId, UserId, Version};

use crate::remote::convert::{self, BadMessage, Checked, channel, failure, gateway, message};
use crate::remote::gate::Gate;
use crate::remote::lane::{Answer, Call, Lane, NoAnswer, Peer};
use crate::remote::method::{Method, Purpose};
use crate::remote::metrics::{CallOutcome, End, Metrics};
use crate::remote::{Config, Error as SetupError, Trust, wire};
use crate::{
    Audiences, CallRequest, ChannelLife, Channels, DeliverRequest, Delivered, Error, GatewayApi, Heard,
    Messages, Missed, Move, Mutes, Presence, Signal, SignalReply, SignalRequest, Signals, Subscription,
};

/// When a client whose call found no message service may try again.
const RETRY_MS: u64 = 1_000;

/// One other process. It connects when it is first called, and again when a call finds the connection broken, with waits
/// that grow while that fails: then calls fail at once. Cheap to clone; with the last clone its connections end.
///
/// There are up to five connections, one for each kind of call (deliver, publish, signals, calls of clients, all others),
/// so that a slow one does not hold up the others. Calls of one kind begin at the peer in the order in which their futures
/// are first polled. Each has an end: the caller's, who drops the future, or [`Config::call_timeout_max`].
#[derive(Clone, Debug)]
pub struct Connection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    gateway: Option<GatewayId>,
    /// One for each [`Purpose`].
    lanes: [Lane; Purpose::ALL.len()],
    metrics: Metrics,
}

/// Why a call failed, before it is known to whom it went.
enum Failed {
    NoAnswer(NoAnswer),
    Said(wire::Failure),
    Bad(BadMessage),
}

impl Connection {
    /// A process at `host:port`. With the name of a gateway, [`GatewayApi`] calls that one and no other that may stand
    /// at the address some day. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SetupError`] where the address has not that form, or the configuration contradicts itself.
    pub fn new(
        address: &str,
        gateway: Option<GatewayId>,
        trust: &Trust,
        config: &Config,
        metrics: &Metrics,
    ) -> Result<Self, SetupError> {
        config.validate()?;
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(SetupError::Address(address.to_owned()));
        }
        let peer = Arc::new(Peer {
            gate: Gate::new(address, config),
            trust: trust.clone(),
            config: config.clone(),
            metrics: metrics.clone(),
        });
        let lanes = Purpose::ALL.map(|_| Lane::new(Arc::clone(&peer)));
        Ok(Self { inner: Arc::new(Inner { gateway, lanes, metrics: metrics.clone() }) })
    }

    /// Makes a call and reads its answer with `read`, which answers what it cannot read.
    async fn ask<T>(
        &self,
        method: Method,
        gateway: String,
        call: Call,
        read: impl FnOnce(Answer) -> Result<Checked<T>, Answer> + Send,
    ) -> Result<T, Failed> {
        let Inner { lanes, metrics, .. } = &*self.inner;
        let running = metrics.begin(End::Caller, method);
        let answer = lanes[method.purpose() as usize].call(gateway, call).await;
        let (outcome, result) = match answer {
            Err(no_answer) => (outcome(&no_answer), Err(Failed::NoAnswer(no_answer))),
            Ok(Answer::Failure(failure)) => (said(&failure), Err(Failed::Said(failure))),
            Ok(answer) => match read(answer) {
                Ok(Ok(value)) => (CallOutcome::Answered, Ok(value)),
                Ok(Err(bad)) => (CallOutcome::Bad, Err(Failed::Bad(bad))),
                Err(_) => (CallOutcome::Bad, Err(Failed::Bad(BadMessage::unexpected()))),
            },
        };
        running.ended(outcome);
        result
    }

    async fn ask_gateway<T>(
        &self,
        method: Method,
        call: Call,
        read: impl FnOnce(Answer) -> Result<Checked<T>, Answer> + Send,
    ) -> Result<T, Error> {
        let Some(gateway) = &self.inner.gateway else {
            let reason = "no gateway is known at this address".to_owned();
            return Err(Error::Unavailable { service: method.service(), reason });
        };
        let unavailable = |reason| Error::Unavailable { service: method.service(), reason };
        self.ask(method, gateway.to_string(), call, read).await.map_err(|failed| match failed {
            Failed::NoAnswer(NoAnswer::Busy) => Error::Busy { gateway: gateway.clone() },
            Failed::NoAnswer(NoAnswer::NoConnection(_) | NoAnswer::Late(_)) => {
                Error::Unreachable { gateway: gateway.clone() }
            }
            Failed::NoAnswer(NoAnswer::TooLarge(reason)) => unavailable(reason),
            Failed::Said(said) => {
                failure::failure_in(said, method.service()).unwrap_or_else(|bad| unavailable(bad.to_string()))
            }
            Failed::Bad(bad) => unavailable(bad.to_string()),
        })
    }

    async fn ask_service<T>(
        &self,
        method: Method,
        call: Call,
        read: impl FnOnce(Answer) -> Result<Checked<T>, Answer> + Send,
    ) -> Result<T, Error> {
        let service = method.service();
        self.ask(method, String::new(), call, read).await.map_err(|failed| match failed {
            Failed::Said(said) => failure::failure_in(said, service)
                .unwrap_or_else(|bad| Error::Unavailable { service, reason: bad.to_string() }),
            Failed::NoAnswer(no_answer) => Error::Unavailable { service, reason: no_answer.to_string() },
            Failed::Bad(bad) => Error::Unavailable { service, reason: bad.to_string() },
        })
    }
}

const fn outcome(no_answer: &NoAnswer) -> CallOutcome {
    match no_answer {
        NoAnswer::Busy => CallOutcome::Busy,
        NoAnswer::TooLarge(_) => CallOutcome::Bad,
        NoAnswer::NoConnection(_) => CallOutcome::Unreachable,
        NoAnswer::Late(_) => CallOutcome::Late,
    }
}

fn said(failure: &wire::Failure) -> CallOutcome {
    use wire::failure::Kind;
    match failure.kind() {
        Kind::Unreachable => CallOutcome::Unreachable,
        Kind::Busy => CallOutcome::Busy,
        Kind::Unavailable | Kind::Unknown => CallOutcome::Unavailable,
    }
}

/// Reads an answer of one kind.
macro_rules! reads {
    ($kind:ident => $read:expr) => {
        |answer| match answer {
            Answer::$kind(answer) => Ok($read(answer)),
            other => Err(other),
        }
    };
}

#[async_trait]
impl GatewayApi for Connection {
    async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, Error> {
        let users = batch.len();
        let call = Call::Deliver(gateway::deliver_out(&batch));
        let read = |answer| convert::as_many(users, gateway::delivered_in(answer)?);
        self.ask_gateway(Method::Deliver, call, reads!(Delivered => read)).await
    }

    async fn publish(&self, hints: Vec<Hint>) -> Result<Vec<Heard>, Error> {
        let topics = hints.len();
        let call = Call::Publish(gateway::publish_out(&hints));
        let read = |answer| convert::as_many(topics, gateway::heard_in(answer)?);
        self.ask_gateway(Method::Publish, call, reads!(Published => read)).await
    }

    async fn signal(&self, request: SignalRequest) -> Result<(), Error> {
        let call = Call::Signal(gateway::signal_request_out(&request));
        self.ask_gateway(Method::Signal, call, reads!(Done => done)).await
    }
}

#[async_trait]
impl Channels for Connection {
    async fn publish(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        let topics = raises.len();
        let call = Call::ChannelPublish(channel::raises_out(&raises));
        let read = |answer| convert::as_many(topics, channel::versions_in(answer)?);
        self.ask_service(Method::ChannelPublish, call, reads!(Versions => read)).await
    }

    async fn subscribe(
        &self,
        gateway: &GatewayId,
        subscriptions: Vec<Subscription>,
    ) -> Result<ChannelLife, Error> {
        let subscriptions = channel::subscriptions_out(&subscriptions);
        let call =
            Call::ChannelSubscribe(wire::ChannelSubscribe { gateway: gateway.to_string(), subscriptions });
        let read = |answer| channel::life_in(&answer);
        self.ask_service(Method::ChannelSubscribe, call, reads!(Life => read)).await
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, Error> {
        let asked = topics.len();
        let call = Call::ChannelFollowers(wire::ChannelFollowers { topics: convert::topics_out(&topics) });
        let read = |answer: wire::Counts| convert::as_many(asked, answer.counts);
        self.ask_service(Method::ChannelFollowers, call, reads!(Counts => read)).await
    }
}

#[async_trait]
impl Messages for Connection {
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        let call = Call::MessageCall(message::call_out(&request));
        let answered = self.ask(Method::Call, String::new(), call, |answer| match answer {
            Answer::Payload(payload) => Ok(convert::payload_in(Some(payload)).map(Ok)),
            Answer::Refused(error) => Ok(message::error_in(error).map(Err)),
            other => Err(other),
        });
        match answered.await {
            Ok(result) => result,
            Err(Failed::NoAnswer(NoAnswer::TooLarge(reason))) => {
                Err(ErrorBody::new(ErrorCode::TooLarge, reason))
            }
            Err(Failed::NoAnswer(no_answer)) => {
                tracing::debug!(reason = %no_answer, "a call found no message service");
                let message = "the message service does not answer";
                Err(ErrorBody::retry_after(ErrorCode::Unavailable, message, RETRY_MS))
            }
            Err(Failed::Said(failure)) => {
                Err(ErrorBody::retry_after(ErrorCode::Unavailable, failure.reason, RETRY_MS))
            }
            Err(Failed::Bad(bad)) => {
                tracing::warn!(error = %bad, "a message service answered what this version cannot read");
                Err(ErrorBody::new(ErrorCode::Internal, "the message service gave no readable answer"))
            }
        }
    }
}

#[async_trait]
impl Audiences for Connection {
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, Error> {
        let asked = users.len();
        let users = users.iter().map(UserId::to_string).collect();
        let call = Call::LargeTopics(wire::LargeTopics { users });
        let read = |answer| convert::as_many(asked, hints_of_users(answer)?);
        self.ask_service(Method::LargeTopics, call, reads!(HintsOfUsers => read)).await
    }

    async fn authorize(&self, user: &UserId, topics: Vec<TopicId>) -> Result<Vec<Hint>, Error> {
        let topics = convert::topics_out(&topics);
        let call = Call::Authorize(wire::Authorize { user: user.to_string(), topics });
        self.ask_service(Method::Authorize, call, reads!(Hints => hints)).await
    }
}

#[async_trait]
impl Signals for Connection {
    async fn signal(&self, signal: Signal) -> Result<SignalReply, Error> {
        let call = Call::PassSignal(gateway::signal_out(&signal));
        self.ask_service(Method::PassSignal, call, reads!(SignalPassed => message::reply_in)).await
    }
}

#[async_trait]
impl Presence for Connection {
    async fn moved(&self, moves: Vec<Move>) -> Result<(), Error> {
        let call = Call::Moved(message::moves_out(&moves));
        self.ask_service(Method::Moved, call, reads!(Done => done)).await
    }
}

#[async_trait]
impl Mutes for Connection {
    async fn unmuted(&self, missed: Vec<Missed>) -> Result<Vec<Missed>, Error> {
        let call = Call::Unmuted(wire::Unmuted { missed: message::missed_out(&missed) });
        let read = |answer: wire::MissedUsers| message::missed_in(answer.missed);
        self.ask_service(Method::Unmuted, call, reads!(Missed => read)).await
    }
}

fn hints(hints: wire::Hints) -> Checked<Vec<Hint>> {
    convert::hints_in(hints.hints)
}

fn hints_of_users(answer: wire::HintsOfUsers) -> Checked<Vec<Vec<Hint>>> {
    answer.users.into_iter().map(hints).collect()
}

const fn done(_: wire::Done) -> Checked<()> {
    Ok(())
}
