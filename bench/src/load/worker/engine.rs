//! One thread, one epoll loop, one buffer for reading, and as many sockets as the process may have.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use doorbell_protocol::frames::{Hello, Token};
use doorbell_protocol::{CallId, ClientFrame, Encoding, TopicId, Version};
use mio::{Events, Interest, Poll};

use super::answer::{Over, closed, upgraded};
use super::hearing::{Heard, Hearing, SUBSCRIBE};
use super::lateness::Lateness;
use super::say;
use super::seconds::Seconds;
use super::socket::{Socket, Stage, source};
use crate::load::clock::{self, Moment};
use crate::load::frame::{self, HEAD_BYTES_MAX, Kind, PAYLOAD_BYTES_MAX};
use crate::load::orders::{Job, Order, Report, Rings, Seen, Tally};
use crate::load::outbound;
use crate::load::spread::Spread;

/// Room for the longest frame, so that one read is never too short for it, and for many short ones.
const BUFFER_BYTES: usize = PAYLOAD_BYTES_MAX + HEAD_BYTES_MAX + 64 * 1024;
/// Sockets of one look.
const EVENTS: usize = 4_096;
/// Connections begun between two looks at the others.
const BEGUN_AT_ONCE: u32 = 64;
/// From the beginning of a connection to its session.
const SESSION_DEADLINE_US: u64 = 20_000_000;
/// From one line about the progress to the next: in step with the seconds of the clock.
const PROGRESS_US: u64 = 200_000;
/// Kinds of failures that are told apart; the others are one kind.
const KINDS_MAX: usize = 24;
/// How a session says that it leaves: masked, 1000.
const LEAVE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
/// The one token that is no socket's.
pub const WAKER: mio::Token = mio::Token(usize::MAX);

/// All sessions of the process.
pub struct Engine {
    job: Job,
    poll: Poll,
    buffer: Vec<u8>,
    sockets: Vec<Socket>,
    /// Their users' tokens, each until it is written.
    tokens: Vec<String>,
    /// The request for an upgrade at each place.
    upgrades: Vec<Vec<u8>>,
    hearing: Hearing,
    subscribe: Option<Vec<u8>>,
    /// Those begun and not decided, in the order of their beginning, each with when that was: at a rate that is later than when it was
    /// due, and who begins late has its time all the same.
    undecided: VecDeque<(usize, Moment)>,
    in_flight: u32,
    opening: bool,
    began: Moment,
    last_welcome: Moment,
    next_progress: Moment,
    seconds: Seconds,
    lateness: Lateness,
    tally: Tally,
    upgrade: Spread,
    welcome: Spread,
    heartbeat_ms: u32,
    failures: BTreeMap<String, u64>,
}

impl Engine {
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// The topic is none, or the kernel gives no epoll.
    pub fn new(job: Job, tokens: Vec<String>) -> anyhow::Result<Self> {
        let encoding = Encoding::from(job.coding);
        let topic = job.topic.as_deref().map(TopicId::new).transpose()?;
        let followed = topic.clone().filter(|_| job.rings == Rings::Followers);
        let subscribe = followed.map(|topic| {
            let topics = vec![(topic, Version::ZERO)];
            outbound::message(encoding, &ClientFrame::Subscribe { id: CallId::Number(SUBSCRIBE), topics })
        });
        Ok(Self {
            poll: Poll::new()?,
            buffer: vec![0; BUFFER_BYTES],
            sockets: Vec::with_capacity(job.sessions as usize),
            tokens,
            upgrades: job.places.iter().map(|place| outbound::upgrade(&place.host, encoding)).collect(),
            hearing: Hearing::new(encoding, topic),
            subscribe,
            undecided: VecDeque::new(),
            in_flight: 0,
            opening: false,
            began: 0,
            last_welcome: 0,
            next_progress: 0,
            seconds: Seconds::begin(),
            lateness: Lateness::default(),
            tally: Tally::default(),
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
            self.begin_more()?;
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
                Ok(Order::Measure(plan)) => {
                    (self.tally.hints, self.tally.learned) = (0, 0);
                    self.seconds.measure();
                    self.lateness.begin(plan);
                }
                Ok(Order::Lap(begin)) => {
                    let open = self.sockets.iter().filter(|socket| socket.stage == Stage::Open);
                    self.lateness.aim(begin, open.map(|socket| socket.mark));
                }
                Ok(Order::Report(last)) => say(&Report::Seen(Box::new(self.seen(last))))?,
                Ok(Order::Leave) | Err(TryRecvError::Disconnected) => return Ok(false),
                Err(TryRecvError::Empty) => return Ok(true),
            }
        }
    }

