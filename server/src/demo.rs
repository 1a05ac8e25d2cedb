//! `POST /v1/demo/token`: a token for a name, where that is allowed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorbell_gateway::auth::{Grants, KeySet};
use doorbell_gateway::http::{BodyLimits, error_response, json_response, read_body, status_of};
use doorbell_gateway::socket::Transport;
use doorbell_protocol::{Clock, ErrorBody, ErrorCode, UserId};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Demo};

/// How long a demo's token holds.
const TTL: Duration = Duration::from_secs(3_600);
/// A name of 128 bytes, each escaped as six.
const BODY_BYTES_MAX: usize = 2_048;

/// Who gets a token for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Whoever reaches the listener; a page only from this server.
    Anybody,
    /// Programs and pages on this machine. `port` is the listener's.
    ThisMachine {
        /// Part of the address that a page must have come from.
        port: u16,
    },
    /// Nobody.
    Nobody,
}

impl Admission {
    /// What the configuration says, for a process that does everything and listens there.
    pub fn new(config: &Config, listening: SocketAddr) -> Self {
        match config.demo {
            Demo::On => Self::Anybody,
            Demo::Auto if config.roles.is_all() && !config.is_cluster() && listening.ip().is_loopback() => {
                Self::ThisMachine { port: listening.port() }
            }
            Demo::Auto | Demo::Off => Self::Nobody,
        }
    }

    /// Whether this request may have a token. A page of another site is refused always: a browser sends its origin.
    /// On this machine the name in `Host` counts too, because a foreign name can be made to point here.
    fn admits(self, headers: &HeaderMap, peer: SocketAddr, transport: Transport) -> bool {
        let text =
            |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or_default());
        let Some(host) = text(HOST) else { return false };
        let is_same_origin = text(ORIGIN).is_none_or(|origin| {
            origin.split_once("://").is_some_and(|(scheme, from)| transport.serves(scheme) && from == host)
        });
        let is_here = match self {
            Self::Nobody => false,
            Self::Anybody => true,
            Self::ThisMachine { port } => {
                let names = ["localhost", "127.0.0.1", "[::1]"];
                let is_own_name = names.iter().any(|name| host == format!("{name}:{port}"));
                peer.ip().to_canonical().is_loopback() && is_own_name
            }
        };
        is_here && is_same_origin
    }
}

/// Gives out the tokens.
pub struct DemoDoor {
    /// To whom.
    pub admission: Admission,
    /// How pages of this server come.
    pub transport: Transport,
    /// What signs them.
    pub keys: Arc<KeySet>,
    /// What a token must say beside its user.
    pub auth: doorbell_gateway::auth::Config,
    /// The wall clock.
    pub clock: Clock,
    /// How long a body may take.
    pub body_timeout: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    user: String,
}

#[derive(Serialize)]
struct Given<'a> {
    user: &'a UserId,
    token: &'a str,
    expires_at_ms: u64,
}

impl DemoDoor {
    /// Whether there is a demo at all.
    pub fn is_open(&self) -> bool {
        self.admission != Admission::Nobody
    }

    /// Answers a POST.
    pub async fn serve<B>(&self, request: Request<B>, peer: SocketAddr) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send,
    {
        if !self.admission.admits(request.headers(), peer, self.transport) {
            tracing::info!(%peer, "a demo token was refused");
            let error = ErrorBody::new(
                ErrorCode::Forbidden,
                "a name gives a token only to programs and pages on the server's own machine, by the address that \
                 the server printed",
            );
            return error_response(StatusCode::FORBIDDEN, &error);
        }
        let limits = BodyLimits { bytes_max: BODY_BYTES_MAX, timeout: self.body_timeout };
        match read_body(request, limits).await.and_then(|body| user(&body)) {
            Ok(user) => self.give(&user),
            Err(error) => error_response(status_of(error.code), &error),
        }
    }

