//! Bytes to events: one event a call, out of the front of what was read.

use super::header::{self, Fin, Header, Opcode, Place};
use super::mask::unmask;
use super::partial::{Lent, Partial, check_whole};
use super::{Event, MessageKind, Violation};

const MESSAGE_TOO_LARGE: Violation = Violation::too_large("the message is larger than the limit");
const TOO_MANY_FRAGMENTS: Violation = Violation::too_large("the message has too many fragments");
const CLOSE_OF_ONE_BYTE: Violation = Violation::protocol("a close code has two bytes");
const CLOSE_CODE: Violation = Violation::protocol("this close code must not be sent");
const CLOSE_REASON: Violation = Violation::text("a close reason must be UTF-8");

/// What one client may make the reader keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The largest message, its fragments together, in bytes.
    pub message_bytes_max: usize,
    /// The most frames that one message may come in; at least 1.
    pub fragments_max: usize,
}

/// A strict reader of one client's frames. Idle, it owns no heap.
pub struct Reader {
    limits: ReadLimits,
    partial: Option<Box<Partial>>,
    /// After a close or a violation: nothing more is read.
    ended: bool,
}

/// What one step found. It borrows from the input alone, so that the reader stays free for the next step.
enum Step<'i> {
    /// A fragment was stored; look further.
    Onward,
    /// The input is used up.
    Starved,
    /// A message that lay in the input in one piece.
    Message(MessageKind, &'i [u8]),
    /// A ping that lay in the input in one piece.
    Ping(&'i [u8]),
    /// A message that was put together.
    JoinedMessage(MessageKind),
    /// A ping that was put together.
    JoinedPing,
    Pong,
    Close(Option<u16>),
}

impl Reader {
    /// Allocates nothing.
    #[must_use]
    pub const fn new(limits: ReadLimits) -> Self {
        Self { limits, partial: None, ended: false }
    }

    /// Whether nothing is kept, so that a new reader would do as well: no byte, and not that it has ended. Asked
    /// after [`Reader::next`] has returned `None`: an event's bytes are given back by the call after it.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.partial.is_none() && !self.ended
    }

    /// Takes one event out of the front of `input`, unmasking in place, and leaves the rest there.
    ///
    /// `None` means that all input is used up; what was the front of a frame or message is kept inside. Call it
    /// until then. The events, and the violation, do not depend on how the bytes were cut into inputs.
    /// After a close or a violation all further input is dropped unread.
    ///
    /// # Errors
    /// The first [`Violation`], at the first byte that shows it.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i mut [u8]) -> Result<Option<Event<'a>>, Violation> {
        self.give_back();
        let step = loop {
            if self.ended {
                *input = &mut [];
                return Ok(None);
            }
            match self.step(input) {
                Ok(Step::Onward) => {}
                Ok(step) => break step,
                Err(violation) => {
                    self.end();
                    *input = &mut [];
                    return Err(violation);
                }
            }
        };
        if let Step::Close(_) = step {
            self.end();
        }
        let joined = self.partial.as_deref();
        Ok(match step {
            Step::Onward | Step::Starved => None,
            Step::Message(kind, payload) => Some(Event::Message(kind, payload)),
            Step::Ping(payload) => Some(Event::Ping(payload)),
            Step::JoinedMessage(kind) => {
                let message = joined.and_then(|partial| partial.message.as_ref());
                message.map(|message| Event::Message(kind, &message.bytes))
            }
            Step::JoinedPing => joined.map(|partial| Event::Ping(&partial.control)),
            Step::Pong => Some(Event::Pong),
            Step::Close(code) => Some(Event::Close(code)),
        })
    }

    fn step<'i>(&mut self, input: &mut &'i mut [u8]) -> Result<Step<'i>, Violation> {
        if self.partial.as_ref().is_some_and(|partial| partial.frame.is_some()) {
            return self.fill(input);
        }
        let Some(header) = self.take_header(input)? else { return Ok(Step::Starved) };
        let length = self.admit(&header)?;
        let is_fragment = header.opcode == Opcode::Continuation || header.fin == Fin::More;
        if !is_fragment && input.len() >= length {
            let payload = take_front(input, length);
            unmask(payload, header.mask);
            return whole(header.opcode, payload);
        }
        self.partial().begin(&header, length);
        Ok(Step::Onward)
    }

    /// The next header, or `None` with all input kept.
    fn take_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, Violation> {
        let place = match &self.partial {
            Some(partial) if partial.message.is_some() => Place::InsideMessage,
            _ => Place::BetweenMessages,
        };
        let held = match &mut self.partial {
            Some(partial) if !partial.head.is_empty() => partial,
            _ => {
                if let Some((header, used)) = header::parse(input, place)? {
                    take_front(input, used);
                    return Ok(Some(header));
                }
                if !input.is_empty() {
                    let taken = self.partial().head.extend(input);
                    take_front(input, taken);
                }
                return Ok(None);
            }
        };
        let before = held.head.bytes().len();
        let taken = held.head.extend(input);
        let Some((header, used)) = header::parse(held.head.bytes(), place)? else {
            take_front(input, taken);
            return Ok(None);
        };
        held.head.clear();
        take_front(input, used - before);
        Ok(Some(header))
    }

    /// Checks a frame against the limits from its header alone; its length, which fits.
    fn admit(&self, header: &Header) -> Result<usize, Violation> {
        let length = usize::try_from(header.length).map_err(|_| MESSAGE_TOO_LARGE)?;
        if header.opcode.is_control() {
            return Ok(length);
        }
        let message = self.partial.as_ref().and_then(|partial| partial.message.as_ref());
        let (bytes, fragments) = message.map_or((0, 0), |message| (message.bytes.len(), message.fragments));
        if length > self.limits.message_bytes_max.saturating_sub(bytes) {
            return Err(MESSAGE_TOO_LARGE);
        }
        if fragments >= self.limits.fragments_max {
            return Err(TOO_MANY_FRAGMENTS);
        }
        Ok(length)
    }

    /// Feeds the frame under way.
    fn fill<'i>(&mut self, input: &mut &'i mut [u8]) -> Result<Step<'i>, Violation> {
        let bytes_max = self.limits.message_bytes_max;
        let partial = self.partial();
        let Some(frame) = &mut partial.frame else { return Ok(Step::Starved) };
        let chunk = take_front(input, frame.remaining.min(input.len()));
        unmask(chunk, frame.mask);
        frame.mask.rotate_left(chunk.len() % 4);
        frame.remaining -= chunk.len();
        let (opcode, fin, remaining) = (frame.opcode, frame.fin, frame.remaining);
        if opcode.is_control() {
            partial.control.extend_from_slice(chunk);
        } else if let Some(message) = &mut partial.message {
            message.append(chunk, bytes_max)?;
        }
        if remaining > 0 {
            return Ok(Step::Starved);
        }
        partial.frame = None;
        finish(partial, opcode, fin)
    }

    fn partial(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }

    /// Frees what the last event borrowed, and the state itself where nothing is left in it.
    fn give_back(&mut self) {
        if let Some(partial) = &mut self.partial {
            partial.give_back();
            if partial.is_empty() {
                self.partial = None;
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.partial = None;
    }
}

/// A frame that lay in the input in one piece and is no fragment.
fn whole(opcode: Opcode, payload: &[u8]) -> Result<Step<'_>, Violation> {
    let kind = match opcode {
        Opcode::Close => return close_code(payload).map(Step::Close),
        Opcode::Ping => return Ok(Step::Ping(payload)),
        Opcode::Pong => return Ok(Step::Pong),
        Opcode::Binary => MessageKind::Binary,
        Opcode::Text | Opcode::Continuation => MessageKind::Text,
    };
    check_whole(kind, payload)?;
    Ok(Step::Message(kind, payload))
}

