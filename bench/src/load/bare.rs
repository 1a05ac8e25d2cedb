//! The bare loop: what this machine can do at all. `doorbell bench load-bare`, started by the tool: one thread, one epoll loop, which
//! accepts sockets, answers their upgrade, `hello` and `subscribe` with bytes made before, and writes a hint of the same bytes as a
//! Doorbell's to each of them, or to those that are named. It checks nothing, keeps nothing, and nobody should learn from it. Where there are
//! several, none knows of another: the tool tells each of them what its sockets need.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use doorbell_protocol::codec::{decode_client, encode_server};
use doorbell_protocol::{CallId, ClientFrame, Encoding, Payload, ServerFrame, SessionId, TopicId};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use serde::Deserialize;
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
/// Of one read: `hello` with its token and pongs are shorter, a back end's call may need several.
const BUFFER_BYTES: usize = 64 * 1024;
/// What `welcome` says, as a Doorbell does by default; nobody is pinged.
const HEARTBEAT_MS: u32 = 25_000;
/// How a client says that it leaves.
const CLOSE: u8 = 0x88;
/// How often it looks whether who started it is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How soon it tries those again whose sockets were full, or for whom there was no file.
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
    /// Ring users by the names that they say in place of a token.
    #[arg(long)]
    pub users: bool,
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
        words.extend(self.users.then(|| "--users".to_owned()));
        words
    }
}

/// How far a socket is: what it is told next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connected,
    /// It is a back end's, whose requests may come in parts and several at once.
    Calling,
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
    /// The last hint to the followers.
    last: Vec<u8>,
    /// What sockets get that were full, when they have room: the last hint for each.
    owed: BTreeMap<usize, Vec<u8>>,
    /// Where users are, where they are rung by name.
    users: Option<HashMap<String, usize>>,
    /// What has come of back ends' requests that are not whole.
    calls: HashMap<usize, Vec<u8>>,
    /// Sockets that took a part of a hint: what would come after it is no frame.
    cut: u64,
    /// Somebody may stand before the door.
    comes: bool,
}

