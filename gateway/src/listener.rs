//! The door: accepts connections within limits and speaks HTTP/1.1 on them. What a request means is its routes'
//! business.
//!
//! Map: [`config`] the limits; `admission` who may come in now; `pressure` what to do when `accept` fails;
//! `connection` one connection's life; `secure` its TLS handshake; `farewell` last words to who is not served;
//! [`metrics`] what is counted.

mod admission;
pub mod config;
mod connection;
mod farewell;
pub mod metrics;
mod pressure;
mod secure;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use config::{Config, InvalidConfig};
pub use metrics::Metrics;

use admission::{Admission, Verdict};
use connection::Connections;
use farewell::Farewell;
use pressure::{Pressure, Reaction};

use crate::socket::Transport;
use crate::tls::Tls;

/// Connections that the kernel holds until we accept them: a burst of clients that lost another gateway. Of `net.core.somaxconn` it takes
/// no more.
pub const BACKLOG: u32 = 4096;
/// Unsent bytes that the kernel takes of a connection (`TCP_NOTSENT_LOWAT`, tcp(7)), beside what is on its way and one segment of at most 64 KiB.
/// More waits in the outbox, where hints merge. Left to itself the kernel takes up to 4 MB (`net.ipv4.tcp_wmem`), which cannot be taken back.
#[cfg(target_os = "linux")]
const KERNEL_UNSENT_BYTES: u32 = 16 * 1024;
/// Refused connections that may be waited for, because their request is still on its way; beyond them the connection is just closed.
const REFUSALS_MAX: usize = 256;

/// What requests mean.
#[async_trait]
pub trait Routes: Send + Sync + 'static {
    /// Answers one request. A panic ends its connection, and no other.
    async fn route(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>>;
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens there.
    #[error("{address} is in use by another process: stop it, or listen on another address")]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The system refuses the address: no right to it, or it is not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// What it says.
        #[source]
        source: io::Error,
    },
}

/// Listens on one address.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    config: Config,
    tls: Option<Tls>,
    metrics: Metrics,
}

impl Listener {
    /// Takes the address; port 0 takes any free one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error`] names the address.
    pub fn bind(address: SocketAddr, config: Config, metrics: Metrics) -> Result<Self, Error> {
        let listen = || -> io::Result<_> {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A restart must not wait for the old connections' last packets.
            socket.set_reuseaddr(true)?;
            // Both are inherited by each connection. Frames are small and must not wait for an acknowledgement of the last one.
            socket.set_nodelay(true)?;
            #[cfg(target_os = "linux")]
            socket2::SockRef::from(&socket).set_tcp_notsent_lowat(KERNEL_UNSENT_BYTES)?;
            socket.bind(address)?;
            let socket = socket.listen(BACKLOG)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        match listen() {
            Ok((socket, address)) => Ok(Self { socket, address, config, tls: None, metrics }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Error::InUse { address }),
            Err(source) => Err(Error::Refused { address, source }),
        }
    }

    /// Speaks TLS, and nothing else.
    #[must_use]
    pub fn secured_by(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// What it speaks.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self.tls {
            Some(_) => Transport::Tls,
            None => Transport::Plain,
        }
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop`, then takes no more, lets the requests at hand end within `stop_timeout`, and cuts what
    /// is left. Upgraded sockets are their sessions' and live on.
    pub async fn run(self, stop: CancellationToken, routes: Arc<dyn Routes>) {
        let transport = self.transport();
        let Self { socket, config, tls, metrics, .. } = self;
        let mut accepting = Accepting {
            transport,
            admission: Admission::new(&config, Instant::now()),
            pressure: Pressure::default(),
            connections: Connections::new(&config, tls, metrics.clone(), routes, stop.clone()),
            refusals: JoinSet::new(),
            metrics,
        };
        loop {
            // All three are cancel safe; the order does not matter.
            tokio::select! {
                () = stop.cancelled() => break,
                () = accepting.reap() => {}
                accepted = socket.accept() => {
                    if let Reaction::Pause(pause) = accepting.on_accept(accepted) {
                        stop.run_until_cancelled(sleep(pause)).await;
                    }
                }
            }
        }
        drop(socket);
        accepting.refusals.shutdown().await;
        accepting.connections.finish(config.stop_timeout).await;
    }
}

/// The accept loop's state.
struct Accepting {
    transport: Transport,
    admission: Admission,
    pressure: Pressure,
    connections: Connections,
    /// Refused connections whose request is still on its way.
    refusals: JoinSet<()>,
    metrics: Metrics,
}

impl Accepting {
    /// Takes note of one task that ended; waits for ever where there is none.
    async fn reap(&mut self) {
        tokio::select! {
            () = self.connections.reap() => {}
            Some(ended) = self.refusals.join_next() => count_panic(&self.metrics, ended),
            else => std::future::pending().await,
        }
    }

    fn on_accept(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) -> Reaction {
        let now = Instant::now();
        let reaction = self.pressure.on_accept(accepted.as_ref().err(), now, &self.metrics);
        if let Ok((socket, peer)) = accepted {
            match self.admission.admit(self.connections.len(), now) {
                Verdict::Served => self.connections.serve(socket, peer),
                refused @ (Verdict::TooFast | Verdict::Full) => self.refuse(socket, refused, now),
            }
        }
        reaction
    }

    fn refuse(&mut self, socket: TcpStream, why: Verdict, now: Instant) {
        self.metrics.connection_refused(why);
        // With TLS the words would cost a handshake, of which there are too many: it is just closed.
        if self.transport != Transport::Plain {
            return;
        }
        if farewell::is_asked(&socket) {
            farewell::say_at_once(&socket, Farewell::Busy(self.admission.later(now)));
        } else if self.refusals.len() < REFUSALS_MAX {
            let farewell = Farewell::Busy(self.admission.later(now));
            self.refusals.spawn(async move {
                // Best effort: a client that does not read it is cut all the same.
                let _ = timeout(farewell::TIMEOUT, farewell::say(socket, farewell)).await;
            });
        }
    }
}

fn count_panic<T>(metrics: &Metrics, ended: Result<T, JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        metrics.connection_panicked();
        tracing::error!("a connection's task panicked; the connection is closed");
    }
}

#[cfg(test)]
mod tests;