    /// Until there is something to do, whether or not anything comes.
    fn wait(&self) -> Duration {
        let now = clock::now();
        let next = match self.next_due() {
            Some(due) if self.in_flight < self.job.in_flight => due.min(self.next_progress),
            _ => self.next_progress,
        };
        Duration::from_micros(next.saturating_sub(now))
    }

    /// When the next connection may begin; `None` where there is none.
    fn next_due(&self) -> Option<Moment> {
        let begun = self.sockets.len();
        if !self.opening || begun == self.job.sessions as usize {
            return None;
        }
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let after = self.job.per_second.map_or(0, |rate| (begun as f64 * 1e6 / rate) as u64);
        Some(self.began + after)
    }

    fn begin_more(&mut self) -> anyhow::Result<()> {
        for _ in 0..BEGUN_AT_ONCE {
            let now = clock::now();
            let Some(due) = self.next_due().filter(|due| *due <= now && self.in_flight < self.job.in_flight)
            else {
                return Ok(());
            };
            // At a rate, a connection that could not begin in time is late from when it was due.
            self.begin(if self.job.per_second.is_some() { due } else { now })?;
        }
        Ok(())
    }

    fn begin(&mut self, due: Moment) -> anyhow::Result<()> {
        let index = self.sockets.len();
        let number = self.job.first + index as u64;
        let place = self.place(index);
        let source = self.job.sources.map(|sources| source(sources, number));
        match Socket::connect(self.job.places[place].address, source, due) {
            Ok(mut socket) => {
                if let Some(stream) = &mut socket.stream {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(stream, mio::Token(index), interest)?;
                }
                self.sockets.push(socket);
                self.undecided.push_back((index, clock::now()));
                self.in_flight += 1;
            }
            Err(error) => {
                self.sockets.push(Socket { stream: None, stage: Stage::Gone, mark: due, torn: None });
                self.tally.failed += 1;
                self.note(format!("connect: {error}"));
            }
        }
        Ok(())
    }

    /// Sessions are spread over the places by their number among all.
    #[expect(clippy::cast_possible_truncation, reason = "it is below the number of places")]
    fn place(&self, index: usize) -> usize {
        ((self.job.first + index as u64) % self.job.places.len() as u64) as usize
    }

