//! A client's socket, plain or TLS: first the stream that HTTP is spoken on, then what a session holds.
//!
//! Map: `stream` the socket as hyper sees it; `held` what a session reads and writes; `tls` one that speaks TLS, for both; `wire` what
//! all travel over.

mod held;
mod stream;
mod tls;
mod wire;

use tokio::io::DuplexStream;
use tokio::net::TcpStream;

pub(crate) use held::HeldSocket;
pub use tls::{AcceptError, Secured};
pub use wire::{Memory, Wire};

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
    /// As it is.
    Plain(Wire),
    /// TLS, its handshake done.
    Tls(Box<Secured>),
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket.into())
    }
}

impl From<DuplexStream> for Socket {
    fn from(pipe: DuplexStream) -> Self {
        Self::Plain(pipe.into())
    }
}

impl Socket {
    /// What a session holds from here on.
    pub(crate) fn hold(self) -> HeldSocket {
        match self {
            Self::Plain(wire) => HeldSocket::Plain(wire),
            Self::Tls(secured) => HeldSocket::Tls(secured.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
