//! What a gateway sends.

use crate::codec::client::count;
use crate::codec::fields::{Field, Fields, FrameFields};
use crate::codec::raw::{Fault, Raw};
use crate::codec::write::Object;
use crate::error::{DecodeError, ErrorBody};
use crate::frames::{Goaway, HintFrame, Limits, ServerFrame, Welcome};
use crate::payload::{Encoding, Payload};
use crate::time::Timestamp;

pub(super) fn decode(fields: &Fields<'_>) -> Result<ServerFrame, DecodeError> {
    match &*fields.kind()? {
        "welcome" => welcome(&fields.of("welcome")),
        "hint" => hint(&fields.of("hint")),
        "reply" => reply(&fields.of("reply")),
        "signal" => {
            let frame = fields.of("signal");
            Ok(ServerFrame::Signal {
                topic: frame.required(Field::Topic, Raw::id)?,
                from: frame.required(Field::From, Raw::id)?,
                data: frame.required(Field::Data, Raw::value)?,
            })
        }
        "pong" => Ok(ServerFrame::Pong { id: fields.of("pong").optional(Field::Id, Raw::call_id)? }),
        "goaway" => goaway(&fields.of("goaway")),
        "error" => error(&fields.of("error")),
        _ => Err(fields.unknown_type()),
    }
}

fn welcome(frame: &FrameFields<'_, '_>) -> Result<ServerFrame, DecodeError> {
    Ok(ServerFrame::Welcome(Welcome {
        session: frame.required(Field::Session, Raw::id)?,
        user: frame.required(Field::User, Raw::id)?,
        device: frame.optional(Field::Device, Raw::id)?,
        server_time_ms: Timestamp::from_millis(frame.required(Field::ServerTimeMs, Raw::number)?),
        heartbeat_ms: frame.required(Field::HeartbeatMs, Raw::number_u32)?,
        limits: frame.required(Field::Limits, |raw| {
            raw.object()?.parse::<Limits>().map_err(|error| Fault::nested(&error))
        })?,
    }))
}

fn hint(frame: &FrameFields<'_, '_>) -> Result<ServerFrame, DecodeError> {
    Ok(ServerFrame::Hint(HintFrame {
        topics: frame.required(Field::Topics, Raw::versions)?,
        pull_after_ms: frame.optional(Field::PullAfterMs, Raw::number_u32)?,
        more: frame.optional(Field::More, Raw::flag)?.unwrap_or(false),
        resync: frame.optional(Field::Resync, Raw::flag)?.unwrap_or(false),
    }))
}

fn reply(frame: &FrameFields<'_, '_>) -> Result<ServerFrame, DecodeError> {
    let id = frame.id()?;
    let error = frame.optional(Field::Error, |raw| {
        raw.object()?.parse::<ErrorBody>().map_err(|error| Fault::nested(&error))
    })?;
    let outcome = match error {
        None => Ok(frame.required(Field::Result, Raw::value)?),
        Some(_) if frame.has(Field::Result) => {
            return Err(frame.fault(Field::Result, Fault::rule("must not stand beside an `error`")));
        }
        Some(error) => Err(error),
    };
    Ok(ServerFrame::Reply { id, outcome })
}

fn goaway(frame: &FrameFields<'_, '_>) -> Result<ServerFrame, DecodeError> {
    let text = |raw: Raw<'_>| Ok(raw.text()?.into_owned());
    Ok(ServerFrame::Goaway(Goaway {
        reason: frame.required(Field::Reason, text)?,
        reconnect_after_ms: frame.required(Field::ReconnectAfterMs, Raw::number_u32)?,
        deadline_ms: frame.required(Field::DeadlineMs, Raw::number_u32)?,
        url: frame.optional(Field::Url, text)?,
    }))
}

