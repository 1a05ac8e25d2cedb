//! What is wrong with a token: for the operator's metrics and log. Clients are not told.

use jsonwebtoken::errors::ErrorKind;

use super::AuthError;

/// The check that a token did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// No JWT of at most the limit's bytes, or one with a header that asks for more than a signature.
    Malformed,
    /// No key here has its `kid` and its `alg`.
    UnknownKey,
    /// As [`Flaw::UnknownKey`], while the JWK Set may have a key that is not read yet.
    UndecidedKey,
    /// No key that it may be of has signed it.
    Signature,
    /// Its `iss` is not `auth.token_issuer`.
    Issuer,
    /// Its `aud` does not name `auth.token_audience`.
    Audience,
    /// A claim is missing or not of its kind: `sub`, `exp`, `nbf`, `topics`, `throttle` or `device`.
    Claims,
    /// Its `nbf` is still to come.
    Early,
    /// Its `exp` has passed.
    Expired,
}

impl Flaw {
    pub(super) const ALL: [Self; 9] = [
        Self::Malformed,
        Self::UnknownKey,
        Self::UndecidedKey,
        Self::Signature,
        Self::Issuer,
        Self::Audience,
        Self::Claims,
        Self::Early,
        Self::Expired,
    ];

    /// The word for it in metrics and in the log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::UndecidedKey => "undecided_key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
            Self::Early => "early",
            Self::Expired => "expired",
        }
    }

    /// What a key that fits, and took the token's algorithm, says against it.
    pub(super) fn found_by(error: &jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature | ErrorKind::Provider(_) => Self::Signature,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => Self::Issuer,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Self::Audience,
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
                Self::Claims
            }
            _ => Self::Malformed,
        }
    }
}

impl From<Flaw> for AuthError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Expired => Self::Expired,
            Flaw::UndecidedKey => Self::Undecided,
            _ => Self::Bad,
        }
    }
}
