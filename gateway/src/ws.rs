//! RFC 6455 frames, sans I/O: a strict reader and a small writer.
//!
//! The reader is own code because no library holds a socket without a buffer and is strict at once
//! (docs/adr/0002). It keeps bytes only while a frame is partial.

use doorbell_protocol::CloseCode;

/// Text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8, checked.
    Text,
    /// Bytes.
    Binary,
}

/// What the reader found: one whole message or one control frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message, unmasked, its fragments joined.
    Message(MessageKind, &'a [u8]),
    /// A ping, to be answered with a pong that carries the same bytes.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The client's close, to be echoed: its code, or none. Nothing after it is read.
    Close(Option<u16>),
}

/// A violation: close with this code and reason, read no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// 1002, 1007 or 1009.
    pub code: CloseCode,
    /// For the client's author.
    pub reason: &'static str,
}
