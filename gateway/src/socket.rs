//! A client's socket, plain or TLS: first the stream that HTTP is spoken on, then what a session reads and writes.
//!
//! A session's two halves are tokio's own in both cases. What TLS adds to them lies behind the session's lock, beside the
//! half that writes: a plain session is not larger for it, and its reads and writes pass one branch.
//!
//! Map: `stream` the socket as hyper sees it; `tls` what TLS adds to a session.

mod stream;
mod tls;

use std::io;

use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::server::TlsStream;

pub(crate) use tls::TlsSocket;

/// How bytes travel between a client and this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// As they are: `http` and `ws`.
    #[default]
    Plain,
    /// In TLS: `https` and `wss`.
    Tls,
}

impl Transport {
    /// What an address begins with.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }

    /// What the address of a WebSocket begins with.
    #[must_use]
    pub const fn socket_scheme(self) -> &'static str {
        match self {
            Self::Plain => "ws",
            Self::Tls => "wss",
        }
    }

    /// Whether a page of this scheme can be our own. Before a plain listener may stand a proxy that speaks TLS; what
    /// claims to come in plain from a listener that speaks nothing but TLS came from elsewhere.
    #[must_use]
    pub fn serves(self, scheme: &str) -> bool {
        match self {
            Self::Plain => matches!(scheme, "http" | "https"),
            Self::Tls => scheme == "https",
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS, its handshake done.
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}

impl Socket {
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.set_nodelay(true),
            Self::Tls(socket) => socket.get_ref().0.set_nodelay(true),
        }
    }

    /// What the session's task waits for, and what lies behind the session's lock.
    pub(crate) fn split(self) -> (OwnedReadHalf, Writer) {
        match self {
            Self::Plain(socket) => {
                let (reader, writer) = socket.into_split();
                (reader, Writer::Plain(writer))
            }
            Self::Tls(stream) => {
                let (socket, connection) = stream.into_inner();
                let (reader, writer) = socket.into_split();
                (reader, Writer::Tls(Box::new(TlsSocket::new(writer, connection))))
            }
        }
    }
}

/// The half behind the session's lock. Dropped, it ends our side of the connection.
#[derive(Debug)]
pub(crate) enum Writer {
    Plain(OwnedWriteHalf),
    Tls(Box<TlsSocket>),
}

impl Writer {
    /// Takes what fits now. After an error or a part that was taken, the next call must go on where this one ended.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(writer) => writer.try_write(bytes),
            Self::Tls(socket) => socket.try_write(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_writer_is_not_larger_for_tls() {
        assert_eq!(size_of::<Option<Writer>>(), size_of::<Option<OwnedWriteHalf>>());
    }

    #[test]
    fn a_page_in_plain_is_not_of_a_listener_with_tls() {
        for (transport, scheme, serves) in [
            (Transport::Plain, "http", true),
            (Transport::Plain, "https", true),
            (Transport::Plain, "ws", false),
            (Transport::Tls, "https", true),
            (Transport::Tls, "http", false),
        ] {
            assert_eq!(transport.serves(scheme), serves, "{transport:?} {scheme}");
        }
    }
}
