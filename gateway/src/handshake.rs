//! From an HTTP request to a socket: every check before the 101, then the bare socket for a session.
//!
//! Map: [`check`] the checks, pure; [`origin`] which pages; [`refusal`] what a refused client reads.

pub mod check;
pub mod origin;
pub mod refusal;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::{Clock, Encoding};
use http::header::{CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::auth::{Authenticator, Verified};
use crate::listener::Metrics;
use crate::socket::Socket;
use check::{Acceptance, Offered, Rules};
use origin::Origins;
use refusal::Refusal;

const PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");
/// From the 101 to the socket: the time to write some 200 bytes. A client that does not take them is no client.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// A socket whose handshake is done.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket, TLS and all. Whoever accepted it must have set `TCP_NODELAY`, as [`Listener`](crate::listener::Listener) does.
    pub socket: Socket,
    /// What the client sent behind its request, to be read first. Empty with well-behaved clients.
    pub leftover: Bytes,
    /// How the session speaks.
    pub encoding: Encoding,
    /// Whose the token was that came with the request, where one came.
    pub verified: Option<Verified>,
    /// The other end.
    pub peer: SocketAddr,
}

/// Upgrades requests. Shared by all connections.
pub struct Handshake {
    /// Which pages may connect.
    pub origins: Origins,
    /// Which tokens hold.
    pub authenticator: Arc<dyn Authenticator>,
    /// The wall clock, for tokens.
    pub clock: Clock,
    /// Owns the small task that waits for each upgrade; whoever made it waits for them.
    pub upgrades: TaskTracker,
    /// Counts the outcomes.
    pub metrics: Metrics,
}

impl Handshake {
    /// Checks a request and answers it; once a 101 is written, `start` gets the socket, in a task of `upgrades`.
    ///
    /// `start` is not called where the request is refused, or the client goes away before the 101 is written.
    pub fn upgrade(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        start: impl FnOnce(Upgraded) + Send + 'static,
    ) -> Response<Full<Bytes>> {
        let (mut head, _) = request.into_parts();
        let rules = Rules { origins: &self.origins, authenticator: &*self.authenticator };
        let acceptance = match check::check(&head, rules, (self.clock)()) {
            Ok(acceptance) => acceptance,
            Err(refusal) => {
                self.metrics.handshake_refused(refusal);
                note(refusal, peer);
                return refusal.response();
            }
        };
        let Some(upgrade) = head.extensions.remove::<OnUpgrade>() else {
            self.metrics.handshake_refused(Refusal::NotAnUpgrade);
            return Refusal::NotAnUpgrade.response();
        };
        let response = switch(&acceptance);
        let Acceptance { encoding, verified, .. } = acceptance;
        let metrics = self.metrics.clone();
        self.upgrades.spawn(async move {
            match socket(upgrade).await {
                Some((socket, leftover)) => {
                    metrics.handshake_accepted();
                    start(Upgraded { socket, leftover, encoding, verified, peer });
                }
                None => metrics.handshake_lost(),
            }
        });
        response
    }
}

/// The 101.
fn switch(acceptance: &Acceptance) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::try_from(&acceptance.accept).expect("base64 is a header value");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if acceptance.offered == Offered::Some {
        headers.insert(PROTOCOL, HeaderValue::from_static(acceptance.encoding.subprotocol()));
    }
    response
}

/// The stream behind an upgrade, without hyper's buffer: even empty that keeps 8 KiB. `None` where the client went
/// away, or did not take the 101 in time.
async fn socket(upgrade: OnUpgrade) -> Option<(Socket, Bytes)> {
    let upgraded = timeout(UPGRADE_TIMEOUT, upgrade).await.ok()?.ok()?;
    let parts = upgraded.downcast::<TokioIo<Socket>>().ok()?;
    let leftover =
        if parts.read_buf.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(&parts.read_buf) };
    Some((parts.io.into_inner(), leftover))
}

/// What an operator may want to find: refused pages and tokens. The rest is a client author's business.
fn note(refusal: Refusal, peer: SocketAddr) {
    match refusal {
        Refusal::Origin | Refusal::Token(_) => {
            tracing::info!(%peer, reason = refusal.label(), "handshake refused");
        }
        _ => tracing::debug!(%peer, reason = refusal.label(), "handshake refused"),
    }
}
