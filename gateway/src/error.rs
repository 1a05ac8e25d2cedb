//! Why a session ends.

use std::borrow::Cow;

use crate::auth::AuthError;
use crate::ws::Violation;

/// The typed cause of a session's end. [`crate::close`] maps each to its close code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The client closed, with this code or none. Its own business.
    #[error("the client closed")]
    ClientClosed(Option<u16>),
    /// The socket ended without a close. The client's network, or its death.
    #[error("the socket ended")]
    SocketEnded,
    /// The client broke RFC 6455.
    #[error("{}", .0.reason)]
    Violation(Violation),
    /// The client sent what is no frame of the protocol, or spoke before its `hello`.
    #[error("{0}")]
    NotProtocol(Cow<'static, str>),
    /// The client's token is missing, bad or over.
    #[error("{0}")]
    Unauthorized(AuthError),
    /// The client sent another user's token.
    #[error("a token of another user")]
    OtherUser,
    /// No `hello` in time.
    #[error("no hello in time")]
    NoHello,
    /// No sign of life.
    #[error("no sign of life")]
    Silent,
    /// A new session of the same user took its place.
    #[error("too many sessions of this user")]
    Evicted,
    /// The token's time is over.
    #[error("the token expired")]
    TokenExpired,
    /// The client went on sending beyond the limit's grace.
    #[error("too many frames")]
    Flooding,
    /// The registry did not answer within the welcome's time. Ours.
    #[error("the session could not be registered")]
    NotRegistered,
    /// No key that is here can judge the token: the JWK Set that may have it is not read yet.
    #[error("no key for the token yet")]
    Undecided,
    /// The gateway leaves.
    #[error("the gateway is draining")]
    Drained,
    /// The session's task ended by a panic. Ours.
    #[error("internal error")]
    Internal,
}

/// Why a gateway stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of its background loops panicked: ours, and not to be retried in this process.
    #[error("a loop of the gateway ended")]
    Loop {
        /// How it ended.
        #[source]
        source: tokio::task::JoinError,
    },
}
