//! What a session holds: one wire in one piece, behind the session's lock.
//!
//! Two halves would be an allocation and two pointers more for each of a million sessions, and would let one be read while
//! the other is written, which no session needs: it reads for microseconds, and seldom.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, ReadBuf};

use super::tls::Tls;
use super::{Transport, Wire};

/// A session's socket. Dropped, it closes the connection.
#[derive(Debug)]
pub(crate) enum HeldSocket {
    Plain(Wire),
    Tls(Box<Secured>),
}

/// A socket that speaks TLS.
#[derive(Debug)]
pub(crate) struct Secured {
    wire: Wire,
    /// `None` once our side has ended.
    tls: Option<Tls>,
}

impl HeldSocket {
    pub(super) fn tls(wire: Wire, connection: ServerConnection) -> Self {
        Self::Tls(Box::new(Secured { wire, tls: Some(Tls::new(connection)) }))
    }

    pub(crate) const fn transport(&self) -> Transport {
        match self {
            Self::Plain(_) => Transport::Plain,
            Self::Tls(_) => Transport::Tls,
        }
    }

    /// The client's address; `None` once the socket has none.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(wire) => wire.peer(),
            Self::Tls(secured) => secured.wire.peer(),
        }
    }

    /// Takes what fits now. After an error or a part that was taken, the next call must go on where this one ended.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.try_write(bytes),
            Self::Tls(secured) => secured.try_write(bytes),
        }
    }

    /// Waits until the socket takes more.
    pub(crate) fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(wire) => wire.poll_write_ready(cx),
            Self::Tls(secured) => secured.wire.poll_write_ready(cx),
        }
    }

    /// Reads what the client sent; nothing is its end.
    ///
    /// *Cancel safety*: nothing that was read is lost.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(wire) => Pin::new(wire).poll_read(cx, buffer),
            Self::Tls(secured) => secured.poll_read(cx, buffer),
        }
    }

    /// Ends our side of the connection; the client's may go on. What decrypts ends with it: what is read from now on is as
    /// it was sent.
    pub(crate) fn end_writes(&mut self) {
        match self {
            Self::Plain(wire) => wire.end_writes(),
            Self::Tls(secured) => secured.end_writes(),
        }
    }
}

impl Secured {
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.wire.try_write(bytes),
            Some(tls) => tls.try_write(&mut self.wire, bytes),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(tls) = &mut self.tls else {
            return Pin::new(&mut self.wire).poll_read(cx, buffer);
        };
        loop {
            match tls.try_read(&mut self.wire, buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                read => return Poll::Ready(read),
            }
            ready!(self.wire.poll_read_ready(cx))?;
        }
    }

    fn end_writes(&mut self) {
        self.tell_end();
        self.tls = None;
        self.wire.end_writes();
    }

    /// Tells the client that nothing was cut off.
    fn tell_end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.tell_end(&mut self.wire);
        }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.tell_end();
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// What else it may be costs a plain session nothing (GW-3).
    #[test]
    fn a_plain_socket_is_held_in_the_bytes_of_its_stream() {
        assert_eq!(size_of::<Option<HeldSocket>>(), size_of::<TcpStream>());
    }
}
