//! One thread, one epoll loop, one buffer for reading, and as many sockets as the process may have.

mod coming;
mod soaking;
mod telling;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, TryRecvError};

use doorbell_protocol::frames::{Hello, Token};
use doorbell_protocol::{CallId, ClientFrame, Encoding, TopicId, Version};
use mio::{Events, Poll};

use super::answer::{Over, Then, closed, upgraded};
use super::hearing::{Heard, Hearing, SUBSCRIBE};
use super::lateness::Lateness;
use super::returning::Returning;
use super::say;
use super::seconds::Seconds;
use super::socket::{Life, Socket, Stage};
use super::stream::Security;
use crate::load::clock::{self, Moment};
use crate::load::frame::{self, HEAD_BYTES_MAX, Kind, PAYLOAD_BYTES_MAX};
use crate::load::orders::{Audience, Job, Lost, Order, Plan, Report, Tally};
use crate::load::spread::Spread;
use crate::load::{outbound, pipe};
use soaking::Soaking;

/// Room for the longest frame, so that one read is never too short for it, and for many short ones.
const BUFFER_BYTES: usize = PAYLOAD_BYTES_MAX + HEAD_BYTES_MAX + 64 * 1024;
/// Sockets of one look.
const EVENTS: usize = 4_096;
/// Kinds of failures that are told apart; the others are one kind.
const KINDS_MAX: usize = 24;
/// The one token that is no socket's.
pub const WAKER: mio::Token = mio::Token(usize::MAX);

/// All sessions of the process.
pub struct Engine {
    job: Job,
    poll: Poll,
    buffer: Vec<u8>,
    /// When came what is being read.
    came: Moment,
    sockets: Vec<Socket>,
    /// Their users' tokens, each until it is written.
    tokens: Vec<String>,
    /// The request for an upgrade at each place.
    upgrades: Vec<Vec<u8>>,
    /// How connections to each place are secured, where it speaks TLS.
    securities: Vec<Option<Security>>,
    hearing: Hearing,
    /// What all follow.
    followed: Option<TopicId>,
    /// Those begun and not decided, in the order of their beginning.
    undecided: VecDeque<Begun>,
    in_flight: u32,
    opening: bool,
    began: Moment,
    last_welcome: Moment,
    next_progress: Moment,
    seconds: Seconds,
    lateness: Lateness,
    /// How late users hear of rings by their names, where they are told of another topic.
    ring_lateness: Lateness,
    /// What they heard.
    ring_tally: Tally,
    returning: Returning,
    soaking: Soaking,
    tally: Tally,
    secured: Spread,
    upgrade: Spread,
    welcome: Spread,
    heartbeat_ms: u32,
    failures: BTreeMap<String, u64>,
}

/// A connection that was begun.
struct Begun {
    index: usize,
    /// Which of the session's.
    connection: u8,
    /// When it was begun: it has its whole time from then on, also where it was due before.
    at: Moment,
}

impl Engine {
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// The topic is none, nobody is trusted, or the kernel gives no epoll.
    pub fn new(job: Job, tokens: Vec<String>) -> anyhow::Result<Self> {
        let encoding = Encoding::from(job.coding);
        let topic = job.topic.as_deref().map(TopicId::new).transpose()?;
        let ring_topic = job.ring_topic.as_deref().map(TopicId::new).transpose()?;
        let follows = matches!(job.audience, Audience::Followers | Audience::Both);
        let followed = topic.clone().filter(|_| follows);
        Ok(Self {
            poll: Poll::new()?,
            buffer: vec![0; BUFFER_BYTES],
            came: 0,
            sockets: Vec::with_capacity(job.sessions as usize),
            tokens,
            upgrades: job.places.iter().map(|place| outbound::upgrade(place, encoding)).collect(),
            securities: Security::of(&job.places)?,
            hearing: Hearing::new(encoding, topic, ring_topic),
            followed,
            undecided: VecDeque::new(),
            in_flight: 0,
            opening: false,
            began: 0,
            last_welcome: 0,
            next_progress: 0,
            seconds: Seconds::begin(),
            lateness: Lateness::default(),
            ring_lateness: Lateness::default(),
            ring_tally: Tally::default(),
            soaking: Soaking::default(),
            returning: Returning::new(&job),
            tally: Tally::default(),
            secured: Spread::default(),
            upgrade: Spread::default(),
            welcome: Spread::default(),
            heartbeat_ms: 0,
            failures: BTreeMap::new(),
            job,
        })
    }

