//! One connection: the socket, the certificates, the greeting, HTTP/2. Both ends of it, with the same options.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::body::Body;

use crate::remote::error::Refusal;
use crate::remote::greeting::{greet, welcome};
use crate::remote::{Config, Trust};

/// What one stream, and all streams of a connection, may send before the other side has read it. A batch must not wait
/// for a round trip.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Streams of one connection at most: a caller needs one.
const STREAMS_MAX: u32 = 8;
/// Bytes of one request's headers at most.
const HEADER_BYTES_MAX: u32 = 8 << 10;

/// A stream of bytes, with or without TLS.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// The bytes of a connection whose other end has said who it is.
pub(crate) type Greeted = TokioIo<Box<dyn Bytes>>;

/// The caller's end. The future ends where the connection takes no further streams.
pub(crate) struct Link {
    pub(crate) requests: SendRequest<Body>,
    pub(crate) connection: hyper::client::conn::http2::Connection<Greeted, Body, TokioExecutor>,
}

impl Link {
    /// Connects, within the time for it.
    ///
    /// # Errors
    /// [`Refusal`] where nobody is there, or somebody else.
    pub(crate) async fn open(address: &str, trust: &Trust, config: &Config) -> Result<Self, Refusal> {
        let opening = async {
            let socket = TcpStream::connect(address).await?;
            prepare(&socket, config)?;
            let mut bytes: Box<dyn Bytes> = match &trust.tls {
                None => Box::new(socket),
                Some(tls) => Box::new(tls.connector().connect(tls.name().clone(), socket).await?),
            };
            greet(&mut bytes, trust.key.as_ref()).await?;
            let mut http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            http.timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .keep_alive_interval(config.keep_alive_interval)
                .keep_alive_timeout(config.keep_alive_timeout)
                .keep_alive_while_idle(true);
            let (requests, connection) =
                http.handshake(TokioIo::new(bytes)).await.map_err(io::Error::other)?;
            Ok(Self { requests, connection })
        };
        let late = |_| Refusal::Late(config.connect_timeout);
        timeout(config.connect_timeout, opening).await.map_err(late)?
    }
}

/// The callee's end, up to where HTTP begins, within the time for it.
///
/// # Errors
/// [`Refusal`]: the connection is to be dropped.
pub(crate) async fn accept(socket: TcpStream, trust: &Trust, config: &Config) -> Result<Greeted, Refusal> {
    let accepting = async {
        prepare(&socket, config)?;
        let mut bytes: Box<dyn Bytes> = match &trust.tls {
            None => Box::new(socket),
            Some(tls) => Box::new(tls.acceptor().accept(socket).await?),
        };
        welcome(&mut bytes, trust.key.as_ref()).await?;
        Ok(TokioIo::new(bytes))
    };
    timeout(config.connect_timeout, accepting).await.map_err(|_| Refusal::Late(config.connect_timeout))?
}

/// HTTP as it is served.
pub(crate) fn http(config: &Config) -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(config.keep_alive_interval)
        .keep_alive_timeout(config.keep_alive_timeout);
    http
}

/// Small messages go at once, and a peer that is cut off is noticed even where nothing is sent.
fn prepare(socket: &TcpStream, config: &Config) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let second = Duration::from_secs(1);
    let keep_alive = TcpKeepalive::new().with_time(config.keep_alive_interval.max(second));
    socket.set_tcp_keepalive(&keep_alive.with_interval(config.keep_alive_interval.max(second)))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(config.keep_alive_interval + config.keep_alive_timeout))?;
    Ok(())
}

/// Whether only this machine can reach the address.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
