//! From a request to the service that is asked, and from its result to an answer.

use std::sync::Arc;

use doorbell_protocol::{ErrorCode, GatewayId, UserId};
use futures_util::future::BoxFuture;

use crate::remote::convert::{self, BadMessage, Checked, channel, failure, gateway, message};
use crate::remote::lane::{Answer, Call};
use crate::remote::method::Method;
use crate::remote::metrics::CallOutcome;
use crate::remote::{MessageDoor, Served, wire};
use crate::{Channels, Error, GatewayApi};

/// A call that can begin.
pub(crate) type Work = BoxFuture<'static, Answer>;

pub(crate) const fn method(call: &Call) -> Option<Method> {
    Some(match call {
        Call::Cancel(_) => return None,
        Call::Deliver(_) => Method::Deliver,
        Call::Publish(_) => Method::Publish,
        Call::Signal(_) => Method::Signal,
        Call::ChannelPublish(_) => Method::ChannelPublish,
        Call::ChannelSubscribe(_) => Method::ChannelSubscribe,
        Call::ChannelFollowers(_) => Method::ChannelFollowers,
        Call::MessageCall(_) => Method::Call,
        Call::LargeTopics(_) => Method::LargeTopics,
        Call::Authorize(_) => Method::Authorize,
        Call::PassSignal(_) => Method::PassSignal,
        Call::Moved(_) => Method::Moved,
        Call::Unmuted(_) => Method::Unmuted,
    })
}

/// What is to be done for a call. Nothing is begun yet.
///
/// # Errors
/// Where the request breaks a rule.
pub(crate) fn work(served: &Served, meant: &str, call: Call) -> Checked<Work> {
    match call {
        Call::Cancel(_) => Err(BadMessage::new("there is nothing to do for a word of cancellation")),
        Call::Deliver(_) | Call::Publish(_) | Call::Signal(_) => gateway_work(served, meant, call),
        Call::ChannelPublish(_) | Call::ChannelSubscribe(_) | Call::ChannelFollowers(_) => {
            let absent = || ready(absent("channel-svc"));
            served.channels.clone().map_or_else(|| Ok(absent()), |channels| channel_work(channels, call))
        }
        Call::MessageCall(_)
        | Call::LargeTopics(_)
        | Call::Authorize(_)
        | Call::PassSignal(_)
        | Call::Moved(_)
        | Call::Unmuted(_) => {
            let absent = || ready(absent("message-svc"));
            served.messages.as_ref().map_or_else(|| Ok(absent()), |door| message_work(door, call))
        }
    }
}

fn gateway_work(served: &Served, meant: &str, call: Call) -> Checked<Work> {
    let meant = gateway::gateway_in(meant)?;
    // Another process may stand at the address by now: a gateway answers for itself alone.
    let here: Arc<dyn GatewayApi> = match &served.gateway {
        Some((id, here)) if *id == meant => Arc::clone(here),
        _ => return Ok(ready(failed(&Error::Unreachable { gateway: meant }))),
    };
    Ok(match call {
        Call::Deliver(deliver) => {
            let batch = gateway::deliver_in(deliver)?;
            Box::pin(async move {
                let delivered = here.deliver(batch).await;
                answer(delivered, |delivered| Answer::Delivered(gateway::delivered_out(&delivered)))
            })
        }
        Call::Publish(publish) => {
            let hints = convert::hints_in(publish.hints)?;
            Box::pin(async move {
                answer(here.publish(hints).await, |heard| Answer::Published(gateway::heard_out(&heard)))
            })
        }
        Call::Signal(signal) => {
            let request = gateway::signal_request_in(signal)?;
            Box::pin(async move { answer(here.signal(request).await, done) })
        }
        _ => return Err(BadMessage::new("no call of a gateway")),
    })
}

fn channel_work(channels: Arc<dyn Channels>, call: Call) -> Checked<Work> {
    Ok(match call {
        Call::ChannelPublish(publish) => {
            let raises = channel::raises_in(publish)?;
            Box::pin(async move {
                let versions = channels.publish(raises).await;
                answer(versions, |versions| Answer::Versions(channel::versions_out(&versions)))
            })
        }
        Call::ChannelSubscribe(subscribe) => {
            let gateway = gateway::gateway_in(&subscribe.gateway)?;
            let subscriptions = channel::subscriptions_in(subscribe.subscriptions)?;
            Box::pin(async move {
                let life = channels.subscribe(&gateway, subscriptions).await;
                answer(life, |life| Answer::Life(channel::life_out(life)))
            })
        }
        Call::ChannelFollowers(followers) => {
            let topics = convert::topics_in(followers.topics)?;
            Box::pin(async move {
                answer(channels.followers(topics).await, |counts| Answer::Counts(wire::Counts { counts }))
            })
        }
        _ => return Err(BadMessage::new("no call of a channel service")),
    })
}