/// A frame whose payload was kept in `partial` and is all there now.
fn finish<'i>(partial: &mut Partial, opcode: Opcode, fin: Fin) -> Result<Step<'i>, Violation> {
    if opcode.is_control() {
        partial.lent = Lent::Control;
        return match opcode {
            Opcode::Close => close_code(&partial.control).map(Step::Close),
            Opcode::Ping => Ok(Step::JoinedPing),
            _ => Ok(Step::Pong),
        };
    }
    match (&partial.message, fin) {
        (Some(message), Fin::Last) => {
            message.check_end()?;
            partial.lent = Lent::Message;
            Ok(Step::JoinedMessage(message.kind))
        }
        _ => Ok(Step::Onward),
    }
}

/// The code of a close frame's payload (RFC 6455, 5.5.1 and 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((&code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(CLOSE_OF_ONE_BYTE) };
    };
    let code = u16::from_be_bytes(code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(CLOSE_CODE);
    }
    std::str::from_utf8(reason).map_err(|_| CLOSE_REASON)?;
    Ok(Some(code))
}

/// Splits `count` bytes, which are there, off the front.
fn take_front<'i>(input: &mut &'i mut [u8], count: usize) -> &'i mut [u8] {
    let (front, rest) = std::mem::take(input).split_at_mut(count);
    *input = rest;
    front
}

#[cfg(test)]
mod tests;