    /// For who has an order.
    ///
    /// # Errors
    /// The kernel gives none.
    pub fn waker(&self) -> std::io::Result<mio::Waker> {
        mio::Waker::new(self.poll.registry(), WAKER)
    }

    /// Runs until it is told to leave.
    ///
    /// # Errors
    /// The kernel does not tell what is ready, or nobody listens any more.
    pub fn run(mut self, orders: &Receiver<Order>) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            if !self.obey(orders)? {
                self.leave();
                return Ok(());
            }
            self.lose_due();
            self.soak();
            self.begin_more();
            self.give_up_late();
            self.tell()?;
            match self.poll.poll(&mut events, Some(self.wait())) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            for event in events.iter().filter(|event| event.token() != WAKER) {
                self.ready(event.token().0);
            }
        }
    }

    /// Does all that it was told meanwhile; answers whether it goes on.
    fn obey(&mut self, orders: &Receiver<Order>) -> anyhow::Result<bool> {
        loop {
            match orders.try_recv() {
                Ok(Order::Open) => (self.opening, self.began) = (true, clock::now()),
                Ok(Order::Measure(plan @ Plan::Laps(..))) if self.job.audience == Audience::Both => {
                    self.ring_tally = Tally::default();
                    self.seconds.measure_rings();
                    self.ring_lateness.begin(plan);
                }
                Ok(Order::Measure(plan)) => {
                    (self.tally.hints, self.tally.learned) = (0, 0);
                    self.seconds.measure();
                    self.lateness.begin(plan);
                }
                Ok(Order::Lap(begin)) => {
                    let open = self.sockets.iter().filter(|socket| socket.stage == Stage::Open);
                    self.lateness.aim(begin, open.map(|socket| socket.known));
                }
                Ok(Order::Lose(loss)) => self.returning.lose(loss),
                Ok(Order::Served) => self.returning.served(),
                Ok(Order::Churn(churn)) => self.soaking.begin(churn),
                Ok(Order::Mute(from)) => self.mute(from),
                Ok(Order::Unmute) => self.unmute(),
                Ok(Order::Report(last)) => say(&Report::Seen(Box::new(self.seen(last))))?,
                Ok(Order::Leave) | Err(TryRecvError::Disconnected) => return Ok(false),
                Err(TryRecvError::Empty) => return Ok(true),
            }
        }
    }

    /// Something may be read, or the connection is made.
    fn ready(&mut self, index: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Err(over) = self.advance(index, &mut buffer) {
            self.over(index, over);
        }
        self.buffer = buffer;
    }

    fn advance(&mut self, index: usize, buffer: &mut [u8]) -> Result<(), Over> {
        let place = self.place(index);
        let socket = &mut self.sockets[index];
        let Some(stream) = &mut socket.stream else { return Ok(()) };
        if socket.stage == Stage::Connecting {
            if let Ok(Some(error)) | Err(error) = stream.socket().take_error() {
                return Err(format!("connect: {error}").into());
            }
            if stream.socket().peer_addr().is_err() {
                return Ok(());
            }
            socket.stage = Stage::Securing;
        }
        if socket.stage == Stage::Securing {
            let Some(secured) = stream.secure().map_err(|error| unsecured(&error))? else { return Ok(()) };
            if self.securities[place].is_some() && socket.life == Life::First {
                self.secured.record(secured.saturating_sub(socket.due));
            }
            socket.stage = Stage::Upgrading;
            socket.write(&self.upgrades[place]).map_err(|error| unanswered(format!("upgrade: {error}")))?;
        }
        let mut filled = 0;
        if let Some(torn) = socket.torn.take() {
            filled = torn.len();
            buffer[..filled].copy_from_slice(&torn);
        }
        loop {
            let Some(stream) = &mut self.sockets[index].stream else { return Ok(()) };
            match stream.read(&mut buffer[filled..]) {
                Ok((0, _)) => {
                    return Err(self.ended(index, filled, "the server ended the connection".to_owned()));
                }
                Ok((count, came)) => {
                    filled += count;
                    self.came = came;
                    let taken = self.take(index, &buffer[..filled])?;
                    buffer.copy_within(taken..filled, 0);
                    filled -= taken;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.ended(index, filled, format!("reading: {error}"))),
            }
        }
        self.sockets[index].torn = (filled > 0).then(|| buffer[..filled].into());
        Ok(())
    }

    /// The end of a connection of whose last frame so many bytes had come.
    fn ended(&self, index: usize, filled: usize, why: String) -> Over {
        if filled == 0 && self.sockets[index].stage == Stage::Upgrading {
            unanswered(why)
        } else {
            why.into()
        }
    }

    /// Takes what is whole; answers how many bytes that were.
    fn take(&mut self, index: usize, bytes: &[u8]) -> Result<usize, Over> {
        let mut taken = 0;
        if self.sockets[index].stage == Stage::Upgrading {
            let Some(head) = upgraded(bytes)? else { return Ok(0) };
            taken = head;
            self.greet(index)?;
        }
        loop {
            match frame::first(&bytes[taken..]) {
                Ok(Some((frame, used))) => {
                    taken += used;
                    self.on_frame(index, frame)?;
                }
                Ok(None) => return Ok(taken),
                Err(frame::Illegal(why)) => return Err(format!("an illegal frame: {why}").into()),
            }
        }
    }

    /// The upgrade is answered: `hello` follows.
    fn greet(&mut self, index: usize) -> Result<(), Over> {
        let socket = &mut self.sockets[index];
        if socket.life == Life::First {
            self.upgrade.record(self.came.saturating_sub(socket.due));
        }
        let token = self.tokens.get_mut(index).map(|token| match self.job.lost {
            Lost::Gone => std::mem::take(token),
            Lost::Back => token.clone(),
        });
        let token = token.filter(|token| !token.is_empty());
        let hello = ClientFrame::Hello(Hello { token: token.map(Token), ..Hello::default() });
        let bytes = outbound::message(self.job.coding.into(), &hello);
        socket.write(&bytes).map_err(|error| format!("hello: {error}"))?;
        socket.stage = Stage::Greeting;
        Ok(())
    }

    fn on_frame(&mut self, index: usize, frame: frame::Frame<'_>) -> Result<(), Over> {
        let message = match self.job.coding.into() {
            Encoding::Json => Kind::Text,
            Encoding::MsgPack => Kind::Binary,
        };
        match frame.kind {
            Kind::Ping => {
                self.tally.pings += 1;
                let pong = outbound::pong(frame.payload);
                self.sockets[index].write(&pong).map_err(|error| format!("pong: {error}").into())
            }
            Kind::Pong => Ok(()),
            Kind::Close => Err(closed(frame.payload)),
            kind if kind == message => self.on_message(index, frame.payload),
            _ => Err("an illegal frame: a message of the other encoding".into()),
        }
    }

    fn on_message(&mut self, index: usize, payload: &[u8]) -> Result<(), Over> {
        let heard = self.hearing.hear(payload);
        let socket = &mut self.sockets[index];
        match (heard, socket.stage) {
            (Heard::Hint(version), Stage::Open) => {
                self.hinted(index, version);
                Ok(())
            }
            (Heard::Ring(version), Stage::Open) => {
                self.ring(index, version);
                Ok(())
            }
            (Heard::Both(version, rung), Stage::Open) => {
                self.hinted(index, version);
                self.ring(index, rung);
                Ok(())
            }
            // It follows already, and the answer that says so may know less.
            (Heard::Hint(version) | Heard::Both(version, _), Stage::Following) => {
                socket.known = socket.known.max(version);
                Ok(())
            }
            (Heard::Welcome(heartbeat_ms), Stage::Greeting) => {
                self.heartbeat_ms = heartbeat_ms;
                self.welcomed(index)
            }
            (Heard::Followed(version), Stage::Following) => {
                socket.known = socket.known.max(version);
                self.tally.followed += u64::from(socket.life == Life::First);
                self.open(index);
                Ok(())
            }
            (Heard::Later(after, why), Stage::Following) => {
                if self.returning.ask_again((index, socket.life), after, &mut self.tally.returns) {
                    self.note(why);
                    return Ok(());
                }
                Err(why.into())
            }
            (Heard::Refused(why) | Heard::Later(_, why), _) => Err(why.into()),
            (Heard::Goaway, _) => {
                self.note("told to go away (stays until it is closed)".to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A session that follows is told of a version.
    fn hinted(&mut self, index: usize, version: Moment) {
        let (user, is_steady) = (self.number(index), self.is_steady(index));
        let socket = &mut self.sockets[index];
        if is_steady {
            self.lateness.hint((user, &mut socket.known), (version, self.came), &mut self.tally);
        } else {
            socket.known = socket.known.max(version);
        }
        self.returning.knows(socket, self.came, &mut self.tally.returns);
    }

    /// A user is rung by its name.
    fn ring(&mut self, index: usize, version: Moment) {
        let user = self.number(index);
        let heard = &mut self.sockets[index].ring_known;
        self.ring_lateness.hint((user, heard), (version, self.came), &mut self.ring_tally);
    }

    /// The number of a session among all.
    const fn number(&self, index: usize) -> u64 {
        self.job.first + index as u64
    }

    /// Whether what it hears counts.
    const fn is_steady(&self, index: usize) -> bool {
        self.number(index) < self.job.steady
    }

    /// A session is registered: it follows, where sessions do.
    fn welcomed(&mut self, index: usize) -> Result<(), Over> {
        let (socket, now) = (&mut self.sockets[index], self.came);
        let took = now.saturating_sub(socket.due);
        self.seconds.welcome(took);
        if !self.returning.welcomed(socket, now, &mut self.tally.returns) {
            self.welcome.record(took);
            self.last_welcome = self.last_welcome.max(now);
            self.tally.welcomed += 1;
        }
        if self.followed.is_none() {
            self.open(index);
            return Ok(());
        }
        self.subscribe(index)
    }

    /// Asks to follow the topic, from the version that it knows.
    fn subscribe(&mut self, index: usize) -> Result<(), Over> {
        let Some(topic) = &self.followed else { return Ok(()) };
        let socket = &mut self.sockets[index];
        let topics = vec![(topic.clone(), Version::new(socket.known).unwrap_or(Version::MAX))];
        let ask = ClientFrame::Subscribe { id: CallId::Number(SUBSCRIBE), topics };
        let bytes = outbound::message(self.job.coding.into(), &ask);
        socket.write(&bytes).map_err(|error| format!("subscribe: {error}"))?;
        socket.stage = Stage::Following;
        Ok(())
    }

    /// A session is all that it should be.
    fn open(&mut self, index: usize) {
        let is_steady = self.is_steady(index);
        let socket = &mut self.sockets[index];
        socket.stage = Stage::Open;
        self.in_flight -= 1;
        self.tally.open += 1;
        if is_steady {
            self.lateness.join(socket.known);
        }
        self.returning.knows(socket, self.came, &mut self.tally.returns);
    }

    fn note(&mut self, why: String) {
        let full = self.failures.len() >= KINDS_MAX && !self.failures.contains_key(&why);
        *self.failures.entry(if full { "other".to_owned() } else { why }).or_default() += 1;
    }

    /// All sessions say that they leave.
    fn leave(&mut self) {
        for socket in self.sockets.iter_mut().filter(|socket| socket.stage >= Stage::Greeting) {
            socket.leave();
        }
    }
}

/// Why a handshake did not come about. Whom the server cuts off in it has no answer.
fn unsecured(error: &io::Error) -> Over {
    let why = pipe::unsecured(error);
    if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) {
        why.into()
    } else {
        unanswered(why)
    }
}

fn unanswered(why: String) -> Over {
    Over { why, then: Then::Unanswered }
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Connecting => "connecting",
        Stage::Securing => "the TLS handshake is not done",
        Stage::Upgrading => "the upgrade is not answered",
        Stage::Greeting => "no welcome",
        Stage::Following => "subscribe is not answered",
        Stage::Open | Stage::Gone => "decided",
    }
}

#[cfg(test)]
mod tests;
