//! Why Redis did not do what it was asked, and what helps.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::Error;

/// A call that was not answered as it should be.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The connection is of no use any more: another one may answer.
    Connection(String),
    /// The server refuses for now, or is not the one to ask; another connection may reach the right one.
    NotHere(String),
    /// The server refuses for now.
    Refused(String),
    /// The server does not know the script.
    NoScript,
    /// A script met something that it cannot read.
    Unreadable(String),
}

impl Failure {
    /// What a server or a connection says.
    pub(super) fn of(error: &RedisError) -> Self {
        let said = error.to_string();
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::NoScript,
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask,
            ) => Self::NotHere(said),
            ErrorKind::Server(ServerErrorKind::ResponseError) => Self::Unreadable(said),
            ErrorKind::Server(_) => Self::Refused(said),
            ErrorKind::Extension if error.code() == Some("WRONGTYPE") => Self::Unreadable(said),
            ErrorKind::Extension => Self::Refused(said),
            // Anything else is of this side: no connection, or one that lost its place. It is never used again, or
            // answers would reach other questions.
            _ => Self::Connection(said),
        }
    }

    /// No answer in time.
    pub(super) fn late(after: Duration) -> Self {
        Self::Connection(format!("no answer from Redis within {after:?}"))
    }

    /// What the server or the connection said.
    pub(super) fn reason(self) -> String {
        match self {
            Self::Connection(said) | Self::NotHere(said) | Self::Refused(said) | Self::Unreadable(said) => {
                said
            }
            Self::NoScript => "Redis forgets scripts at once".to_owned(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Unavailable { reason: failure.reason() }
    }
}
