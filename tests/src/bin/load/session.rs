//! One session that costs the measuring side next to nothing: a socket that never waits, a buffer, and frames told
//! apart by their first bytes. Whatever does not look as expected goes to the protocol's own decoder.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use doorbell_protocol::codec::{decode_server, encode_client};
use doorbell_protocol::frames::{Hello, Token};
use doorbell_protocol::{CallId, ClientFrame, Encoding, ServerFrame};
use mio::{Interest, Registry};

/// Nothing while the sessions are opened may take longer.
const DEADLINE: Duration = Duration::from_secs(15);
/// Larger than the frames that are expected here, so that one read takes all that is there.
const BUFFER_BYTES: usize = 4_096;
/// Every client's frame is masked (RFC 6455, 5.3); that the key is no secret here harms nobody.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// What a session heard.
pub enum Heard {
    /// A call succeeded.
    Reply(u64),
    /// The topic that the session listens for has reached a version.
    Hint(u64),
}

/// A session that has its `welcome`.
pub struct Session {
    socket: mio::net::TcpStream,
    inbound: Inbound,
    /// How a hint of its topic alone begins, up to the version.
    hint: String,
}

impl Session {
    /// Says hello, then does `first` while the socket still waits, and goes on without waiting; `first` answers the
    /// topic to listen for.
    pub fn open(
        address: &str,
        token: String,
        first: impl FnOnce(&mut Opening) -> anyhow::Result<String>,
    ) -> anyhow::Result<Self> {
        let mut opening = Opening::upgrade(address)?;
        let hello = Hello { token: Some(Token(token)), ..Hello::default() };
        opening.send(&ClientFrame::Hello(hello))?;
        let ServerFrame::Welcome(_) = opening.receive()? else { bail!("the first frame was no welcome") };
        let topic = first(&mut opening)?;
        opening.socket.set_nonblocking(true)?;
        let hint = format!(r#"{{"type":"hint","topics":{{"{topic}":"#);
        Ok(Self { socket: mio::net::TcpStream::from_std(opening.socket), inbound: opening.inbound, hint })
    }

    /// Has `registry` say when something comes, with `token`.
    pub fn register(&mut self, registry: &Registry, token: usize) -> anyhow::Result<()> {
        Ok(registry.register(&mut self.socket, mio::Token(token), Interest::READABLE)?)
    }

    /// Writes one frame at once.
    ///
    /// # Errors
    /// Also where the socket does not take all of it: the server has stopped reading.
    pub fn send(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        let written = self.socket.write(frame)?;
        ensure!(written == frame.len(), "the socket took {written} of {} bytes", frame.len());
        Ok(())
    }

    /// Tells `on` everything that has come.
    pub fn hear(&mut self, mut on: impl FnMut(Heard) -> anyhow::Result<()>) -> anyhow::Result<()> {
        loop {
            let more = self.inbound.fill(&mut self.socket)?;
            while let Some((opcode, payload)) = self.inbound.next()? {
                match opcode {
                    TEXT => heard(&self.hint, payload, &mut on)?,
                    PING => {
                        let pong = masked(PONG, payload);
                        self.socket.write_all(&pong)?;
                    }
                    other => bail!("the server sent a frame that begins with {other:#x}"),
                }
            }
            if !more {
                return Ok(());
            }
        }
    }
}

fn heard(hint: &str, payload: &[u8], on: &mut impl FnMut(Heard) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if let Some(version) = number_between(payload, hint.as_bytes(), b"}") {
        return on(Heard::Hint(version));
    }
    if let Some(id) = number_between(payload, br#"{"type":"reply","id":"#, br#","result":"#) {
        return on(Heard::Reply(id));
    }
    match decode_server(Encoding::Json, payload).map_err(|error| anyhow::anyhow!("{error}"))? {
        ServerFrame::Hint(frame) => {
            let begins_with = |topic: &str| hint.ends_with(&format!("\"{topic}\":"));
            let own = frame.topics.iter().find(|(topic, _)| begins_with(topic.as_str()));
            own.map_or(Ok(()), |(_, version)| on(Heard::Hint(version.get())))
        }
        other => bail!("the server sent {other:?}"),
    }
}

/// The number that stands between the beginning of a payload and what follows it.
fn number_between(payload: &[u8], before: &[u8], after: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(before)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    rest.starts_with(after).then_some(())?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// A session whose socket waits, while it is opened.
pub struct Opening {
    socket: TcpStream,
    inbound: Inbound,
}

impl Opening {
    fn upgrade(address: &str) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        let protocol = Encoding::Json.subprotocol();
        let head = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: {protocol}\r\n\r\n"
        );
        socket.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).context("the upgrade was not answered")?;
            answer.extend_from_slice(&byte);
        }
        ensure!(answer.starts_with(b"HTTP/1.1 101 "), "refused: {}", String::from_utf8_lossy(&answer));
        Ok(Self { socket, inbound: Inbound::default() })
    }

    /// Writes one frame.
    pub fn send(&mut self, frame: &ClientFrame) -> anyhow::Result<()> {
        Ok(self.socket.write_all(&client_frame(frame))?)
    }

    /// Waits for the reply to a call that must succeed.
    pub fn reply(&mut self, call: u64) -> anyhow::Result<serde_json::Value> {
        loop {
            if let ServerFrame::Reply { id: CallId::Number(id), outcome } = self.receive()?
                && id == call
            {
                let result = outcome.map_err(|error| anyhow::anyhow!("call {call}: {error:?}"))?;
                return result.parse().map_err(|error| anyhow::anyhow!("{error:?}"));
            }
        }
    }

    fn receive(&mut self) -> anyhow::Result<ServerFrame> {
        loop {
            if let Some((opcode, payload)) = self.inbound.next()? {
                ensure!(opcode == TEXT, "the server sent a frame that begins with {opcode:#x}");
                return decode_server(Encoding::Json, payload).map_err(|error| anyhow::anyhow!("{error}"));
            }
            self.inbound.fill(&mut self.socket).context("nothing came in time")?;
        }
    }
}

