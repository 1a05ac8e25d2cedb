//! The reference: what this machine can do at all. `doorbell bench load-bare`, started by the tool: one thread, one epoll loop, which
//! accepts sockets, answers their upgrade, `hello` and `subscribe` with bytes made before, and writes a hint of the same bytes as a
//! Doorbell's to each of them. It checks nothing, keeps nothing, and nobody should learn from it.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use doorbell_protocol::codec::encode_server;
use doorbell_protocol::{CallId, Encoding, Payload, ServerFrame, SessionId, TopicId};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::orders::Coding;
use super::outbound::{ACCEPT, opcode};
use super::worker::hearing::{SUBSCRIBE, hint};
use crate::Host;

const LISTENER: Token = Token(usize::MAX);
const EVENTS: usize = 4_096;
/// Requests, `hello` with its token, pongs: all are shorter.
const BUFFER_BYTES: usize = 64 * 1024;
/// A sign of life is asked for from nobody; this is what `welcome` says.
const HEARTBEAT_MS: u32 = 25_000;
/// How a client says that it leaves.
const CLOSE: u8 = 0x88;
/// How often it looks whether who started it is still there.
const LOOK: Duration = Duration::from_secs(1);

/// `doorbell bench load-bare`.
#[derive(Clone, Debug, Args)]
pub struct BareArgs {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// What clients speak.
    #[arg(long)]
    encoding: Coding,
    /// What they follow.
    #[arg(long)]
    topic: Option<String>,
    /// The delay for the pull that hints carry.
    #[arg(long)]
    pull_after_ms: Option<u32>,
}

/// How far a socket is: what it is told next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connected,
    Upgraded,
    Welcomed,
    Following,
}

struct Bare {
    poll: Poll,
    sockets: Vec<Option<(TcpStream, Stage)>>,
    upgraded: Vec<u8>,
    welcome: Vec<u8>,
    followed: Vec<u8>,
    topic: Option<TopicId>,
    encoding: Encoding,
    pull_after_ms: Option<u32>,
}

/// Runs until it is ended, or whoever started it is gone.
///
/// # Errors
/// It cannot listen.
pub fn run(args: &BareArgs, host: &Host) -> anyhow::Result<()> {
    (host.files)();
    let mut bare = Bare::new(args)?;
    let mut listener = TcpListener::bind(args.listen).context("the reference cannot listen")?;
    bare.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("doorbell ready on http://{}", listener.local_addr()?);
    let parent = rustix::process::getppid();
    let (mut events, mut buffer) = (Events::with_capacity(EVENTS), vec![0; BUFFER_BYTES]);
    while rustix::process::getppid() == parent {
        match bare.poll.poll(&mut events, Some(LOOK)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                LISTENER => bare.accept(&listener)?,
                Token(index) => bare.ready(index, &mut buffer),
            }
        }
    }
    Ok(())
}

