//! A back end with one connection, which publishes by `POST /v1/hints`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_util::sync::CancellationToken;

use super::clock::{self, Moment};
use super::fleet::Interrupted;
use super::orders::Place;
use super::schedule::Schedule;
use super::spread::Spread;

/// The server answers within 10 s, if only that it cannot.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest step of a wait: so soon is an end noticed.
const STEP: Duration = Duration::from_millis(100);

/// Its connection.
pub struct Publisher {
    socket: BufReader<TcpStream>,
    head: String,
    topic: String,
}

/// What became of a schedule.
pub struct Published {
    /// From when a publish was due to its answer.
    pub answered: Spread,
    /// The last version.
    pub last: Moment,
    /// From the first to the last answer, in microseconds.
    pub took_us: u64,
    /// From when a publish was due to when it was written: the tool's own lateness and the answer to the one before.
    pub behind: Spread,
}

impl Publisher {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(place: &Place, key: &str, topic: &str) -> anyhow::Result<Self> {
        let socket = TcpStream::connect_timeout(&place.address, ANSWER_DEADLINE)
            .with_context(|| format!("nobody listens at {}", place.host))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
        socket.set_write_timeout(Some(ANSWER_DEADLINE))?;
        let host = &place.host;
        let head = format!("POST /v1/hints HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n");
        Ok(Self { socket: BufReader::new(socket), head, topic: topic.to_owned() })
    }

    /// Publishes one version.
    ///
    /// # Errors
    /// It is not taken.
    pub fn publish(&mut self, version: Moment) -> anyhow::Result<()> {
        let body = serde_json::json!({"hints": [{"topic": self.topic, "version": version}]}).to_string();
        let request = format!("{}content-length: {}\r\n\r\n{body}", self.head, body.len());
        self.socket.get_mut().write_all(request.as_bytes()).context("a publish")?;
        self.answer()
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
        Ok(Published { answered, last, took_us: clock::now().saturating_sub(schedule.begin), behind })
    }

    fn answer(&mut self) -> anyhow::Result<()> {
        let (mut status, mut headers) = (String::new(), BTreeMap::new());
        let mut head = self.socket.by_ref().take(ANSWER_BYTES_MAX as u64);
        head.read_line(&mut status).context("no answer to a publish")?;
        loop {
            let mut line = String::new();
            head.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length: usize = headers.get("content-length").context("an answer without a length")?.parse()?;
        ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes to a publish");
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body)?;
        ensure!(
            status.starts_with("HTTP/1.1 200"),
            "a publish is answered with {}: {}",
            status.trim(),
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }
}