fn message_work(door: &MessageDoor, call: Call) -> Checked<Work> {
    Ok(match call {
        Call::MessageCall(call) => {
            let (messages, request) = (Arc::clone(&door.messages), message::call_in(call)?);
            Box::pin(async move {
                match messages.call(request).await {
                    Ok(payload) => Answer::Payload(convert::payload_out(&payload)),
                    Err(error) => Answer::Refused(message::error_out(&error)),
                }
            })
        }
        Call::LargeTopics(call) => {
            let audiences = Arc::clone(&door.audiences);
            let users = convert::each("users", call.users, |user| Ok(UserId::new(user)?))?;
            Box::pin(async move { answer(audiences.large_topics(users).await, hints_of_users) })
        }
        Call::Authorize(call) => {
            let (audiences, user) = (Arc::clone(&door.audiences), UserId::new(call.user)?);
            let topics = convert::topics_in(call.topics)?;
            Box::pin(async move { answer(audiences.authorize(&user, topics).await, hints) })
        }
        Call::PassSignal(signal) => {
            let (signals, signal) = (Arc::clone(&door.signals), gateway::signal_in(signal)?);
            Box::pin(async move {
                answer(signals.signal(signal).await, |reply| Answer::SignalPassed(message::reply_out(&reply)))
            })
        }
        Call::Moved(moved) => {
            let (presence, moves) = (Arc::clone(&door.presence), message::moves_in(moved)?);
            Box::pin(async move { answer(presence.moved(moves).await, done) })
        }
        Call::Unmuted(call) => {
            let (mutes, missed) = (Arc::clone(&door.mutes), message::missed_in(call.missed)?);
            Box::pin(async move {
                let unmuted = mutes.unmuted(missed).await;
                let out = |missed: Vec<_>| wire::MissedUsers { missed: message::missed_out(&missed) };
                answer(unmuted, |missed| Answer::Missed(out(missed)))
            })
        }
        _ => return Err(BadMessage::new("no call of a message service")),
    })
}

fn ready(answer: Answer) -> Work {
    Box::pin(std::future::ready(answer))
}

fn answer<T>(result: Result<T, Error>, out: impl FnOnce(T) -> Answer) -> Answer {
    result.map_or_else(|error| failed(&error), out)
}

fn failed(error: &Error) -> Answer {
    Answer::Failure(failure::failure_out(error))
}

fn absent(service: &'static str) -> Answer {
    failed(&Error::Unavailable { service, reason: "there is none here".to_owned() })
}

/// A call that could not be made, or whose result could not be answered.
pub(crate) fn refusal(method: Method, reason: impl ToString) -> Answer {
    failed(&Error::Unavailable { service: method.service(), reason: reason.to_string() })
}

/// A call beyond the bound of its stream.
pub(crate) fn busy(method: Method, meant: &str) -> Answer {
    let busy = |gateway| Error::Busy { gateway };
    not_begun(method, meant, busy, "too many calls are under way")
}

/// A call at a process that stops.
pub(crate) fn stopping(method: Method, meant: &str) -> Answer {
    not_begun(method, meant, |gateway| Error::Unreachable { gateway }, "it is stopping")
}

fn not_begun(
    method: Method,
    meant: &str,
    at_gateway: impl FnOnce(GatewayId) -> Error,
    reason: &str,
) -> Answer {
    match (method, gateway::gateway_in(meant)) {
        (Method::Deliver | Method::Publish | Method::Signal, Ok(gateway)) => failed(&at_gateway(gateway)),
        _ => refusal(method, reason),
    }
}

/// How a call ended, for the metric.
pub(crate) fn outcome(answer: &Answer) -> CallOutcome {
    use wire::failure::Kind;
    match answer {
        Answer::Failure(failure) => match failure.kind() {
            Kind::Unreachable => CallOutcome::Unreachable,
            Kind::Busy => CallOutcome::Busy,
            Kind::Unavailable | Kind::Unknown => CallOutcome::Unavailable,
        },
        Answer::Refused(error) if error.code == ErrorCode::Unavailable.as_str() => CallOutcome::Unavailable,
        _ => CallOutcome::Answered,
    }
}

fn done((): ()) -> Answer {
    Answer::Done(wire::Done {})
}

fn hints(hints: Vec<doorbell_protocol::Hint>) -> Answer {
    Answer::Hints(wire::Hints { hints: convert::hints_out(&hints) })
}

fn hints_of_users(users: Vec<Vec<doorbell_protocol::Hint>>) -> Answer {
    let users = users.iter().map(|hints| wire::Hints { hints: convert::hints_out(hints) }).collect();
    Answer::HintsOfUsers(wire::HintsOfUsers { users })
}
