//! One connection's life: HTTP/1.1 within bounds of time and size, or a short refusal.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Config, Metrics, Routes, count_panic};

/// A request's head, and hyper's buffer for it: room for a token of 8 KiB and a browser's own headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of one request; browsers send some 15.
const HEADERS_MAX: usize = 100;
/// How long a refused client may take to read that it is refused.
pub(super) const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// A refused client comes back after 1 to this many seconds, so that a crowd does not come back as one.
const RETRY_AFTER_SECS_MAX: u32 = 5;

/// The connections in HTTP.
pub(super) struct Connections {
    tasks: JoinSet<()>,
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
        Self {
            tasks: JoinSet::new(),
            http,
            age_max: config.connection_age_max,
            stop_timeout: config.stop_timeout,
            routes,
            metrics,
            stop,
        }
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
                count_panic(&self.metrics, ended);
            }
            None => std::future::pending().await,
        }
    }

    /// Serves one more, until it ends, is upgraded, is too old, or the listener stops.
    pub(super) fn serve(&mut self, socket: TcpStream, peer: SocketAddr) {
        // Frames are small and must not wait for each other. An error means that the client is gone already.
        let _ = socket.set_nodelay(true);
        self.metrics.connection_accepted();
        let routes = Arc::clone(&self.routes);
        let service = service_fn(move |request| {
            let routes = Arc::clone(&routes);
            async move { Ok::<_, Infallible>(routes.route(request, peer).await) }
        });
        let connection = self.http.serve_connection(TokioIo::new(socket), service).with_upgrades();
        let (stop, age_max, stop_timeout) = (self.stop.clone(), self.age_max, self.stop_timeout);
        self.tasks.spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => return note(ended, peer),
                () = stop.cancelled() => {}
                () = sleep(age_max) => {}
            }
            // Closes it at once where it is idle, or after the answer at hand.
            connection.as_mut().graceful_shutdown();
            if let Ok(ended) = timeout(stop_timeout, connection).await {
                note(ended, peer);
            }
        });
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

fn note(ended: hyper::Result<()>, peer: SocketAddr) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Tells a client to come back later, and waits until it has read that.
pub(super) async fn refuse(mut socket: TcpStream) -> std::io::Result<()> {
    let body = r#"{"error":{"code":"unavailable","message":"too many connections at the moment"}}"#;
    let seconds = rand::random_range(1..=RETRY_AFTER_SECS_MAX);
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Retry-After: {seconds}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await?;
    // Closing over unread bytes would reset the connection, and the answer with it.
    let mut unread = [0; 512];
    while socket.read(&mut unread).await? > 0 {}
    Ok(())
}
