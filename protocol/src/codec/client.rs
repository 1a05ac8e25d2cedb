//! What a client sends.

use crate::codec::fields::{Field, Fields, FrameFields};
use crate::codec::raw::{Fault, Raw};
use crate::codec::write::Object;
use crate::error::DecodeError;
use crate::frames::{CLIENT_BYTES_MAX, ClientFrame, HINT_WINDOW_MS_MAX, Hello, METHOD_BYTES_MAX, Token};
use crate::payload::{Encoding, Payload};

pub(super) fn decode(fields: &Fields<'_>) -> Result<ClientFrame, DecodeError> {
    let encoding = fields.encoding();
    match &*fields.kind()? {
        "hello" => hello(&fields.of("hello")),
        "token" => Ok(ClientFrame::Token(fields.of("token").required(Field::Token, token)?)),
        "subscribe" => {
            let frame = fields.of("subscribe");
            Ok(ClientFrame::Subscribe {
                id: frame.id()?,
                topics: frame.required(Field::Topics, Raw::versions)?,
            })
        }
        "unsubscribe" => {
            let frame = fields.of("unsubscribe");
            Ok(ClientFrame::Unsubscribe {
                id: frame.id()?,
                topics: frame.required(Field::Topics, Raw::topics)?,
            })
        }
        "call" => call(encoding, &fields.of("call")),
        "signal" => {
            let frame = fields.of("signal");
            Ok(ClientFrame::Signal {
                topic: frame.required(Field::Topic, Raw::id)?,
                data: frame.required(Field::Data, Raw::signal_data)?,
            })
        }
        "ping" => Ok(ClientFrame::Ping { id: fields.of("ping").optional(Field::Id, Raw::call_id)? }),
        _ => Err(fields.unknown_type()),
    }
}

fn hello(frame: &FrameFields<'_, '_>) -> Result<ClientFrame, DecodeError> {
    let client =
        |raw: Raw<'_>| raw.plain_text(CLIENT_BYTES_MAX, "must be 1 to 128 bytes without control characters");
    Ok(ClientFrame::Hello(Hello {
        token: frame.optional(Field::Token, token)?,
        device: frame.optional(Field::Device, Raw::id)?,
        client: frame.optional(Field::Client, client)?,
        hint_window_ms: frame.optional(Field::HintWindowMs, hint_window)?.unwrap_or(0),
    }))
}

fn call(encoding: Encoding, frame: &FrameFields<'_, '_>) -> Result<ClientFrame, DecodeError> {
    let method =
        |raw: Raw<'_>| raw.plain_text(METHOD_BYTES_MAX, "must be 1 to 64 bytes without control characters");
    Ok(ClientFrame::Call {
        id: frame.id()?,
        method: frame.required(Field::Method, method)?,
        params: frame
            .optional(Field::Params, Raw::object)?
            .unwrap_or_else(|| Payload::empty_object(encoding)),
    })
}

/// Any text: whether it is a token, of a fair length too, is for the authenticator to say, with one answer for all.
fn token(raw: Raw<'_>) -> Result<Token, Fault> {
    Ok(Token(raw.text()?.into_owned()))
}

fn hint_window(raw: Raw<'_>) -> Result<u32, Fault> {
    match raw.number_u32()? {
        window if window <= HINT_WINDOW_MS_MAX => Ok(window),
        _ => Err(Fault::rule("must be at most 10000")),
    }
}

pub(super) fn encode(encoding: Encoding, frame: &ClientFrame, out: &mut Vec<u8>) {
    let open = |out, kind, fields| Object::open(encoding, out, 1 + fields).text("type", kind);
    match frame {
        ClientFrame::Hello(hello) => encode_hello(encoding, hello, out),
        ClientFrame::Token(token) => open(out, "token", 1).text("token", &token.0).close(),
        ClientFrame::Subscribe { id, topics } => {
            open(out, "subscribe", 2).id(id).versions("topics", topics).close();
        }
        ClientFrame::Unsubscribe { id, topics } => {
            open(out, "unsubscribe", 2).id(id).value("topics", topics).close();
        }
        ClientFrame::Call { id, method, params } => {
            open(out, "call", 3).id(id).text("method", method).payload("params", params).close();
        }
        ClientFrame::Signal { topic, data } => {
            open(out, "signal", 2).text("topic", topic.as_str()).payload("data", data).close();
        }
        ClientFrame::Ping { id } => {
            open(out, "ping", usize::from(id.is_some())).id_if(id.as_ref()).close();
        }
    }
}

fn encode_hello(encoding: Encoding, hello: &Hello, out: &mut Vec<u8>) {
    let window = (hello.hint_window_ms > 0).then_some(u64::from(hello.hint_window_ms));
    let fields = [hello.token.is_some(), hello.device.is_some(), hello.client.is_some(), window.is_some()];
    Object::open(encoding, out, 1 + count(fields))
        .text("type", "hello")
        .text_if("token", hello.token.as_ref().map(|token| token.0.as_str()))
        .text_if("device", hello.device.as_ref().map(|device| device.as_str()))
        .text_if("client", hello.client.as_deref())
        .number_if("hint_window_ms", window)
        .close();
}

/// How many optional fields are there.
pub(super) fn count<const N: usize>(fields: [bool; N]) -> usize {
    fields.into_iter().map(usize::from).sum()
}
