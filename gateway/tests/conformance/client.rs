//! A client on raw TCP that can do everything wrong, and checks every frame the server sends.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::Server;

/// A server that says nothing for that long hangs. Never waited for where all is well.
const HANG: Duration = Duration::from_secs(20);

pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;
/// Marks a frame as the last of its message.
pub const FIN: u8 = 0x80;

/// What the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Json(Value),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The close frame's code, if it has one.
    Close(Option<u16>),
    /// TCP ended.
    End,
}

pub struct Client {
    socket: TcpStream,
    read: Vec<u8>,
}

/// The answer to a request.
pub struct Answer {
    pub status: u16,
    pub head: String,
}

impl Answer {
    /// The value of a header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A good upgrade's headers, to be changed.
pub fn good_headers(server: &Server) -> Vec<(String, String)> {
    let host = server.address.to_string();
    [
        ("Host", host.as_str()),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "doorbell.v1.json"),
        ("Origin", &format!("http://{host}")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// A request's bytes.
pub fn request(line: &str, headers: &[(String, String)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line}\r\n{headers}\r\n")
}

/// One client frame: the first byte as given, masked, the length in the fewest bytes.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x5a, 0xc3, 0x1e, 0x87];
    let mut out = vec![first];
    out.extend(length(payload.len() as u64));
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A header that declares `declared` bytes, with its mask bit.
fn length(declared: u64) -> Vec<u8> {
    match declared {
        0..=125 => vec![0x80 | u8::try_from(declared).expect("small")],
        126..=0xffff => [&[0x80 | 126][..], &u16::try_from(declared).expect("small").to_be_bytes()].concat(),
        _ => [&[0x80 | 127][..], &declared.to_be_bytes()].concat(),
    }
}

/// A header alone, which declares a payload that does not come.
pub fn header_of(first: u8, declared: u64) -> Vec<u8> {
    [vec![first], length(declared), vec![0; 4]].concat()
}

impl Client {
    /// A connection, nothing said yet.
    pub async fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address).await.expect("the server listens");
        socket.set_nodelay(true).expect("a live socket");
        Self { socket, read: Vec::new() }
    }

    /// Upgraded, no hello yet.
    pub async fn upgraded(server: &Server) -> Self {
        let mut client = Self::connect(server).await;
        let answer = client.ask(&request("GET /v1/ws HTTP/1.1", &good_headers(server))).await;
        assert_eq!(answer.status, 101, "{}", answer.head);
        client
    }

    /// With its `welcome`.
    pub async fn welcomed(server: &Server) -> Self {
        let mut client = Self::upgraded(server).await;
        let hello = json!({"type": "hello", "token": server.token});
        client.send(&frame(FIN | TEXT, hello.to_string().as_bytes())).await;
        let Got::Json(welcome) = client.next().await else { panic!("no welcome") };
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        client
    }

    /// Sends bytes. A server that has closed already is no fault here: what it said is read all the same.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(HANG, self.socket.write_all(bytes)).await.expect("the server reads on");
    }

    /// Sends a request and reads the answer's head.
    pub async fn ask(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes()).await;
        self.answer().await.expect("an answer")
    }

    /// Reads an answer's head; nothing where the connection ends instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                let head = String::from_utf8(head).expect("a head is text");
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return Some(Answer { status: status.expect("a status line"), head });
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Half-closes: nothing more will come from here.
    pub async fn end_writes(&mut self) {
        self.socket.shutdown().await.expect("a live socket");
    }

    /// The next frame. Server frames are checked: not masked, no reserved bits, whole, in the fewest bytes.
    pub async fn next(&mut self) -> Got {
        loop {
            if let Some((got, used)) = parse(&self.read) {
                self.read.drain(..used);
                return got;
            }
            if !self.fill().await {
                assert!(self.read.is_empty(), "half a frame: {:02x?}", self.read);
                return Got::End;
            }
        }
    }

    async fn fill(&mut self) -> bool {
        let read = timeout(HANG, self.socket.read_buf(&mut self.read)).await.expect("the server hangs");
        matches!(read, Ok(read) if read > 0)
    }

    /// Sends a ping of the application and awaits its pong: the session serves.
    pub async fn round_trip(&mut self) {
        self.send(&frame(FIN | TEXT, br#"{"type":"ping","id":"rt"}"#)).await;
        assert_eq!(self.next().await, pong("rt"));
    }

    /// Closes, and expects the same code back and the end of TCP.
    pub async fn close(&mut self) {
        self.send(&frame(FIN | CLOSE, &1000_u16.to_be_bytes())).await;
        assert_eq!(self.next().await, Got::Close(Some(1000)));
        assert_eq!(self.next().await, Got::End);
    }

    /// Expects the server to fail the connection: a close frame with this code and nothing else, then, once it is
    /// answered, the end of TCP.
    pub async fn expect_failure(&mut self, code: u16) {
        assert_eq!(self.next().await, Got::Close(Some(code)));
        self.send(&frame(FIN | CLOSE, &code.to_be_bytes())).await;
        assert_eq!(self.next().await, Got::End);
    }
}

/// The application's pong.
pub fn pong(id: &str) -> Got {
    Got::Json(json!({"type": "pong", "id": id}))
}

fn parse(bytes: &[u8]) -> Option<(Got, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xf0, FIN, "a server frame is whole and has no reserved bits");
    assert_eq!(second & 0x80, 0, "a server frame is not masked");
    let (length, start) = match second {
        126 => {
            let length = u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?));
            assert!(length > 125, "in the fewest bytes");
            (length, 4)
        }
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            assert!(length > 0xffff, "in the fewest bytes");
            (length, 10)
        }
        short => (u64::from(short), 2),
    };
    let end = start + usize::try_from(length).expect("no server frame is that long");
    let payload = bytes.get(start..end)?;
    let got = match first & 0x0f {
        TEXT => Got::Json(serde_json::from_slice(payload).expect("a text frame is JSON")),
        PING => Got::Ping(payload.to_vec()),
        PONG => Got::Pong(payload.to_vec()),
        CLOSE => Got::Close(close_code(payload)),
        other => panic!("opcode {other} from the server"),
    };
    Some((got, end))
}

fn close_code(payload: &[u8]) -> Option<u16> {
    assert_ne!(payload.len(), 1, "a close code has two bytes");
    let (code, reason) = payload.split_first_chunk::<2>()?;
    std::str::from_utf8(reason).expect("a reason is text");
    Some(u16::from_be_bytes(*code))
}

/// The key's answer, computed apart from the server's code.
pub fn accept_of(key: &str) -> String {
    use sha1::{Digest, Sha1};
    STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}
