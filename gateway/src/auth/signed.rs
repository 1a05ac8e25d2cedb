//! Signed tokens: a JWT whose key, algorithm, times and names all hold.

use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::frames::{TOKEN_BYTES_MAX, Token};
use doorbell_protocol::{Timestamp, UserId};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};

use super::keys::KeySet;
use super::{AuthError, Authenticator, Claims, Verified};

/// The most that clocks may differ (RFC 8725 and docs/protocol.md): beyond it, set the clocks.
const LEEWAY_MAX: Duration = Duration::from_secs(60);
/// NumericDate beyond this many seconds is no date: 2^53 milliseconds, year 287,396.
const SECONDS_MAX: f64 = 9_007_199_254_740.0;

/// Tokens: what is demanded of them beside a good signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a token is taken beyond its `exp`, and before its `nbf`, at most 60 s. None by default: our own
    /// tokens carry no `nbf`, and a refused one costs a client one fresh token.
    #[serde(with = "humantime_serde")]
    pub token_leeway: Duration,
    /// What a token's `iss` must be, where set.
    pub token_issuer: Option<String>,
    /// What a token's `aud` must be or hold, where set. Where it is not, a token with an `aud` is refused: it was
    /// made for somebody else.
    pub token_audience: Option<String>,
}

/// A setting that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth: `token_leeway` must be at most 60s")]
pub struct InvalidConfig;

impl Config {
    /// Checks the limits of the values.
    ///
    /// # Errors
    /// A leeway beyond 60 s.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        if self.token_leeway > LEEWAY_MAX { Err(InvalidConfig) } else { Ok(()) }
    }
}

/// Checks tokens that the installation's keys have signed.
pub struct SignedTokens {
    keys: Arc<KeySet>,
    leeway: Duration,
    validation: Validation,
}

#[derive(Deserialize)]
struct Payload {
    sub: UserId,
    exp: f64,
    nbf: Option<f64>,
    #[serde(flatten)]
    claims: Claims,
}

impl SignedTokens {
    /// Takes a checked configuration.
    #[must_use]
    pub fn new(keys: Arc<KeySet>, config: &Config) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        let mut required = vec!["exp", "sub"];
        if let Some(issuer) = &config.token_issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &config.token_audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        // The library reads the system's clock; the times are checked here, against `now`.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { keys, leeway: config.token_leeway, validation }
    }

    fn payload(&self, token: &str) -> Option<Payload> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        if !is_understood(&header) {
            return None;
        }
        self.keys
            .candidates(header.kid.as_deref())
            .find_map(|key| jsonwebtoken::decode(token, &key.verifying, &self.validation).ok())
            .map(|token| token.claims)
    }
}

/// Whether the header asks for nothing beyond a plain HS256 signature: `crit` names what must be understood, and
/// nothing is.
fn is_understood(header: &Header) -> bool {
    let is_jwt = header.typ.as_ref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    header.alg == Algorithm::HS256 && header.crit.is_none() && header.cty.is_none() && is_jwt
}

/// A NumericDate, with its fraction where it has one.
fn moment(seconds: f64) -> Option<Timestamp> {
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 to 2^53")]
    Some(Timestamp::from_millis((seconds * 1000.0) as u64))
}

impl Authenticator for SignedTokens {
    fn verify(&self, token: &Token, now: Timestamp) -> Result<Verified, AuthError> {
        let payload = self.payload(&token.0).ok_or(AuthError::Bad)?;
        let expires = moment(payload.exp).ok_or(AuthError::Bad)?.plus(self.leeway);
        if let Some(begins) = payload.nbf
            && moment(begins).is_none_or(|begins| now.plus(self.leeway) < begins)
        {
            return Err(AuthError::Bad);
        }
        if now >= expires {
            return Err(AuthError::Expired);
        }
        let claims = (!payload.claims.is_empty()).then(|| Arc::new(payload.claims));
        Ok(Verified { user: payload.sub, expires, claims })
    }
}

#[cfg(test)]
mod tests;
