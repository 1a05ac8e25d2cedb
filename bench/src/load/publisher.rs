//! A back end with one connection at a time, which publishes by `POST /v1/hints`. A server ends connections when they get old: what it
//! had no answer to is published again over the next, and a version that comes twice is one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use super::clock::{self, Moment};
use super::fleet::Interrupted;
use super::orders::Place;
use super::pipe::Pipe;
use super::schedule::Schedule;
use super::spread::Spread;
use crate::trust::Trust;

/// The server answers within 10 s, if only that it cannot.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest step of a wait: so soon is an end noticed.
const STEP: Duration = Duration::from_millis(100);

/// Its connection.
pub struct Publisher {
    place: Place,
    /// How its connections are secured, where the place speaks TLS.
    config: Option<Arc<ClientConfig>>,
    /// `None` where the server has said that it ends it.
    socket: Option<BufReader<Pipe>>,
    head: String,
    topic: String,
    /// Connections after the first.
    pub reconnects: u64,
}

/// The server ended the connection, and the answer was not there or not whole.
#[derive(Debug, thiserror::Error)]
#[error("the server ended the connection without answering a publish")]
struct Closed;

/// The server answered that it does not take it.
#[derive(Debug, thiserror::Error)]
#[error("a publish is answered with {0}")]
struct Refused(String);

/// What became of a schedule.
pub struct Published {
    /// From when a publish was due to its answer.
    pub answered: Spread,
    /// The last version.
    pub last: Moment,
    /// When the last answer was there.
    pub answered_at: Moment,
    /// From when a publish was due to when it was written: the tool's own lateness and the answer to the one before.
    pub behind: Spread,
}

impl Publisher {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or its certificate is not trusted.
    pub fn connect(place: &Place, key: &str, topic: &str) -> anyhow::Result<Self> {
        let config = place.trust.as_ref().map(Trust::measured).transpose()?;
        let socket = Some(connected(place, config.as_ref())?);
        let Place { host, prefix, .. } = place;
        let head =
            format!("POST {prefix}/v1/hints HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n");
        Ok(Self { place: place.clone(), config, socket, head, topic: topic.to_owned(), reconnects: 0 })
    }

    /// Publishes one version; once more over a new connection where the server has ended the one that was there.
    ///
    /// # Errors
    /// It is not taken.
    pub fn publish(&mut self, version: Moment) -> anyhow::Result<()> {
        self.call(&serde_json::json!({"hints": [{"topic": self.topic, "version": version}]}).to_string())
    }

    /// Rings users of one version, likewise.
    ///
    /// # Errors
    /// It is not taken.
    pub fn ring(&mut self, version: Moment, users: Vec<String>) -> anyhow::Result<()> {
        let hint = serde_json::json!({"topic": self.topic, "version": version, "users": users});
        self.call(&serde_json::json!({"hints": [hint]}).to_string())
    }

    fn call(&mut self, body: &str) -> anyhow::Result<()> {
        let request = format!("{}content-length: {}\r\n\r\n{body}", self.head, body.len());
        if let Some(socket) = self.socket.take() {
            match self.exchange(socket, &request) {
                Err(error) if error.is::<Closed>() => {}
                outcome => return outcome,
            }
        }
        self.reconnects += 1;
        let socket = connected(&self.place, self.config.as_ref())?;
        self.exchange(socket, &request)
    }

    /// One request and its answer; the connection is kept where the server keeps it.
    fn exchange(&mut self, mut socket: BufReader<Pipe>, request: &str) -> anyhow::Result<()> {
        socket.get_mut().write_all(request.as_bytes()).map_err(closed).context("a publish")?;
        let (after, refused) = answer(&mut socket)?;
        if after == After::Kept {
            self.socket = Some(socket);
        }
        refused.map_or(Ok(()), |refused| Err(refused.into()))
    }

    /// Publishes at a steady rate, whatever comes back: one that is late goes at once.
    ///
    /// # Errors
    /// One is not taken, or the tool was asked to end.
    pub fn follow(&mut self, schedule: Schedule, stop: &CancellationToken) -> anyhow::Result<Published> {
        let (mut answered, mut behind, mut last) = (Spread::default(), Spread::default(), 0);
        for number in 0..schedule.count {
            last = schedule.due(number);
            loop {
                ensure!(!stop.is_cancelled(), Interrupted);
                let left = last.saturating_sub(clock::now());
                if left == 0 {
                    break;
                }
                std::thread::park_timeout(Duration::from_micros(left).min(STEP));
            }
            behind.record(clock::now() - last);
            self.publish(last)?;
            answered.record(clock::now() - last);
        }
        Ok(Published { answered, last, answered_at: clock::now(), behind })
    }
}

/// What becomes of a connection after an answer.
#[derive(PartialEq, Eq)]
enum After {
    Kept,
    Closed,
}

fn connected(place: &Place, config: Option<&Arc<ClientConfig>>) -> anyhow::Result<BufReader<Pipe>> {
    Ok(BufReader::new(Pipe::open(place, config, ANSWER_DEADLINE)?))
}

fn answer(socket: &mut BufReader<Pipe>) -> anyhow::Result<(After, Option<Refused>)> {
    let mut head = socket.by_ref().take(ANSWER_BYTES_MAX as u64);
    let (status, mut headers) = (line(&mut head)?, BTreeMap::new());
    loop {
        let line = line(&mut head)?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length: usize = headers.get("content-length").context("an answer without a length")?.parse()?;
    ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes to a publish");
    let mut body = vec![0; length];
    socket.read_exact(&mut body).map_err(closed)?;
    let refused = (!status.starts_with("HTTP/1.1 200"))
        .then(|| Refused(format!("{status}: {}", String::from_utf8_lossy(&body))));
    let closes = headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok((if closes { After::Closed } else { After::Kept }, refused))
}

/// A line of an answer's head.
fn line(head: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    head.read_line(&mut line).map_err(closed).context("no answer to a publish")?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.trim_end().to_owned()),
        None => Err(Closed.into()),
    }
}

/// Tells the end of a connection, which is no failure, from what is one.
fn closed(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Closed.into(),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests;
