//! Who is calling: bearer tokens, checked before any state is made.
//!
//! Map: [`keys`] the installation's secrets, and tokens made with them; [`public`] keys of who else signs; [`trusted`]
//! all that verify; [`signed`] the check; [`flaw`] what it finds, counted in [`metrics`]; [`claims`] what a token grants, `alike` those of many kept once; [`bearer`] where a request carries its token;
//! [`api_keys`] what other back ends come with; [`config`].

mod alike;
pub mod api_keys;
pub mod bearer;
pub mod claims;
pub mod config;
pub mod flaw;
pub mod keys;
mod metrics;
pub mod public;
pub mod signed;
pub mod trusted;

use std::sync::Arc;

use doorbell_protocol::frames::Token;
use doorbell_protocol::{ErrorBody, ErrorCode, Timestamp, UserId};
use doorbell_rpc::Caller;

pub use api_keys::{ApiKeys, InvalidApiKey};
pub use claims::{Claims, TopicGrants};
pub use config::{Config, InvalidConfig, KeySource};
pub use flaw::Flaw;
pub use keys::{Grants, InvalidKeys, KeySet};
pub use metrics::TokenMetrics;
pub use public::{InvalidPublicKeys, PublicKey, PublicKeys};
pub use signed::SignedTokens;
pub use trusted::TrustedKeys;

/// A token that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its `sub`.
    pub user: UserId,
    /// Its `exp`, and the leeway where one is configured: the session ends then, unless a fresh token comes first.
    pub expires: Timestamp,
    /// What it grants; `None` where that is nothing, as with most, so that their sessions keep nothing.
    pub claims: Option<Arc<Claims>>,
}

impl From<Verified> for Caller {
    fn from(verified: Verified) -> Self {
        let throttle = verified.claims.and_then(|claims| claims.throttle);
        Self { user: verified.user, throttle }
    }
}

/// Why a token does not hold. Clients see one answer for all that say no; [`Flaw`] is what the operator sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthError {
    /// No token where one is needed.
    #[error("no token")]
    Missing,
    /// Not a token, an unknown key, an algorithm other than the key's, a bad signature, or a bad claim.
    #[error("bad token")]
    Bad,
    /// Its time is over.
    #[error("expired token")]
    Expired,
    /// No key that is here can say: it may be of a key that its issuer has published and that is not read yet. The client
    /// may come back unchanged.
    #[error("no key for this token yet")]
    Undecided,
}

impl AuthError {
    /// How long a client waits before it comes back with the same token: a JWK Set that failed is read again that
    /// often.
    const UNDECIDED_RETRY_MS: u64 = 10_000;

    /// What a client is told of [`AuthError::Undecided`].
    pub(crate) fn undecided() -> ErrorBody {
        let message = "no key for this token yet: come back with it later";
        ErrorBody::retry_after(ErrorCode::Unavailable, message, Self::UNDECIDED_RETRY_MS)
    }
}

/// Checks tokens; synchronous, no I/O.
pub trait Authenticator: Send + Sync {
    /// Checks one token at a moment.
    ///
    /// # Errors
    /// [`AuthError`]; the caller answers the same for each that says no.
    fn verify(&self, token: &Token, now: Timestamp) -> Result<Verified, AuthError>;
}
