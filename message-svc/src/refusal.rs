//! Why a call is refused, and the one mapping of that to the error object that clients see.

use std::time::Duration;

use doorbell_protocol::{ErrorBody, ErrorCode};

use crate::store::StoreError;

/// When a client may come back that was refused for want of room in a queue.
const BUSY_RETRY: Duration = Duration::from_millis(250);
/// When a client may come back while the disk is full or the store is being recovered.
const STORE_RETRY: Duration = Duration::from_secs(2);

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request breaks a rule, or goes beyond a limit: the error object says which.
    #[error("{}", .0.message)]
    Request(ErrorBody),
    /// Absent, or not the caller's.
    #[error("no such conversation")]
    NoConversation,
    /// There is no entry of that version.
    #[error("no such entry")]
    NoMessage,
    /// It breaks a rule about what is stored.
    #[error("{0}")]
    Unfit(&'static str),
    /// The message was deleted.
    #[error("the message was deleted")]
    Deleted,
    /// The key stands for another request.
    #[error("the key was used with other content")]
    KeyConflict,
    /// The caller sees it, and may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Too much in a short time.
    #[error("too many {what}")]
    Throttled {
        /// Of what.
        what: &'static str,
        /// When the next one is let through.
        retry_after: Duration,
    },
    /// Too many writes wait already.
    #[error("too many writes are waiting")]
    Busy,
    /// Too many reads wait already.
    #[error("too many reads are waiting")]
    ReadsWait,
    /// The session registry does not say who is online.
    #[error("nobody can say who is online")]
    NoRegistry,
    /// The service is being stopped.
    #[error("the service is stopping")]
    Stopping,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the service panicked: a bug.
    #[error("a part of the message service panicked")]
    Panicked,
}

impl Refusal {
    /// A request that breaks a rule.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Request(ErrorBody::new(ErrorCode::Invalid, message))
    }

    /// A request that goes beyond a limit in size.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::Request(ErrorBody::new(ErrorCode::TooLarge, message))
    }

    /// What the client sees. It names no file and no user.
    #[must_use]
    pub fn into_body(self) -> ErrorBody {
        let later = |code, message: &str, after: Duration| {
            ErrorBody::retry_after(code, message, u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1))
        };
        match self {
            Self::Request(body) => body,
            Self::NoConversation => ErrorBody::new(
                ErrorCode::NotFound,
                "there is no such conversation, or you are not a member of it",
            ),
            Self::NoMessage => {
                ErrorBody::new(ErrorCode::NotFound, "`of`: there is no such version in this conversation")
            }
            Self::Unfit(message) => ErrorBody::new(ErrorCode::Invalid, message),
            Self::Deleted => {
                ErrorBody::new(ErrorCode::Conflict, "this message was deleted: it takes no edits")
            }
            Self::KeyConflict => ErrorBody::new(
                ErrorCode::Conflict,
                "this key was used before with other content: use a fresh key for each new request",
            ),
            Self::Forbidden(message) => ErrorBody::new(ErrorCode::Forbidden, message),
            Self::Throttled { what, retry_after } => {
                later(ErrorCode::RateLimited, &format!("too many {what} in a short time"), retry_after)
            }
            Self::Busy | Self::ReadsWait => {
                later(ErrorCode::Unavailable, "too many requests are waiting", BUSY_RETRY)
            }
            Self::NoRegistry => {
                later(ErrorCode::Unavailable, "nobody can say who is online for the moment", STORE_RETRY)
            }
            Self::Stopping => later(ErrorCode::Unavailable, "the message service is restarting", STORE_RETRY),
            Self::Store(StoreError::DiskFull { .. }) => {
                later(ErrorCode::Unavailable, "the server's disk is full: nothing was stored", STORE_RETRY)
            }
            Self::Store(StoreError::Write(_) | StoreError::Unsound) => later(
                ErrorCode::Unavailable,
                "the server cannot store anything for the moment; repeat the request with the same key",
                STORE_RETRY,
            ),
            Self::Store(StoreError::Read(_) | StoreError::Damaged { .. }) => {
                ErrorBody::new(ErrorCode::Internal, "the server cannot read what was stored")
            }
            Self::Panicked => ErrorBody::new(ErrorCode::Internal, "the message service failed"),
        }
    }

    /// Whether it follows from what is stored, and so from a commit that may still fail.
    #[must_use]
    pub const fn rests_on_store(&self) -> bool {
        match self {
            Self::NoConversation | Self::KeyConflict | Self::Forbidden(_) => true,
            Self::NoMessage | Self::Unfit(_) | Self::Deleted => true,
            Self::Request(_) | Self::Throttled { .. } | Self::Stopping => false,
            Self::Busy | Self::ReadsWait | Self::NoRegistry => false,
            Self::Store(_) | Self::Panicked => false,
        }
    }

    /// Whether the sender of a signal is told: it will never be allowed as it stands. Everything else passes.
    #[must_use]
    pub const fn is_the_senders(&self) -> bool {
        matches!(self, Self::Request(_) | Self::NoConversation | Self::Forbidden(_))
    }

    /// Whether it is the server's fault, and so belongs into its log.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Panicked | Self::Store(StoreError::Read(_) | StoreError::Damaged { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_when_to_come_back_exactly_where_that_can_help() {
        let full = || StoreError::DiskFull { free_bytes: 1, reserve_bytes: 2 };
        let refusals = [
            Refusal::invalid("x"),
            Refusal::NoConversation,
            Refusal::NoMessage,
            Refusal::Unfit("not so"),
            Refusal::Deleted,
            Refusal::KeyConflict,
            Refusal::Forbidden("not you"),
            Refusal::Throttled { what: "messages", retry_after: Duration::from_micros(1) },
            Refusal::Busy,
            Refusal::ReadsWait,
            Refusal::Stopping,
            Refusal::NoRegistry,
            Refusal::Store(full()),
            Refusal::Store(StoreError::Unsound),
            Refusal::Store(StoreError::Damaged { table: "log" }),
            Refusal::Panicked,
        ];
        for refusal in refusals {
            let body = refusal.into_body();
            let helps = matches!(body.code, ErrorCode::RateLimited | ErrorCode::Unavailable);
            assert_eq!(body.retry_after_ms.is_some_and(|ms| ms > 0), helps, "{body:?}");
        }
    }
}
