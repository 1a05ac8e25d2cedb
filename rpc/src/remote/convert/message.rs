//! What message services are asked, and what they answer.

use std::num::NonZeroU32;

use doorbell_protocol::{ErrorBody, ErrorCode, UserId};

use super::{BadMessage, Checked, each, news_in, news_out, payload_in, payload_out};
use crate::remote::wire;
use crate::{CallRequest, Caller, Missed, Move, SignalReply, Way};

/// Longest method name; a longer one is nobody's.
const METHOD_BYTES_MAX: usize = 64;

pub(crate) fn call_out(request: &CallRequest) -> wire::MessageCall {
    let CallRequest { caller: Caller { user, throttle }, method, params } = request;
    wire::MessageCall {
        user: user.to_string(),
        throttle: throttle.map_or(0, NonZeroU32::get),
        method: method.clone(),
        params: Some(payload_out(params)),
    }
}

pub(crate) fn call_in(call: wire::MessageCall) -> Checked<CallRequest> {
    if call.method.len() > METHOD_BYTES_MAX {
        return Err(BadMessage::new("a method has at most 64 bytes"));
    }
    let caller = Caller { user: UserId::new(call.user)?, throttle: NonZeroU32::new(call.throttle) };
    Ok(CallRequest { caller, method: call.method, params: payload_in(call.params)? })
}

pub(crate) fn error_out(error: &ErrorBody) -> wire::ErrorObject {
    let ErrorBody { code, message, retry_after_ms, details } = error;
    wire::ErrorObject {
        code: code.as_str().to_owned(),
        message: message.clone(),
        retry_after_ms: *retry_after_ms,
        details: details.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

pub(crate) fn error_in(error: wire::ErrorObject) -> Checked<ErrorBody> {
    let wire::ErrorObject { code, message, retry_after_ms, details } = error;
    let code: ErrorCode = code.parse()?;
    let details = match &*details {
        "" => None,
        text => {
            Some(serde_json::from_str(text).map_err(|_| BadMessage::new("an error's details are no JSON"))?)
        }
    };
    Ok(ErrorBody { code, message, retry_after_ms, details })
}

pub(crate) fn reply_out(reply: &SignalReply) -> wire::SignalPassed {
    use wire::signal_passed::Reply;
    let reply = match reply {
        SignalReply::Passed => Reply::Passed(wire::Done {}),
        SignalReply::Dropped => Reply::Dropped(wire::Done {}),
        SignalReply::Refused(error) => Reply::Refused(error_out(error)),
    };
    wire::SignalPassed { reply: Some(reply) }
}

pub(crate) fn reply_in(passed: wire::SignalPassed) -> Checked<SignalReply> {
    use wire::signal_passed::Reply;
    match passed.reply {
        Some(Reply::Passed(wire::Done {})) => Ok(SignalReply::Passed),
        Some(Reply::Dropped(wire::Done {})) => Ok(SignalReply::Dropped),
        Some(Reply::Refused(error)) => Ok(SignalReply::Refused(error_in(error)?)),
        None => Err(BadMessage::missing("what became of the signal")),
    }
}

pub(crate) fn moves_out(moves: &[Move]) -> wire::Moved {
    let way = |way| match way {
        Way::Came => wire::r#move::Way::Came,
        Way::Went => wire::r#move::Way::Went,
    };
    let out = |one: &Move| wire::Move { user: one.user.to_string(), way: way(one.way).into() };
    wire::Moved { moves: moves.iter().map(out).collect() }
}

pub(crate) fn moves_in(moved: wire::Moved) -> Checked<Vec<Move>> {
    each("moves", moved.moves, |one| {
        let way = match one.way() {
            wire::r#move::Way::Came => Way::Came,
            wire::r#move::Way::Went => Way::Went,
            wire::r#move::Way::Unknown => return Err(BadMessage::missing("a way")),
        };
        Ok(Move { user: UserId::new(one.user)?, way })
    })
}

pub(crate) fn missed_out(missed: &[Missed]) -> Vec<wire::UserNews> {
    missed.iter().map(|one| news_out(&one.user, &one.news)).collect()
}

pub(crate) fn missed_in(missed: Vec<wire::UserNews>) -> Checked<Vec<Missed>> {
    each("missed", missed, |one| {
        let (user, news) = news_in(one)?;
        Ok(Missed { user, news })
    })
}
