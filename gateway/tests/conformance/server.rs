//! A gateway on a free port, all parts real but the message service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use doorbell_backplane::Memory;
use doorbell_gateway::auth::{self, KeySet, SignedTokens};
use doorbell_gateway::handshake::Handshake;
use doorbell_gateway::handshake::origin::Origins;
use doorbell_gateway::http::{CALL_PATH, CallDoor, CallRates, error_response};
use doorbell_gateway::listener::{self, Listener, Routes};
use doorbell_gateway::socket::Transport;
use doorbell_gateway::uptime::{Moment, Uptime};
use doorbell_gateway::{Config, Gateway, GatewayParts, Metrics};
use doorbell_protocol::{Clock, ErrorBody, ErrorCode, GatewayId, Payload, Timestamp, UserId};
use doorbell_rpc::{CallRequest, Messages};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::neighbours::{Ears, Members};

/// The wall clock of all tests, in milliseconds.
const NOW: u64 = 2_000_000_000_000;

/// A running gateway; dropped, it stops.
pub struct Server {
    pub address: SocketAddr,
    /// A token of the user `ada`, for an hour.
    pub token: String,
    uptime: Arc<AtomicU64>,
    _stop: DropGuard,
}

struct Door {
    gateway: Arc<Gateway>,
    handshake: Handshake,
    calls: CallDoor,
}

/// Answers every call with the name of its method.
struct Echo;

#[async_trait]
impl Messages for Echo {
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        Ok(Payload::encode(request.params.encoding(), &serde_json::json!({ "method": request.method })))
    }
}

#[async_trait]
impl Routes for Door {
    async fn route(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/v1/ws" => {
                let gateway = Arc::clone(&self.gateway);
                self.handshake.upgrade(request, peer, move |upgraded| gateway.start(upgraded))
            }
            path if path.starts_with(CALL_PATH) => self.calls.serve(request).await,
            _ => {
                let error = ErrorBody::new(ErrorCode::NotFound, "nothing is here");
                error_response(StatusCode::NOT_FOUND, &error)
            }
        }
    }
}

impl Server {
    /// Starts one with the defaults.
    pub fn start() -> Self {
        Self::with(Config::default(), listener::Config::default())
    }

    /// Starts one.
    pub fn with(config: Config, listener_config: listener::Config) -> Self {
        let registry = prometheus::Registry::new();
        let clock: Clock = Arc::new(|| Timestamp::from_millis(NOW));
        let keys = Arc::new(KeySet::generate());
        let user = UserId::new("ada").expect("a good name");
        let token = keys.issue(&user, Duration::from_secs(3600), clock()).0;
        let authenticator = Arc::new(SignedTokens::new(keys, &auth::Config::default()));
        let metrics = listener::Metrics::register(&registry).expect("registered once");
        let uptime = Arc::new(AtomicU64::new(0));
        let hands = Arc::clone(&uptime);
        let body = doorbell_gateway::http::BodyLimits {
            bytes_max: config.message_bytes_max.get(),
            timeout: listener_config.body_timeout,
        };
        let calls = CallDoor {
            messages: Arc::new(Echo),
            authenticator: authenticator.clone(),
            api_keys: Arc::default(),
            clock: clock.clone(),
            rates: CallRates::new(
                &config,
                Uptime::start(),
                doorbell_gateway::http::Metrics::register(&prometheus::Registry::new())
                    .expect("a fresh registry"),
            ),
            body,
            call_timeout: config.call_timeout,
        };
        let handshake = Handshake {
            origins: Origins::new(listener_config.origins.clone(), Transport::Plain),
            authenticator: authenticator.clone(),
            clock: clock.clone(),
            upgrades: TaskTracker::new(),
            metrics: metrics.clone(),
        };
        let backplane = doorbell_backplane::Config::default();
        let memory = Arc::new(Memory::new(&backplane, clock.clone()));
        let parts = GatewayParts {
            id: GatewayId::new("gw-1").expect("a good name"),
            config,
            registry: Arc::clone(&memory) as _,
            queue: memory,
            messages: Arc::new(Echo),
            audiences: Arc::<Members>::default(),
            signals: Arc::new(doorbell_rpc::NoSignals),
            presence: Arc::<Members>::default(),
            channels: Arc::<Ears>::default(),
            versions: Arc::new(Memory::new(&backplane, clock.clone())),
            authenticator,
            clock,
            metrics: Metrics::register(&registry).expect("registered once"),
        };
        let gateway = Gateway::with_uptime(
            parts,
            Uptime::from_fn(move || Moment::from_micros(hands.load(Ordering::SeqCst))),
        );
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, listener_config, metrics).expect("a free port");
        let (address, stop, tasks) = (listener.local_addr(), CancellationToken::new(), TaskTracker::new());
        tasks.spawn(Arc::clone(&gateway).run(stop.clone()));
        tasks.spawn(listener.run(stop.clone(), Arc::new(Door { gateway, handshake, calls })));
        Self { address, token, uptime, _stop: stop.drop_guard() }
    }

    /// Moves the gateway's own clock.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).expect("a short while");
        self.uptime.fetch_add(micros, Ordering::SeqCst);
    }
}
