//! RFC 6455 frames, sans I/O: a strict reader and a small writer.
//!
//! The reader is own code because no library holds a socket without a buffer and is strict at once
//! (docs/adr/0002). It keeps bytes only while a frame or a message is partial.
//!
//! Map: `reader` bytes to events; `header` one frame's header, checked byte by byte; `partial` what is kept
//! between reads; `mask` the client's mask; `writer` server frames.

mod header;
mod mask;
mod partial;
mod reader;
mod writer;

use doorbell_protocol::CloseCode;

pub use reader::{ReadLimits, Reader};
pub use writer::{
    HEADER_BYTES_MAX, put_header, write_close, write_close_echo, write_message, write_ping, write_pong,
};

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

impl Violation {
    /// The framing itself is wrong: 1002.
    const fn protocol(reason: &'static str) -> Self {
        Self { code: CloseCode::ProtocolError, reason }
    }

    /// Text that is not UTF-8: 1007.
    const fn text(reason: &'static str) -> Self {
        Self { code: CloseCode::InvalidText, reason }
    }

    /// Beyond a limit: 1009.
    const fn too_large(reason: &'static str) -> Self {
        Self { code: CloseCode::TooLarge, reason }
    }
}