    fn give(&self, user: &UserId) -> Response<Full<Bytes>> {
        let now = (self.clock)();
        let token = self.keys.issue_for(&self.auth, user, &Grants::default(), (TTL, now));
        // As in the token: whole seconds, rounded up.
        let expires_at_ms = now.plus(TTL).as_millis().div_ceil(1_000) * 1_000;
        let given = Given { user, token: &token.0, expires_at_ms };
        json_response(
            StatusCode::OK,
            serde_json::to_vec(&given).expect("text and numbers always encode").into(),
        )
    }
}

fn user(body: &[u8]) -> Result<UserId, ErrorBody> {
    let invalid = |message: String| ErrorBody::new(ErrorCode::Invalid, message);
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|_| invalid("expected an object with the one field `user`, a text".to_owned()))?;
    UserId::new(asked.user).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const HERE: Admission = Admission::ThisMachine { port: 8080 };

    fn admits(admission: Admission, peer: &str, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        admission.admits(&headers, peer.parse().unwrap(), Transport::Plain)
    }

    #[test]
    fn this_machine_gets_tokens_by_its_own_names() {
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert!(admits(HERE, "127.0.0.1:5", host, None), "{host}");
            assert!(admits(HERE, "[::1]:5", host, Some(&format!("http://{host}"))), "{host}");
        }
        assert!(admits(HERE, "[::ffff:127.0.0.1]:5", "localhost:8080", None));
    }

    #[test]
    fn foreign_names_pages_ports_and_machines_get_none() {
        for (peer, host, origin) in [
            ("192.0.2.7:5", "127.0.0.1:8080", None),
            ("127.0.0.1:5", "evil.example:8080", None),
            ("127.0.0.1:5", "127.0.0.1", None),
            ("127.0.0.1:5", "127.0.0.1:8081", None),
            ("127.0.0.1:5", "127.0.0.1:8080", Some("http://evil.example")),
            ("127.0.0.1:5", "127.0.0.1:8080", Some("http://localhost:8080")),
            ("127.0.0.1:5", "127.0.0.1:8080", Some("null")),
            ("127.0.0.1:5", "evil.example:8080", Some("http://evil.example:8080")),
        ] {
            assert!(!admits(HERE, peer, host, origin), "{peer} {host} {origin:?}");
        }
    }

    #[test]
    fn anybody_still_excludes_pages_of_other_sites_and_nobody_is_nobody() {
        assert!(admits(Admission::Anybody, "192.0.2.7:5", "chat.example", None));
        assert!(admits(Admission::Anybody, "192.0.2.7:5", "chat.example", Some("https://chat.example")));
        assert!(!admits(Admission::Anybody, "192.0.2.7:5", "chat.example", Some("https://evil.example")));
        assert!(!admits(Admission::Nobody, "127.0.0.1:5", "localhost:8080", None));
    }

    #[test]
    fn with_tls_a_page_in_plain_gets_none() {
        for (origin, admitted) in [("https://localhost:8080", true), ("http://localhost:8080", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost:8080"));
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(
                HERE.admits(&headers, "127.0.0.1:5".parse().unwrap(), Transport::Tls),
                admitted,
                "{origin}"
            );
        }
    }

    #[test]
    fn auto_is_this_machine_on_loopback_and_nobody_elsewhere() {
        let on = |demo, address: &str| {
            let config = Config { demo, ..Config::default() };
            Admission::new(&config, address.parse().unwrap())
        };
        assert_eq!(on(Demo::Auto, "127.0.0.1:8080"), HERE);
        assert_eq!(on(Demo::Auto, "[::1]:8080"), HERE);
        assert_eq!(on(Demo::Auto, "0.0.0.0:8080"), Admission::Nobody);
        assert_eq!(on(Demo::Off, "127.0.0.1:8080"), Admission::Nobody);
        assert_eq!(on(Demo::On, "0.0.0.0:8080"), Admission::Anybody);
    }

    #[test]
    fn a_name_is_checked_and_never_repeated() {
        assert_eq!(user(br#"{"user":"ada"}"#).unwrap().as_str(), "ada");
        for bad in [&b""[..], b"[]", br#"{"user":""}"#, br#"{"user":"a\u0000"}"#, br#"{"user":1}"#, b"\xff"] {
            assert_eq!(user(bad).unwrap_err().code, ErrorCode::Invalid);
        }
    }
}