    /// Ends those whose session does not come.
    fn give_up_late(&mut self) {
        let now = clock::now();
        while let Some(&(index, begun)) = self.undecided.front() {
            let socket = &self.sockets[index];
            let decided = socket.stage >= Stage::Open;
            if !decided && begun + SESSION_DEADLINE_US > now {
                return;
            }
            self.undecided.pop_front();
            if !decided {
                self.over(index, format!("no session within 20 s ({})", stage(socket.stage)));
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
            if let Ok(Some(error)) | Err(error) = stream.take_error() {
                return Err(format!("connect: {error}"));
            }
            if stream.peer_addr().is_err() {
                return Ok(());
            }
            socket.write(&self.upgrades[place]).map_err(|error| format!("upgrade: {error}"))?;
            socket.stage = Stage::Upgrading;
        }
        let mut filled = 0;
        if let Some(torn) = socket.torn.take() {
            filled = torn.len();
            buffer[..filled].copy_from_slice(&torn);
        }
        loop {
            let Some(stream) = &mut self.sockets[index].stream else { return Ok(()) };
            match stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err("the server ended the connection".to_owned()),
                Ok(count) => {
                    filled += count;
                    let taken = self.take(index, &buffer[..filled])?;
                    buffer.copy_within(taken..filled, 0);
                    filled -= taken;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("reading: {error}")),
            }
        }
        self.sockets[index].torn = (filled > 0).then(|| buffer[..filled].into());
        Ok(())
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
                Err(frame::Illegal(why)) => return Err(format!("an illegal frame: {why}")),
            }
        }
    }

    /// The upgrade is answered: `hello` follows.
    fn greet(&mut self, index: usize) -> Result<(), Over> {
        let socket = &mut self.sockets[index];
        self.upgrade.record(clock::now().saturating_sub(socket.mark));
        let token = self.tokens.get_mut(index).map(std::mem::take).filter(|token| !token.is_empty());
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
                self.sockets[index].write(&pong).map_err(|error| format!("pong: {error}"))
            }
            Kind::Pong => Ok(()),
            Kind::Close => Err(closed(frame.payload)),
            kind if kind == message => self.on_message(index, frame.payload),
            _ => Err("an illegal frame: a message of the other encoding".to_owned()),
        }
    }

    fn on_message(&mut self, index: usize, payload: &[u8]) -> Result<(), Over> {
        let heard = self.hearing.hear(payload);
        let socket = &mut self.sockets[index];
        match (heard, socket.stage) {
            (Heard::Hint(version), Stage::Open) => {
                let user = self.job.first + index as u64;
                self.lateness.hint((user, &mut socket.mark), version, &mut self.tally);
                Ok(())
            }
            (Heard::Welcome(heartbeat_ms), Stage::Greeting) => {
                let now = clock::now();
                let took = now.saturating_sub(socket.mark);
                self.welcome.record(took);
                self.seconds.welcome(took);
                (self.last_welcome, self.heartbeat_ms) = (now, heartbeat_ms);
                self.tally.welcomed += 1;
                match &self.subscribe {
                    Some(subscribe) => {
                        socket.write(subscribe).map_err(|error| format!("subscribe: {error}"))?;
                        socket.stage = Stage::Following;
                    }
                    None => self.open(index),
                }
                Ok(())
            }
            (Heard::Followed, Stage::Following) => {
                self.tally.followed += 1;
                self.open(index);
                Ok(())
            }
            (Heard::Refused(why), _) => Err(why),
            (Heard::Goaway, _) => {
                self.note("told to go away (stays until it is closed)".to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A session is all that it should be.
    fn open(&mut self, index: usize) {
        let socket = &mut self.sockets[index];
        (socket.stage, socket.mark) = (Stage::Open, 0);
        self.in_flight -= 1;
        self.tally.open += 1;
        self.lateness.join();
    }

    fn over(&mut self, index: usize, why: Over) {
        let socket = &mut self.sockets[index];
        let before = std::mem::replace(&mut socket.stage, Stage::Gone);
        (socket.stream, socket.torn) = (None, None);
        match before {
            Stage::Gone => return,
            Stage::Open => {
                self.lateness.leave((self.job.first + index as u64, socket.mark));
                self.tally.open -= 1;
                self.tally.ended += 1;
            }
            _ => {
                self.in_flight -= 1;
                self.tally.failed += 1;
            }
        }
        self.note(why);
    }

    fn note(&mut self, why: String) {
        let full = self.failures.len() >= KINDS_MAX && !self.failures.contains_key(&why);
        *self.failures.entry(if full { "other".to_owned() } else { why }).or_default() += 1;
    }

    /// Says how far it is, where that is due or something was reached.
    fn tell(&mut self) -> anyhow::Result<()> {
        if let Some(version) = self.lateness.reached() {
            say(&Report::Head(version))?;
        }
        if self.opening && self.sockets.len() == self.job.sessions as usize && self.in_flight == 0 {
            self.opening = false;
            say(&Report::Opened(self.tally))?;
        }
        let now = clock::now();
        if now >= self.next_progress {
            self.next_progress = (now / PROGRESS_US + 1) * PROGRESS_US;
            say(&Report::Progress(self.tally))?;
        }
        if let Some(second) = self.seconds.over(now, self.tally, &mut self.lateness) {
            say(&Report::Second(Box::new(second)))?;
        }
        Ok(())
    }

    /// What was seen, where `last` is the last version that was published.
    fn seen(&self, last: Moment) -> Seen {
        let open = (self.job.first..).zip(&self.sockets).filter(|(_, socket)| socket.stage == Stage::Open);
        Seen {
            tally: self.tally,
            began: self.began,
            last_welcome: self.last_welcome,
            upgrade: self.upgrade.counts(),
            welcome: self.welcome.counts(),
            late: self.lateness.counts(open.map(|(user, socket)| (user, socket.mark)), last),
            last_hint: self.lateness.last_hint(),
            failures: self.failures.clone(),
            heartbeat_ms: self.heartbeat_ms,
        }
    }

    /// All sessions say that they leave.
    fn leave(&mut self) {
        for socket in self.sockets.iter_mut().filter(|socket| socket.stage >= Stage::Greeting) {
            // The server may be gone already.
            let _ = socket.write(&LEAVE);
        }
    }
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Connecting => "connecting",
        Stage::Upgrading => "the upgrade is not answered",
        Stage::Greeting => "no welcome",
        Stage::Following => "subscribe is not answered",
        Stage::Open | Stage::Gone => "decided",
    }
}

#[cfg(test)]
mod tests;
