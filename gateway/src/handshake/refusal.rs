//! Why an upgrade is refused, as an HTTP answer with an error object.

use bytes::Bytes;
use doorbell_protocol::{ErrorBody, ErrorCode};
use http::header::{ALLOW, CONNECTION, HeaderName, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::auth::AuthError;
use crate::http::{challenge, error_response};

const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");

/// The first check that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Another method than GET.
    Method,
    /// Another version than HTTP/1.1.
    HttpVersion,
    /// The request announces a body.
    Body,
    /// Not exactly one valid `Host`, or one that the target contradicts.
    Host,
    /// No `Upgrade: websocket` with `Connection: Upgrade`.
    NotAnUpgrade,
    /// `Upgrade` or `Sec-WebSocket-Key` stands there twice.
    Repeated,
    /// Another WebSocket version than 13.
    WebSocketVersion,
    /// The key is not 16 bytes in base64.
    Key,
    /// Sub-protocols were offered, none of them ours.
    Subprotocol,
    /// A page that may not.
    Origin,
    /// The token that came with the request does not hold.
    Token(AuthError),
}

impl Refusal {
    /// One of each kind.
    pub(crate) const ALL: [Self; 11] = [
        Self::Method,
        Self::HttpVersion,
        Self::Body,
        Self::Host,
        Self::NotAnUpgrade,
        Self::Repeated,
        Self::WebSocketVersion,
        Self::Key,
        Self::Subprotocol,
        Self::Origin,
        Self::Token(AuthError::Missing),
    ];

    /// For metrics: a word for each.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::HttpVersion => "http_version",
            Self::Body => "body",
            Self::Host => "host",
            Self::NotAnUpgrade => "not_an_upgrade",
            Self::Repeated => "repeated",
            Self::WebSocketVersion => "websocket_version",
            Self::Key => "key",
            Self::Subprotocol => "subprotocol",
            Self::Origin => "origin",
            Self::Token(_) => "token",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Body | Self::Host | Self::Repeated | Self::Key | Self::Subprotocol => {
                StatusCode::BAD_REQUEST
            }
            Self::NotAnUpgrade | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Token(AuthError::Undecided) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Token(_) => StatusCode::UNAUTHORIZED,
        }
    }

    fn error(self) -> ErrorBody {
        if self == Self::Token(AuthError::Undecided) {
            return AuthError::undecided();
        }
        let (code, message) = match self {
            Self::Method => (ErrorCode::Invalid, "a WebSocket begins with GET"),
            Self::HttpVersion => (ErrorCode::Invalid, "a WebSocket needs HTTP/1.1"),
            Self::Body => {
                (ErrorCode::Invalid, "an upgrade has no body: no Content-Length, no Transfer-Encoding")
            }
            Self::Host => {
                (ErrorCode::Invalid, "exactly one valid Host header is needed, the same as in the target")
            }
            Self::NotAnUpgrade => (
                ErrorCode::Invalid,
                "this address speaks WebSocket: send Upgrade: websocket and Connection: Upgrade",
            ),
            Self::Repeated => (ErrorCode::Invalid, "Upgrade and Sec-WebSocket-Key must stand there once"),
            Self::WebSocketVersion => (ErrorCode::Invalid, "Sec-WebSocket-Version must be 13"),
            Self::Key => (ErrorCode::Invalid, "Sec-WebSocket-Key must be 16 bytes in base64"),
            Self::Subprotocol => (
                ErrorCode::Unsupported,
                "no sub-protocol of these is spoken here: offer doorbell.v1.json or doorbell.v1.msgpack, or none",
            ),
            Self::Origin => (
                ErrorCode::Forbidden,
                "pages of this origin may not connect: the operator allows an origin by adding it to `origins`",
            ),
            Self::Token(_) => (ErrorCode::Unauthorized, "the token does not hold: ask for a fresh one"),
        };
        ErrorBody::new(code, message)
    }

    /// The answer to send.
    #[must_use]
    pub fn response(self) -> Response<Full<Bytes>> {
        let mut response = error_response(self.status(), &self.error());
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::NotAnUpgrade | Self::WebSocketVersion => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(VERSION, HeaderValue::from_static("13"));
            }
            Self::Token(error) if error != AuthError::Undecided => challenge(headers),
            Self::Token(_)
            | Self::HttpVersion
            | Self::Body
            | Self::Host
            | Self::Repeated
            | Self::Key
            | Self::Subprotocol
            | Self::Origin => {}
        }
        response
    }
}
