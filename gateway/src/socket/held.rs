//! What a session holds: one wire in one piece, behind the session's lock.
//!
//! Two halves would be an allocation and two pointers more for each of a million sessions, and would let one be read while
//! the other is written, which no session needs: it reads for microseconds, and seldom.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::{Secured, Transport, Wire};

/// A session's socket. Dropped, it closes the connection.
#[derive(Debug)]
pub(crate) enum HeldSocket {
    Plain(Wire),
    Tls(HeldTls),
}

/// One that speaks TLS. Dropped, it tells the client so.
#[derive(Debug)]
pub(crate) struct HeldTls(Box<Secured>);

impl HeldSocket {
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
            Self::Tls(held) => held.0.peer(),
        }
    }

    /// Takes what fits now. After an error or a part that was taken, the next call must go on where this one ended.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.try_write(bytes),
            Self::Tls(held) => held.0.try_write(bytes),
        }
    }

    /// Waits until the socket takes more.
    pub(crate) fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(wire) => wire.poll_write_ready(cx),
            Self::Tls(held) => held.0.poll_write_ready(cx),
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
            Self::Tls(held) => held.0.poll_read(cx, buffer),
        }
    }

    /// Ends our side of the connection; the client's may go on. What decrypts ends with it: what is read from now on is as
    /// it was sent.
    pub(crate) fn end_writes(&mut self) {
        match self {
            Self::Plain(wire) => wire.end_writes(),
            Self::Tls(held) => held.0.end_writes(),
        }
    }
}

impl From<Box<Secured>> for HeldTls {
    fn from(secured: Box<Secured>) -> Self {
        Self(secured)
    }
}

impl HeldTls {
    #[cfg(test)]
    pub(super) const fn secured(&self) -> &Secured {
        &self.0
    }
}

impl Drop for HeldTls {
    fn drop(&mut self) {
        self.0.tell_end();
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