/// A frame as its bytes on the wire.
pub fn client_frame(frame: &ClientFrame) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_client(Encoding::Json, frame, &mut payload);
    masked(TEXT, &payload)
}

fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![opcode];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            let length = u16::try_from(payload.len()).expect("this tool writes small frames");
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let body = frame.len();
    frame.extend_from_slice(payload);
    mask(&mut frame[body..], 0);
    frame
}

/// Masks a part of a payload that begins `offset` bytes into it.
pub fn mask(part: &mut [u8], offset: usize) {
    for (at, byte) in part.iter_mut().enumerate() {
        *byte ^= MASK[(offset + at) % MASK.len()];
    }
}

/// What came and is not taken yet.
struct Inbound {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Inbound {
    fn default() -> Self {
        Self { bytes: vec![0; BUFFER_BYTES].into_boxed_slice(), start: 0, end: 0 }
    }
}

impl Inbound {
    /// Reads once; whether more may be there.
    fn fill(&mut self, socket: &mut impl Read) -> anyhow::Result<bool> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let space = &mut self.bytes[self.end..];
        let space_bytes = space.len();
        match socket.read(space) {
            Ok(0) => bail!("the socket ended, or a frame is larger than {BUFFER_BYTES} bytes"),
            Ok(count) => {
                self.end += count;
                Ok(count == space_bytes)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The next whole frame: its first byte, and its payload.
    fn next(&mut self) -> anyhow::Result<Option<(u8, &[u8])>> {
        let bytes = &self.bytes[self.start..self.end];
        let (head, length) = match *bytes {
            [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
            [_, 126, ..] | [] | [_] => return Ok(None),
            [_, short, ..] if short < 126 => (2, usize::from(short)),
            [_, length, ..] => bail!("a frame whose length begins with {length:#x} was not expected"),
        };
        if bytes.len() < head + length {
            return Ok(None);
        }
        let payload = self.start + head;
        let opcode = self.bytes[self.start];
        self.start = payload + length;
        Ok(Some((opcode, &self.bytes[payload..self.start])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbound(mut bytes: &[u8]) -> Inbound {
        let mut inbound = Inbound::default();
        inbound.fill(&mut bytes).unwrap();
        inbound
    }

    #[test]
    fn frames_are_taken_whole_and_the_rest_waits() {
        let long = [[0x81, 126, 1, 0].as_slice(), &[b'x'; 256]].concat();
        let mut inbound = inbound(&[&[0x89, 1, b'!'], long.as_slice(), &[0x81, 3, b'a']].concat());

        assert_eq!(inbound.next().unwrap(), Some((PING, b"!".as_slice())));
        assert_eq!(inbound.next().unwrap(), Some((TEXT, [b'x'; 256].as_slice())));
        assert_eq!(inbound.next().unwrap(), None);
        inbound.fill(&mut b"bc".as_slice()).unwrap();
        assert_eq!(inbound.next().unwrap(), Some((TEXT, b"abc".as_slice())));
    }

    #[test]
    fn what_is_told_apart_by_its_first_bytes_is_what_the_decoder_says() {
        let told = |frame: &str| {
            let mut all = Vec::new();
            let hint = r#"{"type":"hint","topics":{"conversation:c":"#;
            let on = &mut |heard| {
                all.push(match heard {
                    Heard::Reply(id) => ("reply", id),
                    Heard::Hint(version) => ("hint", version),
                });
                Ok(())
            };
            heard(hint, frame.as_bytes(), on).map(|()| all).map_err(|error| error.to_string())
        };

        assert_eq!(told(r#"{"type":"hint","topics":{"conversation:c":7}}"#), Ok(vec![("hint", 7)]));
        let merged = r#"{"type":"hint","topics":{"inbox:ada":2,"conversation:c":8}}"#;
        assert_eq!(told(merged), Ok(vec![("hint", 8)]));
        assert_eq!(told(r#"{"type":"hint","topics":{"conversation:other":9}}"#), Ok(vec![]));
        assert_eq!(told(r#"{"type":"reply","id":5,"result":{}}"#), Ok(vec![("reply", 5)]));
        let refused = r#"{"type":"reply","id":5,"error":{"code":"invalid","message":"no"}}"#;
        assert!(told(refused).is_err());
    }
}
