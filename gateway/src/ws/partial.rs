//! What a reader keeps between reads: the front of a header, a frame under way, the fragments of a message.

use super::header::{CLIENT_HEADER_BYTES_MAX, Fin, Header, Opcode};
use super::{MessageKind, Violation};

const NOT_UTF8: Violation = Violation::text("text must be UTF-8");
const CUT_UTF8: Violation = Violation::text("text ends inside a character");

/// All of it together; a reader has one only while it holds something.
#[derive(Default)]
pub(super) struct Partial {
    /// The bytes of a header that is not all there.
    pub(super) head: Head,
    /// A frame whose payload is not all there.
    pub(super) frame: Option<Frame>,
    /// The message whose frame or fragments are under way.
    pub(super) message: Option<Message>,
    /// The payload of a control frame under way, at most 125 bytes.
    pub(super) control: Vec<u8>,
    /// What the last event borrowed, to be given back at the next call.
    pub(super) lent: Lent,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Lent {
    #[default]
    Nothing,
    Message,
    Control,
}

/// The front of a header.
#[derive(Default)]
pub(super) struct Head {
    bytes: [u8; CLIENT_HEADER_BYTES_MAX],
    len: usize,
}

impl Head {
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes what still fits of `input`, and says how many bytes that was.
    pub(super) fn extend(&mut self, input: &[u8]) -> usize {
        let taken = input.len().min(CLIENT_HEADER_BYTES_MAX - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&input[..taken]);
        self.len += taken;
        taken
    }
}

/// A frame whose header is known and whose payload is not all there.
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) fin: Fin,
    /// Turned so that its first byte meets the next payload byte.
    pub(super) mask: [u8; 4],
    pub(super) remaining: usize,
}

/// A message under way.
pub(super) struct Message {
    pub(super) kind: MessageKind,
    pub(super) bytes: Vec<u8>,
    /// Frames so far, this one included.
    pub(super) fragments: usize,
    /// Of text: the bytes before this one are whole, valid characters.
    valid_to: usize,
}

impl Message {
    pub(super) const fn new(kind: MessageKind) -> Self {
        Self { kind, bytes: Vec::new(), fragments: 0, valid_to: 0 }
    }

    /// Appends what arrived. Memory follows the bytes that are there, never a declared length: it doubles, up to
    /// `bytes_max`, within which the caller has checked the whole.
    pub(super) fn append(&mut self, chunk: &[u8], bytes_max: usize) -> Result<(), Violation> {
        let needed = self.bytes.len() + chunk.len();
        if needed > self.bytes.capacity() {
            let capacity = needed.max(bytes_max.min(self.bytes.capacity() * 2));
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        match self.kind {
            MessageKind::Text => self.check_text(),
            MessageKind::Binary => Ok(()),
        }
    }

    /// Says whether the text so far can become valid; a character that is cut at the end waits for its rest.
    fn check_text(&mut self) -> Result<(), Violation> {
        match std::str::from_utf8(&self.bytes[self.valid_to..]) {
            Ok(_) => self.valid_to = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.valid_to += error.valid_up_to(),
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }

    /// Says whether the message may end here.
    pub(super) fn check_end(&self) -> Result<(), Violation> {
        match self.kind {
            MessageKind::Text if self.valid_to < self.bytes.len() => Err(CUT_UTF8),
            _ => Ok(()),
        }
    }
}

/// Checks the text of a message that lies in one piece.
pub(super) fn check_whole(kind: MessageKind, payload: &[u8]) -> Result<(), Violation> {
    match kind {
        MessageKind::Binary => Ok(()),
        MessageKind::Text => match std::str::from_utf8(payload) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => Err(CUT_UTF8),
            Err(_) => Err(NOT_UTF8),
        },
    }
}

impl Partial {
    /// Whether nothing is kept any more.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.frame.is_none() && self.message.is_none() && self.lent == Lent::Nothing
    }

    /// Frees what the last event borrowed.
    pub(super) fn give_back(&mut self) {
        match std::mem::take(&mut self.lent) {
            Lent::Nothing => {}
            Lent::Message => self.message = None,
            Lent::Control => self.control = Vec::new(),
        }
    }

    /// Starts a frame of `remaining` payload bytes.
    pub(super) fn begin(&mut self, header: &Header, remaining: usize) {
        let kind = match header.opcode {
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        };
        if let Some(kind) = kind {
            self.message = Some(Message::new(kind));
        }
        if let (false, Some(message)) = (header.opcode.is_control(), &mut self.message) {
            message.fragments += 1;
        }
        self.frame = Some(Frame { opcode: header.opcode, fin: header.fin, mask: header.mask, remaining });
    }
}
