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
use socket2::{Domain, Protocol, Socket, Type};

use super::clock::{self, Moment};
use super::orders::Coding;
use super::outbound::{ACCEPT, opcode};
use super::worker::hearing::{SUBSCRIBE, hint};
use crate::Host;

const LISTENER: Token = Token(usize::MAX);
const EVENTS: usize = 4_096;
/// Connections that the kernel holds until they are accepted: as many as a Doorbell has it hold.
const BACKLOG: i32 = 4_096;
/// Requests, `hello` with its token, pongs: all are shorter.
const BUFFER_BYTES: usize = 64 * 1024;
/// A sign of life is asked for from nobody; this is what `welcome` says.
const HEARTBEAT_MS: u32 = 25_000;
/// How a client says that it leaves.
const CLOSE: u8 = 0x88;
/// How often it looks whether who started it is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How soon it tries those again whose sockets were full.
const RETRY: Duration = Duration::from_millis(5);

/// `doorbell bench load-bare`.
#[derive(Clone, Debug, Args)]
pub struct BareArgs {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    #[command(flatten)]
    tells: Tells,
}

/// What it tells its sockets.
#[derive(Clone, Debug, Args)]
pub struct Tells {
    /// What clients speak.
    #[arg(long)]
    pub encoding: Coding,
    /// What they follow.
    #[arg(long)]
    pub topic: Option<String>,
    /// The delay for the pull that hints carry.
    #[arg(long)]
    pub pull_after_ms: Option<u32>,
    /// From the beginning of one fan-out to that of the next, at least, in milliseconds; what is published meanwhile is told by that one.
    #[arg(long, default_value = "0")]
    pub interval_ms: u64,
}

impl Tells {
    /// As words of a command line.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["--encoding".to_owned(), format!("{:?}", self.encoding).to_lowercase()];
        let topic = self.topic.iter().flat_map(|topic| ["--topic".to_owned(), topic.clone()]);
        words.extend(topic);
        let wait = self.pull_after_ms.iter().flat_map(|ms| ["--pull-after-ms".to_owned(), ms.to_string()]);
        words.extend(wait);
        words.extend(["--interval-ms".to_owned(), self.interval_ms.to_string()]);
        words
    }
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
    interval_us: u64,
    /// The newest version that nobody was told of.
    waiting: Option<Moment>,
    /// When it may be told.
    next: Moment,
    /// The last hint.
    last: Vec<u8>,
    /// Those whose sockets were full when it was written.
    owed: Vec<usize>,
    /// Sockets that took a part of a hint: what would come after it is no frame.
    cut: u64,
}

