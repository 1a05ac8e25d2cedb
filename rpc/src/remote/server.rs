//! The callee's side: listens, asks each connection who it is, and serves its streams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codegen::Service as _;

use crate::remote::error::Refusal;
use crate::remote::exchange::Exchanges;
use crate::remote::link::{self, is_loopback};
use crate::remote::metrics::End;
use crate::remote::wire::exchange_server::ExchangeServer;
use crate::remote::{Config, Error, Metrics, Served, Trust};

/// The wait after the system had no file descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Without a refusal for that long, the next one is news again.
const CALM: Duration = Duration::from_secs(10);

/// Serves the calls of other processes.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    trust: Trust,
    config: Config,
    metrics: Metrics,
}

impl Server {
    /// Listens. Who connects waits until [`Self::run`].
    ///
    /// # Errors
    /// [`Error::Unguarded`] where others than this machine could call and nothing keeps foreign ones out,
    /// [`Error::Listen`], [`Error::Config`].
    pub async fn bind(
        address: SocketAddr,
        trust: &Trust,
        config: &Config,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        config.validate()?;
        if !trust.guards() && !is_loopback(address) {
            return Err(Error::Unguarded(address));
        }
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, trust: trust.clone(), config: config.clone(), metrics: metrics.clone() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`: then no call begins any more, those under way may end within
    /// [`Config::drain_budget`], and the connections are closed.
    ///
    /// *Cancel safety*: a dropped server closes its connections at once; calls under way are dropped.
    ///
    /// # Errors
    /// [`Error::Panicked`].
    pub async fn run(self, served: Served, stop: CancellationToken) -> Result<(), Error> {
        let exchanges = Exchanges {
            served: Arc::new(served),
            config: self.config.clone(),
            metrics: self.metrics.clone(),
            stop: stop.clone(),
            opened: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let door =
            Arc::new(Door { trust: self.trust, exchanges: exchanges.clone(), refused_at: Mutex::new(None) });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => check(ended)?,
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, from)) if connections.len() < self.config.connections_max.get() => {
                        connections.spawn(Arc::clone(&door).serve(socket, from));
                    }
                    Ok((_, from)) => {
                        self.metrics.refused_as_full();
                        door.say_refused(from, "there are as many connections as may be");
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no connection of another process can be accepted");
                        stop.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                    }
                },
            }
        }
        drop(self.listener);
        exchanges.tasks.close();
        let ends = async {
            while let Some(ended) = connections.join_next().await {
                check(ended)?;
            }
            exchanges.tasks.wait().await;
            Ok(())
        };
        timeout(self.config.drain_budget, ends).await.unwrap_or_else(|_| {
            tracing::warn!(
                "calls of other processes were under way at the end of the drain's budget; they are dropped"
            );
            Ok(())
        })
    }
}

fn check(ended: Result<(), JoinError>) -> Result<(), Error> {
    match ended {
        Err(error) if error.is_panic() => Err(Error::Panicked(error)),
        _ => Ok(()),
    }
}

/// Ends where it is so, and never otherwise.
async fn silent(is_silent: impl Future<Output = bool>) {
    if !is_silent.await {
        std::future::pending::<()>().await;
    }
}

/// What the connections share.
struct Door {
    trust: Trust,
    exchanges: Exchanges,
    refused_at: Mutex<Option<Instant>>,
}

impl Door {
    /// Serves one connection to its end.
    async fn serve(self: Arc<Self>, socket: TcpStream, from: SocketAddr) {
        let Exchanges { config, metrics, stop, .. } = &self.exchanges;
        let accepting = link::accept(socket, &self.trust, config);
        let bytes = match stop.run_until_cancelled(accepting).await {
            None => return,
            Some(Ok(bytes)) => bytes,
            Some(Err(refusal)) => return self.refuse(from, &refusal),
        };
        let _open = metrics.connection(End::Callee);
        let opened = CancellationToken::new();
        let exchanges = Exchanges { opened: opened.clone(), ..self.exchanges.clone() };
        let service =
            ExchangeServer::new(exchanges).max_decoding_message_size(config.message_bytes_max.get());
        let service = service_fn(move |request| service.clone().call(request));
        let mut connection = std::pin::pin!(link::http(config).serve_connection(bytes, service));
        // Pings begin with HTTP: who greets and then says nothing is not noticed by them.
        let idle = async { timeout(config.connect_timeout, opened.cancelled()).await.is_err() };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = silent(idle) => return self.refuse(from, &Refusal::Late(config.connect_timeout)),
        };
        if let Err(error) = ended {
            tracing::debug!(%from, %error, "a connection of another process broke");
        }
    }

    fn refuse(&self, from: SocketAddr, refusal: &Refusal) {
        self.exchanges.metrics.refused(refusal);
        self.say_refused(from, &refusal.to_string());
    }

    /// Says the first of a burst.
    fn say_refused(&self, from: SocketAddr, reason: &str) {
        let now = Instant::now();
        let before = self.refused_at.lock().replace(now);
        if before.is_none_or(|before| now.duration_since(before) > CALM) {
            tracing::warn!(%from, reason, "a connection of another process was refused; more may follow, counted only");
        }
    }
}
