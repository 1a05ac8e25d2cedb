//! One session's socket: a few dozen bytes, and a buffer only while a frame is torn.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Type};

use super::arrival;
use super::stream::{Security, Stream};
use crate::backoff::Backoff;
use crate::load::clock::Moment;

/// Sessions of one source address. An address has some 28,000 ports, of which the kernel tries every second one first: so
/// half of those are free, and it finds one at the second look.
const PER_SOURCE: u64 = 7_000;

/// What a socket with little room holds of what nobody reads.
const LITTLE_BYTES: usize = 4_096;
/// The smallest largest segment that Linux takes (`TCP_MIN_MSS`).
const LITTLE_SEGMENT_BYTES: u32 = 88;

/// How a session says that it leaves: masked, 1000.
pub const LEAVE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

/// How much both kernels hold of a connection that nobody reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As they like: megabytes on the loopback.
    Usual,
    /// Some 20 KB: the server soon has to keep what it cannot write.
    Little,
}

/// One session.
pub struct Socket {
    /// `None` where it is over, or waits to come back.
    pub stream: Option<Stream>,
    /// How far it is.
    pub stage: Stage,
    /// Which of its connections it is, counted in a circle: tells what is said of an older one.
    pub connection: u8,
    /// Whether it was lost, and how far it is with coming back.
    pub life: Life,
    /// How long it waits before it comes back.
    pub backoff: Backoff,
    /// When it was due to begin, or was lost.
    pub due: Moment,
    /// The last version that it heard of.
    pub known: Moment,
    /// The last version of the other topic that its user was rung of.
    pub ring_known: Moment,
    /// The beginning of a frame whose rest has not come.
    pub torn: Option<Box<[u8]>>,
}

/// Whether a session was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// It was not.
    First,
    /// It was, and has no `welcome` since.
    Lost,
    /// It has.
    Back,
    /// It follows again, and knows the last version.
    Current,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The connection is being made.
    Connecting,
    /// The connection is made, the TLS handshake is not done.
    Securing,
    /// The upgrade has been asked for.
    Upgrading,
    /// `hello` is written.
    Greeting,
    /// `welcome` is there, `subscribe` is written.
    Following,
    /// It is all that it should be.
    Open,
    /// It is over.
    Gone,
}

impl Socket {
    /// Of a session that is due.
    pub fn new(due: Moment) -> Self {
        Self {
            stream: None,
            stage: Stage::Gone,
            connection: 0,
            life: Life::First,
            backoff: Backoff::default(),
            due,
            known: 0,
            ring_known: 0,
            torn: None,
        }
    }

    /// Begins a connection and does not wait for it.
    ///
    /// # Errors
    /// There is no way, or no free port at `source`.
    pub fn connect(
        &mut self,
        (to, security): (SocketAddr, Option<&Security>),
        (source, room): (Option<Ipv4Addr>, Room),
    ) -> io::Result<&mut TcpStream> {
        self.stage = Stage::Connecting;
        self.connection = self.connection.wrapping_add(1);
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = socket2::Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))?;
        if let Some(source) = source {
            // The port is chosen in `connect`, where it is known what it must differ from. Chosen in `bind` it must be one that no socket of
            // the address has, wherever that goes: 0.4 ms with 16,000 of them, 8 ms with 100,000 on the machine.
            setsockopt(&socket, IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
        }
        arrival::note(&socket)?;
        if room == Room::Little {
            socket.set_recv_buffer_size(LITTLE_BYTES)?;
            // What the other side may hold unsent grows with the size of a segment, and on the loopback that is 64 KiB.
            socket.set_tcp_mss(LITTLE_SEGMENT_BYTES)?;
        }
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
        let stream = Stream::over(TcpStream::from_std(socket.into()), security)?;
        Ok(self.stream.insert(stream).socket_mut())
    }

    /// Ends the connection without a word: the other side is told by a reset.
    pub fn cut(&mut self) {
        if let Some(stream) = self.stream.take() {
            // Without it the other side is told all the same, by an ordinary end.
            let _ = SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO));
        }
        self.torn = None;
    }

    /// Writes all of it at once.
    ///
    /// # Errors
    /// Also where the socket does not take all of it: a client writes so little that the server must have stopped reading.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Err(ErrorKind::NotConnected.into()) };
        stream.write(bytes)
    }

    /// Says that it leaves. The server may be gone already.
    pub fn leave(&mut self) {
        let _ = self.write(&LEAVE);
        if let Some(stream) = &mut self.stream {
            stream.tell_end();
        }
    }
}

/// The loopback address from which the session connects that is number `nth` of one server: for the first ones as the kernel chooses, then
/// 127.`sources`.0.1 and those after it.
pub fn source(sources: u8, nth: u64) -> Option<Ipv4Addr> {
    let place = u32::try_from(nth / PER_SOURCE).unwrap_or(u32::MAX);
    let [_, high, middle, low] = place.to_be_bytes();
    (place > 0).then(|| Ipv4Addr::new(127, sources.wrapping_add(high), middle, low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_costs_a_few_dozen_bytes() {
        // A debug build's stream is larger than a number.
        let beside = size_of::<Socket>() - size_of::<Option<Stream>>();
        assert!(beside <= 48, "{beside}");
    }

    #[test]
    fn each_source_address_has_its_share_of_the_sessions() {
        let last = PER_SOURCE - 1;
        let low = |nth| source(9, nth).map(|source| source.octets()[3]);
        assert_eq!([0, last, last + 1, last + 1 + PER_SOURCE].map(low), [None, None, Some(1), Some(2)]);
        assert_eq!(source(9, 1_000_000), Some(Ipv4Addr::new(127, 9, 0, 142)));
    }
}
