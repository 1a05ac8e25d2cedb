//! One connection's life: the TLS handshake where there is one, then HTTP/1.1 within bounds of time and size.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::secure::{Complaints, Failure, Outcome, secure};
use super::{Config, Metrics, Routes, count_panic};
use crate::socket::Socket;
use crate::tls::Tls;

/// A request's head, and hyper's buffer for it: room for a token of 8 KiB and a browser's own headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of one request; browsers send some 15.
const HEADERS_MAX: usize = 100;

/// The connections in HTTP, or on their way there.
pub(super) struct Connections {
    tasks: JoinSet<Result<(), Failure>>,
    lives: Arc<Lives>,
    complaints: Complaints,
    metrics: Metrics,
}

/// What every connection goes by.
struct Lives {
    tls: Option<Tls>,
    handshake_timeout: Duration,
    http: http1::Builder,
    age_max: Duration,
    stop_timeout: Duration,
    routes: Arc<dyn Routes>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Connections {
    pub(super) fn new(
        config: &Config,
        tls: Option<Tls>,
        metrics: Metrics,
        routes: Arc<dyn Routes>,
        stop: CancellationToken,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(config.head_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .half_close(false);
        metrics.connections_allowed(config.connections_max.get());
        let lives = Lives {
            tls,
            handshake_timeout: config.tls_handshake_timeout,
            http,
            age_max: config.connection_age_max,
            stop_timeout: config.stop_timeout,
            routes,
            metrics: metrics.clone(),
            stop,
        };
        Self { tasks: JoinSet::new(), lives: Arc::new(lives), complaints: Complaints::default(), metrics }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Takes note of one that ended; waits for ever where there is none. Cancel safe.
    pub(super) async fn reap(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => {
                self.metrics.connection_ended();
                if let Ok(Err(failure)) = &ended {
                    self.metrics.tls_handshake(failure.outcome);
                    self.complaints.note(failure, Instant::now());
                }
                count_panic(&self.metrics, ended);
            }
            None => std::future::pending().await,
        }
    }

    /// Serves one more, until it ends, is upgraded, is too old, or the listener stops.
    pub(super) fn serve(&mut self, socket: TcpStream, peer: SocketAddr) {
        self.metrics.connection_accepted();
        self.tasks.spawn(Arc::clone(&self.lives).live(socket, peer));
    }

    /// Waits for what is left, which has been told to stop, and cuts it at the deadline.
    pub(super) async fn finish(mut self, deadline: Duration) {
        let all = async {
            while !self.tasks.is_empty() {
                self.reap().await;
            }
        };
        if timeout(deadline, all).await.is_err() {
            tracing::info!(connections = self.tasks.len(), "requests cut at the deadline");
            self.tasks.abort_all();
            while !self.tasks.is_empty() {
                self.reap().await;
            }
        }
    }
}

impl Lives {
    /// One connection, from its first byte on.
    ///
    /// # Errors
    /// There was no TLS handshake where there should have been one.
    async fn live(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) -> Result<(), Failure> {
        let socket = match &self.tls {
            None => socket.into(),
            Some(tls) => {
                let handshake = secure(tls, socket, peer, self.handshake_timeout);
                // A stop has nothing to wait for: no request is at hand.
                let Some(secured) = self.stop.run_until_cancelled(handshake).await else { return Ok(()) };
                let secured = secured?;
                self.metrics.tls_handshake(Outcome::Done);
                secured
            }
        };
        self.speak_http(socket, peer).await;
        Ok(())
    }

    /// Until it ends, is upgraded, is too old, or the listener stops.
    async fn speak_http(&self, socket: Socket, peer: SocketAddr) {
        let service =
            service_fn(|request| async move { Ok::<_, Infallible>(self.routes.route(request, peer).await) });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(socket), service).with_upgrades());
        tokio::select! {
            ended = connection.as_mut() => return note(ended, peer),
            () = self.stop.cancelled() => {}
            () = sleep(self.age_max) => {}
        }
        // Closes it at once where it is idle, or after the answer at hand.
        connection.as_mut().graceful_shutdown();
        if let Ok(ended) = timeout(self.stop_timeout, connection).await {
            note(ended, peer);
        }
    }
}

fn note(ended: hyper::Result<()>, peer: SocketAddr) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
