//! The last words to a connection that is not served, in plain HTTP.

use std::io::{self, Read, Write};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a client may take to read them.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// Why it is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// Too many are here or came at once: it may come back after this time.
    Busy(Duration),
    /// It spoke in plain where TLS is spoken.
    NeedsTls,
}

/// Room for the head of a request.
const HEAD_BYTES: usize = 4_096;

/// Whether the client's whole request is here, which is read then: a close over unread bytes, or bytes that come after it, would reset the
/// connection. That is known of a GET alone, which has no body and is how a socket is asked for. In a crowd connections wait to be accepted,
/// so that it mostly is.
pub(super) fn is_asked(socket: &TcpStream) -> bool {
    let mut head = [0; HEAD_BYTES];
    let Ok(read) = (&*SockRef::from(socket)).read(&mut head) else { return false };
    head.starts_with(b"GET ") && head[..read].ends_with(b"\r\n\r\n")
}

/// Says them to who has asked, and does not wait: the kernel sends what it has taken.
pub(super) fn say_at_once(socket: &TcpStream, farewell: Farewell) {
    // A client that went away misses nothing.
    let _ = (&*SockRef::from(socket)).write(words(farewell).as_bytes());
}

/// Says them, and waits until the client has read them.
///
/// # Errors
/// The client went away.
pub(super) async fn say(mut socket: TcpStream, farewell: Farewell) -> io::Result<()> {
    socket.write_all(words(farewell).as_bytes()).await?;
    socket.shutdown().await?;
    // Closing over unread bytes would reset the connection, and the answer with it.
    let mut unread = [0; 512];
    while socket.read(&mut unread).await? > 0 {}
    Ok(())
}

fn words(farewell: Farewell) -> String {
    let (status, code, message) = match farewell {
        Farewell::Busy(_) => ("503 Service Unavailable", "unavailable", "too many connections at the moment"),
        Farewell::NeedsTls => {
            ("400 Bad Request", "invalid", "this port speaks TLS: use https:// or wss:// in the address")
        }
    };
    let retry = match farewell {
        Farewell::Busy(later) => format!("Retry-After: {}\r\n", later.as_secs_f64().ceil()),
        Farewell::NeedsTls => String::new(),
    };
    let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{retry}\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
