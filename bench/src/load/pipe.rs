//! A connection of the tool itself, which waits: for calls over HTTP, and to look at a server before it is measured.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use futures_util::future::try_join_all;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio::task::spawn_blocking;

use super::orders::Place;
use crate::trust::{self, Trust};

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
        let mut socket = connected(place, deadline)?;
        let Some(config) = config else { return Ok(Self::Plain(socket)) };
        let mut connection = ClientConnection::new(Arc::clone(config), place.name()?)?;
        shaken(&mut connection, &mut socket).map_err(|error| anyhow!(unsecured(&error)))?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, socket))))
    }
}

fn connected(place: &Place, deadline: Duration) -> anyhow::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&place.address, deadline)
        .with_context(|| format!("nobody listens at {}", place.host))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(deadline))?;
    socket.set_write_timeout(Some(deadline))?;
    Ok(socket)
}

fn shaken(connection: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while connection.is_handshaking() {
        connection.complete_io(socket)?;
    }
    Ok(())
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

/// Why there is no TLS over a connection that was made to a place that speaks it, as [`look`] has seen.
pub fn unsecured(error: &io::Error) -> String {
    if is_end(error) {
        "TLS: the server ended the connection in the handshake: more came than its door lets in (listener.accepts_per_second, \
         connections_max): lower --connect-rate"
            .to_owned()
    } else {
        trust::refused_by(error).unwrap_or_else(|| format!("TLS: {error}"))
    }
}

/// Whether the other side ended the connection.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Looks whether places speak as their addresses say, at all of them at once, so that who is wrong is told so once and not by each
/// session. Where nobody listens each session says so, and a plain place that says nothing of TLS is measured as it is.
///
/// # Errors
/// One wants TLS and should not, speaks none in 10 s and should, or its certificate is not trusted.
pub async fn look(places: &[Place]) -> anyhow::Result<()> {
    let trust = places.iter().find_map(|place| place.trust.as_ref());
    let config = trust.map(Trust::measured).transpose()?;
    let looks = places.iter().cloned().map(|place| {
        let config = config.clone().filter(|_| place.trust.is_some());
        spawn_blocking(move || match config {
            Some(config) => look_secure(&place, config, LOOK_DEADLINE),
            None => look_plain(&place),
        })
    });
    try_join_all(looks).await?.into_iter().collect()
}

fn look_secure(place: &Place, config: Arc<ClientConfig>, deadline: Duration) -> anyhow::Result<()> {
    let Ok(mut socket) = connected(place, deadline) else { return Ok(()) };
    let mut connection = ClientConnection::new(config, place.name()?)?;
    let shaken = shaken(&mut connection, &mut socket);
    shaken.map_err(|error| anyhow!("wss://{}: {}", place.host, no_tls(&error, deadline)))
}

/// Why a place speaks no TLS of which nothing else is known.
fn no_tls(error: &io::Error, deadline: Duration) -> String {
    match error.kind() {
        _ if is_end(error) => {
            "TLS: the server ended the connection in the handshake; where it speaks none, take ws:// for --url".to_owned()
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("TLS: no answer to the handshake in {deadline:?}: is that the port, and does it speak TLS?")
        }
        _ => unsecured(error),
    }
}

fn look_plain(place: &Place) -> anyhow::Result<()> {
    let Ok(mut pipe) = Pipe::open(place, None, LOOK_DEADLINE) else { return Ok(()) };
    let Place { host, prefix, .. } = place;
    let ask = format!("GET {prefix}/readyz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    // As far as it comes: an end with a reset is one as well.
    let _ = pipe.write_all(ask.as_bytes()).and_then(|()| pipe.take(4_096).read_to_end(&mut answer));
    ensure!(!wants_tls(&answer), "ws://{host}: TLS is wanted there: take wss:// for --url");
    Ok(())
}

/// Whether that is how a port that wants TLS answers who does not speak it: with an alert, with a page that says so, or with the way to
/// one that does.
fn wants_tls(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let status = text.strip_prefix("http/1.").and_then(|rest| rest.split(' ').nth(1)).unwrap_or_default();
    let mut headers = text.lines().skip(1).take_while(|line| !line.is_empty());
    let mut leads = headers
        .any(|line| line.strip_prefix("location:").is_some_and(|to| to.trim_start().starts_with("https://")));
    leads &= status.starts_with('3');
    answer.starts_with(&ALERT) || leads || (status == "400" && text.contains("https"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_that_wants_tls_is_known_by_its_answer() {
        for port in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port"[..],
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            b"HTTP/1.1 301 Moved Permanently\r\nServer: x\r\nLocation: https://chat.example/readyz\r\n\r\n",
            b"HTTP/1.1 308 Permanent Redirect\r\nlocation:https://chat.example/\r\n\r\n",
            &[0x15, 3, 3, 0, 2, 2, 22],
        ] {
            assert!(wants_tls(port), "{}", String::from_utf8_lossy(port));
        }
        for other in [
            &b"HTTP/1.1 200 OK\r\n\r\nhttps://"[..],
            b"HTTP/1.1 200 OK\r\nlocation: https://h/\r\n\r\n",
            b"HTTP/1.1 302 Found\r\nlocation: http://h/\r\n\r\nlocation: https://h/",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"",
        ] {
            assert!(!wants_tls(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn an_end_in_the_handshake_is_told_by_what_is_known_of_the_place() {
        for kind in [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
            let error = io::Error::from(kind);
            assert!(unsecured(&error).contains("lower --connect-rate"), "{kind}");
            assert!(no_tls(&error, LOOK_DEADLINE).contains("take ws:// for --url"), "{kind}");
        }
    }

    /// A listener, and the place that it is said to be in TLS.
    fn listener(folder: &tempfile::TempDir) -> (TcpListener, Place) {
        let authority = folder.path().join("ca.pem");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&authority, made.cert.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, Place::own(&address, Some(Trust::File(authority))).unwrap())
    }

    #[test]
    fn a_port_that_does_not_answer_the_handshake_is_told_with_what_to_look_at() {
        let folder = tempfile::tempdir().unwrap();
        let (_silent, place) = listener(&folder);
        let config = place.trust.as_ref().unwrap().measured().unwrap();

        let error = look_secure(&place, config, Duration::from_millis(100)).unwrap_err().to_string();

        assert!(error.contains("no answer to the handshake in 100ms: is that the port"), "{error}");
    }

    #[tokio::test]
    async fn all_places_are_looked_at_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let ((first, one), (second, other)) = (listener(&folder), listener(&folder));
        // The first says nothing until somebody comes to the second.
        let serving = std::thread::spawn(move || drop((first.accept().unwrap(), second.accept().unwrap())));

        let looked = look(&[one, other]).await.unwrap_err().to_string();

        assert!(looked.contains("ended the connection in the handshake"), "{looked}");
        serving.join().unwrap();
    }
}