fn error(frame: &FrameFields<'_, '_>) -> Result<ServerFrame, DecodeError> {
    let details = |raw: Raw<'_>| Ok(raw.value()?.json());
    Ok(ServerFrame::Error(ErrorBody {
        code: frame.required(Field::Code, |raw| {
            raw.text()?.parse().map_err(|_| Fault::rule("must be a code that this version knows"))
        })?,
        message: frame.required(Field::Message, |raw| Ok(raw.text()?.into_owned()))?,
        retry_after_ms: frame.optional(Field::RetryAfterMs, Raw::number)?,
        details: frame.optional(Field::Details, details)?,
    }))
}

pub(super) fn encode(encoding: Encoding, frame: &ServerFrame, out: &mut Vec<u8>) {
    let open = |out, kind, fields| Object::open(encoding, out, 1 + fields).text("type", kind);
    match frame {
        ServerFrame::Welcome(welcome) => encode_welcome(encoding, welcome, out),
        ServerFrame::Hint(hint) => encode_hint(encoding, hint, out),
        ServerFrame::Reply { id, outcome: Ok(result) } => encode_result(encoding, id, result, out),
        ServerFrame::Reply { id, outcome: Err(error) } => {
            open(out, "reply", 2).id(id).value("error", error).close();
        }
        ServerFrame::Signal { topic, from, data } => open(out, "signal", 3)
            .text("topic", topic.as_str())
            .text("from", from.as_str())
            .payload("data", data)
            .close(),
        ServerFrame::Pong { id } => {
            open(out, "pong", usize::from(id.is_some())).id_if(id.as_ref()).close();
        }
        ServerFrame::Goaway(goaway) => open(out, "goaway", 3 + usize::from(goaway.url.is_some()))
            .text("reason", &goaway.reason)
            .number("reconnect_after_ms", goaway.reconnect_after_ms.into())
            .number("deadline_ms", goaway.deadline_ms.into())
            .text_if("url", goaway.url.as_deref())
            .close(),
        ServerFrame::Error(error) => encode_error(encoding, error, out),
    }
}

fn encode_welcome(encoding: Encoding, welcome: &Welcome, out: &mut Vec<u8>) {
    Object::open(encoding, out, 6 + usize::from(welcome.device.is_some()))
        .text("type", "welcome")
        .text("session", &welcome.session.to_string())
        .text("user", welcome.user.as_str())
        .text_if("device", welcome.device.as_ref().map(|device| device.as_str()))
        .number("server_time_ms", welcome.server_time_ms.as_millis())
        .number("heartbeat_ms", welcome.heartbeat_ms.into())
        .value("limits", &welcome.limits)
        .close();
}

pub(super) fn encode_hint(encoding: Encoding, hint: &HintFrame, out: &mut Vec<u8>) {
    let optional = count([hint.pull_after_ms.is_some(), hint.more, hint.resync]);
    Object::open(encoding, out, 2 + optional)
        .text("type", "hint")
        .versions("topics", &hint.topics)
        .number_if("pull_after_ms", hint.pull_after_ms.map(u64::from))
        .mark("more", hint.more)
        .mark("resync", hint.resync)
        .close();
}

fn encode_result(encoding: Encoding, id: &crate::CallId, result: &Payload, out: &mut Vec<u8>) {
    // A result is most of its frame, and the id at most 64 bytes, twelve each when escaped.
    out.reserve(result.bytes().len() + 64);
    Object::open(encoding, out, 3).text("type", "reply").id(id).payload("result", result).close();
}

fn encode_error(encoding: Encoding, error: &ErrorBody, out: &mut Vec<u8>) {
    let optional = count([error.retry_after_ms.is_some(), error.details.is_some()]);
    let mut object = Object::open(encoding, out, 3 + optional)
        .text("type", "error")
        .text("code", error.code.as_str())
        .text("message", &error.message)
        .number_if("retry_after_ms", error.retry_after_ms);
    if let Some(details) = &error.details {
        object = object.value("details", details);
    }
    object.close();
}