/// Runs until it is ended, or whoever started it is gone.
///
/// # Errors
/// It cannot listen.
pub fn run(args: &BareArgs, host: &Host) -> anyhow::Result<()> {
    (host.files)();
    let mut bare = Bare::new(&args.tells)?;
    let mut listener = listen(args.listen).context("the bare loop cannot listen")?;
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
                LISTENER => bare.comes = true,
                Token(index) => bare.ready(index, &mut buffer),
            }
        }
        // After the others: who comes back may need the file of who is gone.
        if bare.comes {
            bare.accept(|| listener.accept())?;
        }
        bare.fan_out();
        bare.pay();
    }
    Ok(())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
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
        let topic = args.topic.as_deref().map(TopicId::new).transpose()?;
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
            followed: followed(encoding, topic.as_ref(), 0),
            topic,
            encoding,
            pull_after_ms: args.pull_after_ms,
            interval_us: args.interval_ms * 1_000,
            waiting: None,
            next: 0,
            last: Vec::new(),
            owed: BTreeMap::new(),
            users: args.users.then(HashMap::new),
            calls: HashMap::new(),
            cut: 0,
            comes: false,
        })
    }

    /// Takes all who stand before the door, or as many as there are files for.
    fn accept(
        &mut self,
        mut next: impl FnMut() -> io::Result<(TcpStream, SocketAddr)>,
    ) -> anyhow::Result<()> {
        self.comes = false;
        loop {
            match next() {
                Ok((mut stream, _)) => {
                    // As a Doorbell does: a hint does not wait until the one before it was acknowledged.
                    stream.set_nodelay(true)?;
                    let token = Token(self.sockets.len());
                    let interest = Interest::READABLE;
                    self.poll.registry().register(&mut stream, token, interest)?;
                    self.sockets.push(Some((stream, Stage::Connected)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Of this process, or of the machine. The kernel does not say once more that somebody is there.
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                    self.comes = true;
                    return Ok(());
                }
                // Whoever went away meanwhile is not missed.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error).context("the bare loop cannot accept"),
            }
        }
    }

    fn ready(&mut self, index: usize, buffer: &mut [u8]) {
        let Some((stream, stage)) = &mut self.sockets[index] else { return };
        let mut filled = 0;
        let over = loop {
            match stream.read(&mut buffer[filled..]) {
                Ok(0) => break true,
                Ok(count)
                    if matches!(stage, Stage::Connected | Stage::Calling)
                        && filled + count == buffer.len() =>
                {
                    // More than one buffer holds: a back end's.
                    self.calls.entry(index).or_default().extend_from_slice(buffer);
                    filled = 0;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        let asked = &buffer[..filled];
        let (answer, next) = match *stage {
            Stage::Connected | Stage::Calling
                if *stage == Stage::Calling
                    || self.calls.contains_key(&index)
                    || asked.starts_with(b"POST ") =>
            {
                *stage = Stage::Calling;
                self.calls.entry(index).or_default().extend_from_slice(asked);
                return self.called(index, over);
            }
            Stage::Connected => (&self.upgraded, Stage::Upgraded),
            Stage::Upgraded => {
                if let Some((users, name)) = self.users.as_mut().zip(name(self.encoding, asked)) {
                    users.insert(name, index);
                }
                (&self.welcome, Stage::Welcomed)
            }
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

    /// Does what whole requests of a back end ask for, and answers them.
    fn called(&mut self, index: usize, over: bool) {
        let mut bytes = self.calls.remove(&index).unwrap_or_default();
        let mut answered = !over;
        while let Some(length) = whole(&bytes) {
            let request: Vec<u8> = bytes.drain(..length).collect();
            answered &= self.rung(&request).is_some();
            if let Some((stream, _)) = &mut self.sockets[index] {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                answered &= stream.write_all(answer).is_ok();
            }
        }
        if answered {
            self.calls.insert(index, bytes);
        } else {
            self.sockets[index] = None;
        }
    }

    /// One write a user, or what is told to all followers; `None` where nobody would understand it.
    fn rung(&mut self, request: &[u8]) -> Option<()> {
        let body = request.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let call: Call<'_> = serde_json::from_slice(&request[body..]).ok()?;
        for Rung { version, users } in call.hints {
            let Some(users) = users else {
                self.publish(version);
                continue;
            };
            let hint = framed(self.encoding, &hint(self.encoding, self.topic.as_ref()?, version, None));
            for user in users {
                if let Some(index) = self.users.as_ref().and_then(|known| known.get(user).copied()) {
                    self.write(index, &hint);
                }
            }
        }
        Some(())
    }

    /// Until there is something to do, whether or not anything comes.
    fn wait(&self) -> Duration {
        let owed = if self.owed.is_empty() && !self.comes { LOOK } else { RETRY };
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
        self.followed = followed(self.encoding, Some(topic), version);
        self.owed.clear();
        let last = std::mem::take(&mut self.last);
        for index in 0..self.sockets.len() {
            if self.sockets[index].as_ref().is_some_and(|(_, stage)| *stage == Stage::Following) {
                self.write(index, &last);
            }
        }
        self.last = last;
    }

    /// Tries those again that were full.
    fn pay(&mut self) {
        for (index, hint) in std::mem::take(&mut self.owed) {
            self.write(index, &hint);
        }
    }

    fn write(&mut self, index: usize, hint: &[u8]) {
        let Some((stream, _)) = &mut self.sockets[index] else { return };
        match stream.write(hint) {
            Ok(written) if written == hint.len() => {}
            Ok(_) => {
                self.sockets[index] = None;
                self.cut += 1;
                eprintln!("{} sockets took a part of a hint and were cut", self.cut);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.owed.insert(index, hint.to_vec());
            }
            // It is gone: reading says so as well.
            Err(_) => {}
        }
    }
}

/// The answer to a `subscribe`, while the topic is at that version.
fn followed(encoding: Encoding, topic: Option<&TopicId>, version: Moment) -> Vec<u8> {
    let topics: serde_json::Map<String, serde_json::Value> =
        topic.iter().map(|topic| (topic.as_str().to_owned(), version.into())).collect();
    let result = Payload::encode(encoding, &serde_json::json!({ "topics": topics }));
    let mut payload = Vec::new();
    let reply = ServerFrame::Reply { id: CallId::Number(SUBSCRIBE), outcome: Ok(result) };
    encode_server(encoding, &reply, &mut payload);
    framed(encoding, &payload)
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

/// A back end's request.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    hints: Vec<Rung<'a>>,
}

/// One hint of it. The names that the tool gives its users need no escapes.
#[derive(Deserialize)]
struct Rung<'a> {
    version: Moment,
    #[serde(borrow)]
    users: Option<Vec<&'a str>>,
}

/// How long the first request is; `None` where it is not there whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let end = head + length.parse::<usize>().ok()?;
    (end <= bytes.len()).then_some(end)
}

/// What a `hello` says in place of a token: who it is of. Clients mask their frames; these are short.
fn name(encoding: Encoding, frame: &[u8]) -> Option<String> {
    let length = if frame.get(1)? & 0x7f == 126 { 4 } else { 2 };
    let (mask, masked) = frame.get(length..)?.split_at_checked(4)?;
    let payload: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    match decode_client(encoding, &payload).ok()? {
        ClientFrame::Hello(hello) => hello.token.map(|token| token.0),
        _ => None,
    }
}

/// A message of a server.
fn framed(encoding: Encoding, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![opcode(encoding)];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(short),
        _ => {
            let length = u16::try_from(payload.len()).expect("what the bare loop says is short");
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests;
