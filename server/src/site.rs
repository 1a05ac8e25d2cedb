//! Which path is whose.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use doorbell_backplane::HintQueue;
use doorbell_gateway::Gateway;
use doorbell_gateway::handshake::Handshake;
use doorbell_gateway::http::head::unambiguous;
use doorbell_gateway::http::hints::{HINTS_PATH, HintsDoor};
use doorbell_gateway::http::{CALL_PATH, CallDoor, error_response, json_response, status_of};
use doorbell_gateway::listener::Routes;
use doorbell_protocol::{ErrorBody, ErrorCode};
use http::header::{ALLOW, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::admin::Admin;
use crate::demo::DemoDoor;
use crate::readiness::Stage;
use crate::whereabouts::{self, Whereabouts};
use crate::{openapi, page};

/// A scrape waits for the backplane no longer than that.
const QUEUE_LOOK_MAX: Duration = Duration::from_secs(1);
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Who answers calls here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The message service of the project.
    MessageService,
    /// A back end of the operator's own.
    Upstream,
}

/// All of a process's HTTP. It answers operators from the first moment, and everybody else once it is open.
pub struct Site {
    admin: Admin,
    behind: Behind,
    /// Whether clients are served here: whether this process has a gateway.
    has_clients: bool,
    services: OnceLock<Services>,
    /// Asked how it stands whenever the metrics are read.
    queue: OnceLock<Arc<dyn HintQueue>>,
}

/// What clients reach.
pub struct Services {
    /// Sockets.
    pub gateway: Arc<Gateway>,
    /// From a request to a socket.
    pub handshake: Handshake,
    /// Single calls.
    pub calls: CallDoor,
    /// Hints of other back ends.
    pub hints: HintsDoor,
    /// Tokens for names.
    pub demo: DemoDoor,
    /// Which gateway a client should use.
    pub whereabouts: Whereabouts,
}

impl Site {
    /// Open to operators only.
    pub const fn new(admin: Admin, behind: Behind, has_clients: bool) -> Self {
        Self { admin, behind, has_clients, services: OnceLock::new(), queue: OnceLock::new() }
    }

    /// Whoever reads the metrics learns how this queue stands.
    pub fn watch(&self, queue: Arc<dyn HintQueue>) {
        assert!(self.queue.set(queue).is_ok(), "a process looks at one queue");
    }

    /// Opens to clients.
    pub fn open(&self, services: Services) {
        assert!(self.services.set(services).is_ok(), "a site is opened once");
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        if let Err(error) = unambiguous(&request) {
            return error_response(StatusCode::BAD_REQUEST, &error);
        }
        let path = request.uri().path();
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match path {
            "/healthz" | "/readyz" | "/metrics" | openapi::PATH if !is_read => wrong_method("GET, HEAD"),
            "/healthz" => Admin::live(),
            "/readyz" => self.admin.ready(),
            "/metrics" => {
                self.look_at_queue().await;
                self.admin.metrics().await
            }
            _ if !self.has_clients => refuse(
                ErrorCode::NotFound,
                "this process has no gateway: clients are served by those whose `roles` have it",
            ),
            whereabouts::PATH if !is_read => wrong_method("GET, HEAD"),
            whereabouts::PATH => match self.services.get() {
                Some(services) => services.whereabouts.answer(),
                None => starting(),
            },
            openapi::PATH => json_response(StatusCode::OK, openapi::document(self.behind)),
            "/v1/ws" => self.socket(request, peer),
            "/v1/demo/token" => self.demo(request, peer).await,
            HINTS_PATH => match self.services.get() {
                Some(services) => services.hints.serve(request).await,
                None => starting(),
            },
            _ if path.starts_with(CALL_PATH) => match self.services.get() {
                Some(services) => services.calls.serve(request).await,
                None => starting(),
            },
            _ => match page::file(self.behind, path, request.headers()) {
                Some(_) if !is_read => wrong_method("GET, HEAD"),
                Some(file) => file,
                None => refuse(ErrorCode::NotFound, "nothing is here; the paths are in docs/protocol.md"),
            },
        }
    }

    /// Brings the queue's gauges up to date. A backplane that does not answer leaves them as they were, and its own
    /// counters say so.
    async fn look_at_queue(&self) {
        if let Some(queue) = self.queue.get() {
            let _ = tokio::time::timeout(QUEUE_LOOK_MAX, queue.depth()).await;
        }
    }

    fn socket(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let Some(services) = self.services.get() else { return starting() };
        if self.admin.readiness.stage() >= Stage::Closing {
            return come_back("this gateway is leaving; connect to another one");
        }
        let gateway = Arc::clone(&services.gateway);
        services.handshake.upgrade(request, peer, move |upgraded| gateway.start(upgraded))
    }

    async fn demo(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        match self.services.get() {
            None => starting(),
            Some(services) if !services.demo.is_open() => refuse(
                ErrorCode::NotFound,
                "names give no tokens here: `doorbell token USER` makes one, and `demo` in docs/configuration.md \
                 says when a name is enough",
            ),
            Some(_) if request.method() != Method::POST => wrong_method("POST"),
            Some(services) => services.demo.serve(request, peer).await,
        }
    }
}

#[async_trait]
impl Routes for Site {
    async fn route(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let mut response = self.answer(request, peer).await;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let headers = response.headers_mut();
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(RESOURCE_POLICY, SAME_ORIGIN);
        }
        response
    }
}

fn refuse(code: ErrorCode, message: &str) -> Response<Full<Bytes>> {
    error_response(status_of(code), &ErrorBody::new(code, message))
}

fn starting() -> Response<Full<Bytes>> {
    come_back("this server is starting")
}

fn come_back(message: &str) -> Response<Full<Bytes>> {
    let error = ErrorBody::retry_after(ErrorCode::Unavailable, message, 1_000);
    error_response(StatusCode::SERVICE_UNAVAILABLE, &error)
}

fn wrong_method(allowed: &'static str) -> Response<Full<Bytes>> {
    let error = ErrorBody::new(ErrorCode::Invalid, format!("the methods here are {allowed}"));
    let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, &error);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
