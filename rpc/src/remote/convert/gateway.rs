//! What gateways are asked, and what they answer.

use doorbell_protocol::{Epoch, GatewayId, Generation, Hint, Stamp, TopicId, UserId};

use super::{BadMessage, Checked, each, hints_out, news_in, news_out, payload_in, payload_out};
use crate::remote::wire;
use crate::{DeliverRequest, Delivered, Heard, Signal, SignalRequest};

pub(crate) fn gateway_in(gateway: &str) -> Checked<GatewayId> {
    Ok(GatewayId::new(gateway)?)
}

pub(crate) fn deliver_out(batch: &[DeliverRequest]) -> wire::Deliver {
    wire::Deliver { users: batch.iter().map(|one| news_out(&one.user, &one.dirty)).collect() }
}

pub(crate) fn deliver_in(deliver: wire::Deliver) -> Checked<Vec<DeliverRequest>> {
    each("users", deliver.users, |one| {
        let (user, dirty) = news_in(one)?;
        Ok(DeliverRequest { user, dirty })
    })
}

pub(crate) fn delivered_out(delivered: &[Delivered]) -> wire::Delivered {
    use wire::user_outcome::Outcome;
    let outcome = |one: &Delivered| match *one {
        Delivered::Sessions(count) => Outcome::Sessions(count),
        Delivered::Later => Outcome::Later(wire::Done {}),
        Delivered::Absent(Stamp { epoch, generation }) => {
            Outcome::Absent(wire::Stamp { epoch: epoch.0, generation: generation.0 })
        }
    };
    let users = delivered.iter().map(|one| wire::UserOutcome { outcome: Some(outcome(one)) });
    wire::Delivered { users: users.collect() }
}

pub(crate) fn delivered_in(delivered: wire::Delivered) -> Checked<Vec<Delivered>> {
    use wire::user_outcome::Outcome;
    each("users", delivered.users, |one| match one.outcome {
        Some(Outcome::Sessions(count)) => Ok(Delivered::Sessions(count)),
        Some(Outcome::Later(wire::Done {})) => Ok(Delivered::Later),
        Some(Outcome::Absent(wire::Stamp { epoch, generation })) => {
            Ok(Delivered::Absent(Stamp { epoch: Epoch(epoch), generation: Generation(generation) }))
        }
        None => Err(BadMessage::missing("a user's outcome")),
    })
}

pub(crate) fn publish_out(hints: &[Hint]) -> wire::Publish {
    wire::Publish { hints: hints_out(hints) }
}

pub(crate) fn heard_out(heard: &[Heard]) -> wire::Published {
    use wire::topic_outcome::Outcome;
    let outcome = |one: &Heard| match *one {
        Heard::Followed => Outcome::Followed(wire::Done {}),
        Heard::Unfollowed(generation) => Outcome::Unfollowed(generation.0),
    };
    let topics = heard.iter().map(|one| wire::TopicOutcome { outcome: Some(outcome(one)) });
    wire::Published { topics: topics.collect() }
}

pub(crate) fn heard_in(published: wire::Published) -> Checked<Vec<Heard>> {
    use wire::topic_outcome::Outcome;
    each("topics", published.topics, |one| match one.outcome {
        Some(Outcome::Followed(wire::Done {})) => Ok(Heard::Followed),
        Some(Outcome::Unfollowed(generation)) => Ok(Heard::Unfollowed(Generation(generation))),
        None => Err(BadMessage::missing("a topic's outcome")),
    })
}

pub(crate) fn signal_out(signal: &Signal) -> wire::PassSignal {
    let Signal { topic, from, data } = signal;
    wire::PassSignal { topic: topic.to_string(), from: from.to_string(), data: Some(payload_out(data)) }
}

pub(crate) fn signal_in(signal: wire::PassSignal) -> Checked<Signal> {
    let wire::PassSignal { topic, from, data } = signal;
    Ok(Signal { topic: TopicId::new(topic)?, from: UserId::new(from)?, data: payload_in(data)? })
}

pub(crate) fn signal_request_out(request: &SignalRequest) -> wire::Signal {
    let users = request.users.iter().map(UserId::to_string).collect();
    wire::Signal { signal: Some(signal_out(&request.signal)), users }
}

pub(crate) fn signal_request_in(request: wire::Signal) -> Checked<SignalRequest> {
    let signal = request.signal.ok_or_else(|| BadMessage::missing("the signal"))?;
    let users = each("users", request.users, |user| Ok(UserId::new(user)?))?;
    Ok(SignalRequest { signal: signal_in(signal)?, users })
}
