//! One request over HTTP/1.1 and its answer, within a time and a size.
//!
//! Redirects are not followed: they would carry a secret or users' names elsewhere. The environment's proxies are not used.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use crate::error::NoAnswer;

/// How connections are made and kept.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// How long one may take to be made.
    pub connect_timeout: Duration,
    /// How long an idle one is kept.
    pub idle_timeout: Duration,
    /// How many idle ones are kept.
    pub idle_max: usize,
}

/// A client with its connections.
#[derive(Debug)]
pub enum Http {
    /// Without TLS, which needs no certificates of authorities: a bare container may have none.
    Plain(Client<HttpConnector, Full<Bytes>>),
    /// With TLS, by the system's certificates (or those of `SSL_CERT_FILE`).
    Tls(Box<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>),
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its `Retry-After`, where that is a number of seconds.
    pub retry_after_secs: Option<u64>,
    /// Its body, whole.
    pub body: Bytes,
}

impl Http {
    /// A client for that address.
    ///
    /// # Errors
    /// It wants TLS, and the system has no certificates of authorities.
    pub fn new(address: &Uri, connections: Connections) -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connections.connect_timeout));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(connections.idle_timeout)
            .pool_max_idle_per_host(connections.idle_max);
        if address.scheme_str() == Some("http") {
            return Ok(Self::Plain(builder.build(connector)));
        }
        let https = HttpsConnectorBuilder::new().with_native_roots()?;
        Ok(Self::Tls(Box::new(builder.build(https.https_only().enable_http1().wrap_connector(connector)))))
    }

    /// Sends one request and reads its answer of at most `answer_bytes_max` bytes, all within `deadline`.
    ///
    /// *Cancel safety*: a dropped request may have been served; its connection is closed.
    ///
    /// # Errors
    /// [`NoAnswer`]. A status of whatever kind is an answer.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Duration,
        answer_bytes_max: usize,
    ) -> Result<Answer, NoAnswer> {
        let exchange = async {
            let response = self.request(request).await.map_err(|error| {
                if error.is_connect() {
                    NoAnswer::Unreachable(Box::new(error))
                } else {
                    NoAnswer::Broken(Box::new(error))
                }
            })?;
            let (head, body) = response.into_parts();
            let retry_after = head.headers.get(RETRY_AFTER);
            let retry_after_secs = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
            let body = read(body, answer_bytes_max).await?;
            Ok(Answer { status: head.status, retry_after_secs, body })
        };
        timeout(deadline, exchange).await.unwrap_or(Err(NoAnswer::Late))
    }

    fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, NoAnswer> {
    let limited = Limited::new(body, bytes_max).collect().await;
    limited.map(|body| body.to_bytes()).map_err(|error| {
        if error.is::<LengthLimitError>() { NoAnswer::TooLarge } else { NoAnswer::Broken(error) }
    })
}

/// An error with its causes, on one line.
pub(crate) fn with_causes(error: &NoAnswer) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}
