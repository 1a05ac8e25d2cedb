//! Pull and act: what a client calls, passed on by a gateway.

use std::num::NonZeroU32;

use async_trait::async_trait;
use doorbell_protocol::{ErrorBody, Payload, UserId};

/// Who calls: what the message service needs of a token that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// Messages that the user may send in one period of the throttle, where the token names a number of its own.
    pub throttle: Option<NonZeroU32>,
}

impl From<UserId> for Caller {
    /// A user as most are, with the configured throttle.
    fn from(user: UserId) -> Self {
        Self { user, throttle: None }
    }
}

/// One call of one user, whose token has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls.
    pub caller: Caller,
    /// For example `messages.send`; any text of at most 64 bytes.
    pub method: String,
    /// An object in the caller's encoding; the result comes in the same one.
    pub params: Payload,
}

/// What message-svc serves, and what an upstream of the operator's own serves in its place.
#[async_trait]
pub trait Messages: Send + Sync {
    /// Answers one call, with a result in the encoding of its parameters.
    ///
    /// *Ordering*: calls whose futures are first polled in an order, and that touch one conversation, take effect
    /// in that order.
    /// *Cancel safety*: a dropped call may still take effect; its idempotency key makes the repeat harmless.
    ///
    /// # Errors
    /// The error object for the client, as it stands.
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody>;
}