impl Bare {
    fn new(args: &BareArgs) -> anyhow::Result<Self> {
        let encoding = Encoding::from(args.encoding);
        let message = |frame: &ServerFrame| {
            let mut payload = Vec::new();
            encode_server(encoding, frame, &mut payload);
            framed(encoding, &payload)
        };
        let topics: serde_json::Map<String, serde_json::Value> =
            args.topic.iter().map(|topic| (topic.clone(), 0.into())).collect();
        let result = Payload::encode(encoding, &serde_json::json!({ "topics": topics }));
        let protocol = encoding.subprotocol();
        Ok(Self {
            poll: Poll::new()?,
            sockets: Vec::new(),
            upgraded: format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {ACCEPT}\r\nsec-websocket-protocol: {protocol}\r\n\r\n"
            )
            .into_bytes(),
            welcome: message(&welcome()?),
            followed: message(&ServerFrame::Reply { id: CallId::Number(SUBSCRIBE), outcome: Ok(result) }),
            topic: args.topic.as_deref().map(TopicId::new).transpose()?,
            encoding,
            pull_after_ms: args.pull_after_ms,
        })
    }

    fn accept(&mut self, listener: &TcpListener) -> anyhow::Result<()> {
        loop {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    let token = Token(self.sockets.len());
                    let interest = Interest::READABLE;
                    self.poll.registry().register(&mut stream, token, interest)?;
                    self.sockets.push(Some((stream, Stage::Connected)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Whoever went away meanwhile is not missed.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error).context("the reference cannot accept"),
            }
        }
    }

    fn ready(&mut self, index: usize, buffer: &mut [u8]) {
        let Some((stream, stage)) = &mut self.sockets[index] else { return };
        let mut filled = 0;
        let over = loop {
            match stream.read(&mut buffer[filled..]) {
                Ok(0) => break true,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        let asked = &buffer[..filled];
        let (answer, next) = match *stage {
            Stage::Connected if asked.starts_with(b"POST ") => {
                let version = version(asked);
                self.publish(version);
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                return self.answer(index, answer.as_bytes());
            }
            Stage::Connected => (&self.upgraded, Stage::Upgraded),
            Stage::Upgraded => (&self.welcome, Stage::Welcomed),
            Stage::Welcomed if self.topic.is_some() => (&self.followed, Stage::Following),
            same => (&Vec::new(), same),
        };
        let leaves = over || (*stage != Stage::Connected && asked.first() == Some(&CLOSE));
        if leaves || (!asked.is_empty() && !answer.is_empty() && stream.write_all(answer).is_err()) {
            self.sockets[index] = None;
        } else if !asked.is_empty() {
            *stage = next;
        }
    }

    fn answer(&mut self, index: usize, answer: &[u8]) {
        if let Some((stream, _)) = &mut self.sockets[index]
            && stream.write_all(answer).is_err()
        {
            self.sockets[index] = None;
        }
    }

    /// One write a socket. What would have to wait is left out: a later hint says more.
    fn publish(&mut self, version: u64) {
        let Some(topic) = &self.topic else { return };
        let bytes = framed(self.encoding, &hint(self.encoding, topic, version, self.pull_after_ms));
        for (stream, stage) in self.sockets.iter_mut().flatten() {
            if *stage == Stage::Following {
                let _ = stream.write(&bytes);
            }
        }
    }
}

fn welcome() -> anyhow::Result<ServerFrame> {
    let text = serde_json::json!({
        "type": "welcome", "session": SessionId::from_bits(7).to_string(), "user": "bench", "server_time_ms": 1_700_000_000_000_u64,
        "heartbeat_ms": HEARTBEAT_MS,
        "limits": {"frame_bytes": 131_072, "subscriptions": 1_000, "calls_per_second": 50},
    });
    let frame = doorbell_protocol::codec::decode_server(Encoding::Json, text.to_string().as_bytes());
    frame.map_err(|error| anyhow::anyhow!("{error}"))
}

/// The version that a publish names.
fn version(request: &[u8]) -> u64 {
    const NAME: &[u8] = b"\"version\":";
    let at = request
        .windows(NAME.len())
        .position(|window| window == NAME)
        .map_or(request.len(), |at| at + NAME.len());
    let digits = request[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// A message of a server.
fn framed(encoding: Encoding, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![opcode(encoding)];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(short),
        _ => {
            let length = u16::try_from(payload.len()).expect("what the reference says is short");
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::frame;

    #[test]
    fn it_says_what_clients_of_the_tool_understand() {
        for encoding in [Coding::Json, Coding::Msgpack] {
            let listen = "127.0.0.1:0".parse().unwrap();
            let args =
                BareArgs { listen, encoding, topic: Some("bench:1".to_owned()), pull_after_ms: Some(9) };
            let bare = Bare::new(&args).unwrap();
            for bytes in [&bare.welcome, &bare.followed] {
                assert_eq!(frame::first(bytes).unwrap().unwrap().1, bytes.len());
            }
        }
        assert_eq!(version(br#"{"hints":[{"topic":"bench:1","version":1234}]}"#), 1_234);
        assert_eq!(version(b""), 0);
    }
}
