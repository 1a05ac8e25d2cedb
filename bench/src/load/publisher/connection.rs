//! One connection of a back end, with one request under way. A server ends connections when they get old: what it had no answer to is asked
//! again over the next.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::ClientConfig;

use crate::load::orders::Place;
use crate::load::pipe::Pipe;
use crate::trust::Trust;

/// The server answers within 10 s, if only that it cannot.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

type Socket = BufReader<Pipe>;

/// To one place.
pub struct Connection {
    place: Place,
    /// How it is secured, where the place speaks TLS.
    config: Option<Arc<ClientConfig>>,
    /// `None` where the server has said that it ends it, or an answer was not waited for.
    socket: Option<Socket>,
    head: String,
    /// Connections after the first.
    pub reconnects: u64,
}

/// A request that was written, and has no answer yet. Where nobody waits for that, the connection ends with this.
pub struct Asked {
    request: String,
    /// `None` where the server had ended it.
    socket: Option<Socket>,
}

/// The server ended the connection, and the answer was not there or not whole.
#[derive(Debug, thiserror::Error)]
#[error("the server ended the connection without answering a publish")]
pub struct Closed;

/// The server answered that it does not take it.
#[derive(Debug, thiserror::Error)]
#[error("a publish is answered with {0}")]
struct Refused(String);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or its certificate is not trusted.
    pub fn new(place: &Place, key: &str) -> anyhow::Result<Self> {
        let config = place.trust.as_ref().map(Trust::measured).transpose()?;
        let socket = Some(connected(place, config.as_ref())?);
        let Place { host, prefix, .. } = place;
        let head =
            format!("POST {prefix}/v1/hints HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n");
        Ok(Self { place: place.clone(), config, socket, head, reconnects: 0 })
    }

    /// Writes a request.
    ///
    /// # Errors
    /// It cannot be written, and not because the server had ended the connection.
    pub fn ask(&mut self, body: &str) -> anyhow::Result<Asked> {
        let request = format!("{}content-length: {}\r\n\r\n{body}", self.head, body.len());
        let socket = match self.socket.take().map(|socket| written(socket, &request)).transpose() {
            Err(error) if error.is::<Closed>() => None,
            socket => socket?,
        };
        Ok(Asked { request, socket })
    }

    /// Waits for its answer; asks once more over a new connection where the server has ended the one that was there.
    ///
    /// # Errors
    /// It is not taken.
    pub fn answer(&mut self, Asked { request, socket }: Asked) -> anyhow::Result<()> {
        if let Some(socket) = socket {
            match self.read(socket) {
                Err(error) if error.is::<Closed>() => {}
                outcome => return outcome,
            }
        }
        self.reconnects += 1;
        let socket = written(connected(&self.place, self.config.as_ref())?, &request)?;
        self.read(socket)
    }

    /// An answer; the connection is kept where the server keeps it.
    fn read(&mut self, mut socket: Socket) -> anyhow::Result<()> {
        let (after, refused) = answer(&mut socket)?;
        if after == After::Kept {
            self.socket = Some(socket);
        }
        refused.map_or(Ok(()), |refused| Err(refused.into()))
    }
}

/// What becomes of a connection after an answer.
#[derive(PartialEq, Eq)]
enum After {
    Kept,
    Closed,
}

fn connected(place: &Place, config: Option<&Arc<ClientConfig>>) -> anyhow::Result<Socket> {
    Ok(BufReader::new(Pipe::open(place, config, ANSWER_DEADLINE)?))
}

fn written(mut socket: Socket, request: &str) -> anyhow::Result<Socket> {
    socket.get_mut().write_all(request.as_bytes()).map_err(closed).context("a publish")?;
    Ok(socket)
}

fn answer(socket: &mut Socket) -> anyhow::Result<(After, Option<Refused>)> {
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
