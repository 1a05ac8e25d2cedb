//! One topic with many followers, published again and again by another back end: how long until each follower knows.
//!
//! A thread of its own publishes by `POST /v1/hints`, one call each 1/rate seconds whatever comes back; everybody else
//! reads. Late is, for a follower and a version, the time from that version's request until the follower has read it or
//! a later one: a follower that is told of every tenth version is late by the first of the ten.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use doorbell_protocol::{CallId, ClientFrame, TopicId, Version};
use doorbell_tests::{Doorbell, Minter};
use mio::{Events, Poll};
use serde_json::json;
use tokio::time::Instant;

use crate::report;
use crate::session::{Heard, Session};

/// The topic; each token grants it.
const TOPIC: &str = "score:final";
/// Sockets of one look: all that a fan-out wrote to, so that few looks are made.
const EVENTS: usize = 16_384;
/// Between two looks at the sockets; a follower may seem later by that.
const BETWEEN_LOOKS: Duration = Duration::from_millis(4);
/// Nobody may have to wait longer for the last version.
const DEADLINE: Duration = Duration::from_secs(15);
/// Where the version stands for "nothing published": what a follower begins with.
const NONE: usize = 0;

/// When each version was published: version n at n - 1.
type Published = Arc<Mutex<Vec<Instant>>>;

/// Followers that are there, and a back end that is ready to publish.
pub struct Audience {
    followers: Followers,
    publisher: Publisher,
}

impl Audience {
    /// Opens the followers, one session each.
    pub fn open(doorbell: &Doorbell, key: &str, followers: usize) -> anyhow::Result<Self> {
        let followers = Followers::open(doorbell, followers)?;
        Ok(Self { followers, publisher: Publisher::connect(doorbell.address(), key)? })
    }

    /// Publishes, and prints how late the followers were; answers the number of publishes.
    ///
    /// # Errors
    /// Also where a follower was later than `within`.
    pub fn run(self, rate: u32, measured: Duration, within: Duration) -> anyhow::Result<u64> {
        let Self { mut followers, publisher } = self;
        let total = usize::try_from(u64::from(rate) * measured.as_secs())?;
        let (published, apart) = (Published::default(), Duration::from_secs(1) / rate);
        let times = Arc::clone(&published);
        let publishing = std::thread::spawn(move || publisher.publish(total, apart, &times));
        let late = followers.read_all(total, &published, measured + DEADLINE);
        let took = publishing.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))??;
        let late = late?;
        let (count, hints) = (followers.all.len(), late.len());
        let most = Duration::from_micros(late.iter().max().copied().unwrap_or_default().into());
        report::times(&format!("{count} followers, {rate} publishes/s, late"), late);
        println!("{total} publishes in {:.2} s, {hints} hints read", took.as_secs_f64());
        ensure!(most <= within, "a follower was late by {most:?}; asked for is {within:?}");
        Ok(u64::try_from(total)?)
    }
}

struct Follower {
    session: Session,
    seen: usize,
}

struct Followers {
    all: Vec<Follower>,
    poll: Poll,
}

impl Followers {
    fn open(doorbell: &Doorbell, count: usize) -> anyhow::Result<Self> {
        let minter = Minter::of(doorbell)?;
        let poll = Poll::new()?;
        let mut all = Vec::with_capacity(count);
        for index in 0..count {
            let token = minter.token(&format!("follower-{index}"), &json!({"topics": [TOPIC]}))?;
            let mut session = Session::open(doorbell.address(), token, |opening| {
                let topics = vec![(TopicId::new(TOPIC)?, Version::ZERO)];
                opening.send(&ClientFrame::Subscribe { id: CallId::Number(1), topics })?;
                let reply = opening.reply(1)?;
                ensure!(reply["topics"][TOPIC].is_u64(), "not followed: {reply}");
                Ok(TOPIC.to_owned())
            })
            .with_context(|| format!("follower {index}"))?;
            session.register(poll.registry(), index)?;
            all.push(Follower { session, seen: NONE });
        }
        Ok(Self { all, poll })
    }

    /// Reads until every follower has version `total`; answers how late each was at each hint, in microseconds.
    fn read_all(
        &mut self,
        total: usize,
        published: &Published,
        deadline: Duration,
    ) -> anyhow::Result<Vec<u32>> {
        let (began, mut behind, mut late) = (Instant::now(), self.all.len(), Vec::new());
        let mut events = Events::with_capacity(EVENTS);
        while behind > 0 {
            ensure!(began.elapsed() < deadline, "{behind} followers do not have the last version");
            // Not waiting in the poll: whoever writes to a socket would have to wake this thread each time, and pay for it.
            std::thread::park_timeout(BETWEEN_LOOKS);
            match self.poll.poll(&mut events, Some(Duration::from_secs(1))) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            for event in &events {
                let mio::Token(index) = event.token();
                let Follower { session, seen } = &mut self.all[index];
                session.hear(|heard| {
                    let Heard::Hint(version) = heard else { bail!("a reply to no call") };
                    let version = usize::try_from(version)?;
                    if version > *seen {
                        // The oldest that it did not have.
                        let written = published.lock().expect("nobody panics with it")[*seen];
                        late.push(u32::try_from(written.elapsed().as_micros())?);
                        *seen = version;
                        behind -= usize::from(version == total);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(late)
    }
}

/// A back end with one connection.
struct Publisher {
    socket: BufReader<TcpStream>,
    head: String,
}

impl Publisher {
    fn connect(address: &str, key: &str) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        let head = format!("POST /v1/hints HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n");
        Ok(Self { socket: BufReader::new(socket), head })
    }

    /// Publishes versions 1 to `total`, one each `apart`; answers how long it took.
    fn publish(mut self, total: usize, apart: Duration, published: &Published) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut due = began;
        for version in 1..=total {
            // An open loop: after a late call the next goes at once.
            while Instant::now() < due {
                std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
            due += apart;
            let body = json!({"hints": [{"topic": TOPIC, "version": version}]}).to_string();
            published.lock().expect("nobody panics with it").push(Instant::now());
            let request = format!("{}content-length: {}\r\n\r\n{body}", self.head, body.len());
            self.socket.get_mut().write_all(request.as_bytes())?;
            self.answer()?;
        }
        Ok(began.elapsed())
    }

    fn answer(&mut self) -> anyhow::Result<()> {
        let (mut status, mut headers) = (String::new(), BTreeMap::new());
        self.socket.read_line(&mut status).context("no answer to a publish")?;
        loop {
            let mut line = String::new();
            self.socket.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").context("an answer without a length")?.parse()?;
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body)?;
        ensure!(status.starts_with("HTTP/1.1 200 "), "{} {}", status.trim(), String::from_utf8_lossy(&body));
        Ok(())
    }
}
