//! A connection of the tool itself, which waits: for calls over HTTP, and to look at a server before it is measured.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::orders::Place;
use crate::trust;

/// How long a server may take to say what it speaks.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);
/// How an alert begins in TLS: with that it answers who does not speak it.
const ALERT: [u8; 2] = [0x15, 0x03];

/// A socket, or TLS over one.
pub enum Pipe {
    /// As it is.
    Plain(TcpStream),
    /// In TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Pipe {
    /// Connects, and shakes hands where the place speaks TLS by these settings. No step of it takes longer than that.
    ///
    /// # Errors
    /// Nobody listens there, or the two do not agree.
    pub fn open(
        place: &Place,
        config: Option<&Arc<ClientConfig>>,
        deadline: Duration,
    ) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect_timeout(&place.address, deadline)
            .with_context(|| format!("nobody listens at {}", place.host))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(deadline))?;
        socket.set_write_timeout(Some(deadline))?;
        let Some(config) = config else { return Ok(Self::Plain(socket)) };
        let mut connection = ClientConnection::new(Arc::clone(config), place.name()?)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| anyhow::anyhow!(unsecured(&error)))?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, socket))))
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Why there is no TLS over a connection that was made.
pub fn unsecured(error: &io::Error) -> String {
    match trust::refused_by(error) {
        Some(why) => why,
        None if error.kind() == ErrorKind::UnexpectedEof => {
            "TLS: the server ended the connection in the handshake; where it speaks none, take ws:// for --url".to_owned()
        }
        None => format!("TLS: {error}"),
    }
}

/// Looks whether a place speaks as its address says, so that who is wrong is told so once and not by each session. A place that says
/// nothing of it is measured as it is.
///
/// # Errors
/// It speaks TLS and should not, or the other way round, or its certificate is not trusted.
pub fn look(place: &Place) -> anyhow::Result<()> {
    let Some(trust) = &place.trust else { return look_plain(place) };
    let config = trust.measured()?;
    match Pipe::open(place, Some(&config), LOOK_DEADLINE) {
        // Whoever does not listen is found by each session, as without TLS.
        Err(error) if error.root_cause().is::<io::Error>() => Ok(()),
        outcome => outcome.map(drop).with_context(|| format!("wss://{}", place.host)),
    }
}

fn look_plain(place: &Place) -> anyhow::Result<()> {
    let Ok(mut pipe) = Pipe::open(place, None, LOOK_DEADLINE) else { return Ok(()) };
    let ask = format!("GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", place.host);
    let mut answer = Vec::new();
    // As far as it comes: an end with a reset is one as well.
    let _ = pipe.write_all(ask.as_bytes()).and_then(|()| pipe.take(4_096).read_to_end(&mut answer));
    if speaks_tls(&answer) {
        bail!("ws://{}: this port speaks TLS: take wss:// for --url", place.host);
    }
    Ok(())
}

/// Whether that is how a port that speaks TLS answers who does not: with an alert, or with a page that says so.
fn speaks_tls(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    answer.starts_with(&ALERT) || (text.starts_with("http/1.1 400 ") && text.contains("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_speaks_tls_is_known_by_its_answer() {
        let nginx = b"HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port";
        assert!(speaks_tls(nginx) && speaks_tls(&[0x15, 3, 3, 0, 2, 2, 22]));
        for other in [&b"HTTP/1.1 200 OK\r\n\r\nhttps://"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b""] {
            assert!(!speaks_tls(other));
        }
    }
}