/// Runs until it is ended, or whoever started it is gone.
///
/// # Errors
/// It cannot listen.
pub fn run(args: &BareArgs, host: &Host) -> anyhow::Result<()> {
    (host.files)();
    let mut bare = Bare::new(&args.tells)?;
    let mut listener = listen(args.listen).context("the reference cannot listen")?;
    bare.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("doorbell ready on http://{}", listener.local_addr()?);
    let parent = rustix::process::getppid();
    let (mut events, mut buffer) = (Events::with_capacity(EVENTS), vec![0; BUFFER_BYTES]);
    while rustix::process::getppid() == parent {
        match bare.poll.poll(&mut events, Some(bare.wait())) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                LISTENER => bare.accept(&listener)?,
                Token(index) => bare.ready(index, &mut buffer),
            }
        }
        bare.fan_out();
        bare.pay();
    }
    Ok(())
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Bare {
    fn new(args: &Tells) -> anyhow::Result<Self> {
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
            interval_us: args.interval_ms * 1_000,
            waiting: None,
            next: 0,
            last: Vec::new(),
            owed: Vec::new(),
            cut: 0,
        })
    }

    fn accept(&mut self, listener: &TcpListener) -> anyhow::Result<()> {
        loop {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    // As a Doorbell does: a hint does not wait until the one before it was acknowledged.
                    stream.set_nodelay(true)?;
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

    /// Until there is something to do, whether or not anything comes.
    fn wait(&self) -> Duration {
        let owed = if self.owed.is_empty() { LOOK } else { RETRY };
        let next = self.waiting.map(|_| Duration::from_micros(self.next.saturating_sub(clock::now())));
        next.map_or(owed, |next| next.min(owed))
    }

    /// The followers are told of it, or of a later one, as soon as may be.
    fn publish(&mut self, version: Moment) {
        self.waiting = self.waiting.max(Some(version));
        self.fan_out();
    }

    /// One write a socket, where that is due. One that is full gets the last hint when it has room: who is behind learns of the newest
    /// alone.
    fn fan_out(&mut self) {
        let now = clock::now();
        let Some(topic) = self.topic.as_ref().filter(|_| now >= self.next) else { return };
        let Some(version) = self.waiting.take() else { return };
        self.next = now + self.interval_us;
        self.last = framed(self.encoding, &hint(self.encoding, topic, version, self.pull_after_ms));
        self.owed.clear();
        for index in 0..self.sockets.len() {
            self.write_last(index);
        }
    }

    /// Tries those again that were full.
    fn pay(&mut self) {
        for index in std::mem::take(&mut self.owed) {
            self.write_last(index);
        }
    }

    fn write_last(&mut self, index: usize) {
        let Some((stream, Stage::Following)) = &mut self.sockets[index] else { return };
        match stream.write(&self.last) {
            Ok(written) if written == self.last.len() => {}
            Ok(_) => {
                self.sockets[index] = None;
                self.cut += 1;
                eprintln!("{} sockets took a part of a hint and were cut", self.cut);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.owed.push(index),
            // It is gone: reading says so as well.
            Err(_) => {}
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

    fn tells(encoding: Coding) -> Tells {
        Tells { encoding, topic: Some("bench:1".to_owned()), pull_after_ms: None, interval_ms: 0 }
    }

    #[test]
    fn it_says_what_clients_of_the_tool_understand() {
        for encoding in [Coding::Json, Coding::Msgpack] {
            let bare = Bare::new(&Tells { pull_after_ms: Some(9), ..tells(encoding) }).unwrap();
            for bytes in [&bare.welcome, &bare.followed] {
                assert_eq!(frame::first(bytes).unwrap().unwrap().1, bytes.len());
            }
        }
        assert_eq!(version(br#"{"hints":[{"topic":"bench:1","version":1234}]}"#), 1_234);
        assert_eq!(version(b""), 0);
    }

    /// A loop with one follower, and the follower.
    fn followed() -> (Bare, std::net::TcpStream) {
        let address = "127.0.0.1:0".parse().unwrap();
        let (mut bare, listener) = (Bare::new(&tells(Coding::Json)).unwrap(), listen(address).unwrap());
        let follower = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        while bare.sockets.is_empty() {
            bare.accept(&listener).unwrap();
        }
        bare.sockets[0].as_mut().unwrap().1 = Stage::Following;
        (bare, follower)
    }

    #[test]
    fn a_full_socket_is_told_the_last_version_when_it_has_room() {
        let (mut bare, mut follower) = followed();
        let stream = &mut bare.sockets[0].as_mut().unwrap().0;
        assert!(stream.nodelay().unwrap());
        while stream.write(&[b'x'; 4_096]).is_ok() {}

        bare.publish(7);
        assert_eq!(bare.owed, [0]);
        let (mut read, mut buffer) = (Vec::new(), vec![0; BUFFER_BYTES]);
        while !bare.owed.is_empty() {
            let count = follower.read(&mut buffer).unwrap();
            read.extend_from_slice(&buffer[..count]);
            bare.pay();
        }

        assert_eq!(bare.cut, 0);
        bare.sockets[0] = None;
        follower.read_to_end(&mut read).unwrap();
        assert!(read.ends_with(&bare.last) && bare.last.len() > 10);
    }

    #[test]
    fn what_is_published_within_an_interval_is_told_by_one_hint() {
        let (mut bare, mut follower) = followed();
        bare.interval_us = 3_600_000_000;

        for version in [5, 7, 6] {
            bare.publish(version);
        }
        // The first at once; the others wait, and an hour is longer than it ever waits.
        assert_eq!((bare.waiting, bare.wait()), (Some(7), LOOK));
        bare.next = clock::now();
        assert!(bare.wait() < LOOK);
        bare.fan_out();

        assert_eq!(bare.waiting, None);
        bare.sockets[0] = None;
        let mut read = Vec::new();
        follower.read_to_end(&mut read).unwrap();
        let topic = TopicId::new("bench:1").unwrap();
        let told = [5, 7].map(|version| framed(Encoding::Json, &hint(Encoding::Json, &topic, version, None)));
        assert_eq!(read, told.concat());
    }

    #[test]
    fn a_socket_that_takes_a_part_of_a_hint_is_cut_and_counted() {
        let (mut bare, _follower) = followed();
        // More than the kernel holds for a socket.
        bare.last = vec![b'x'; 64 << 20];

        bare.write_last(0);

        assert_eq!((bare.cut, bare.owed.len()), (1, 0));
        assert!(bare.sockets[0].is_none());
    }
}
