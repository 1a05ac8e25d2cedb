//! Signed tokens: a JWT whose key, algorithm, times and names all hold.

use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::frames::{TOKEN_BYTES_MAX, Token};
use doorbell_protocol::{Timestamp, UserId};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::Deserialize;

use super::keys::KeySet;
use super::trusted::TrustedKeys;
use super::{AuthError, Authenticator, Claims, Config, Verified};

/// NumericDate beyond this many seconds is no date: 2^53 milliseconds, year 287,396.
const SECONDS_MAX: f64 = 9_007_199_254_740.0;

/// Keys tried for a token that names none, so that nobody makes us check many signatures with one token.
const CANDIDATES_MAX: usize = 8;
/// Every algorithm that a key here can have.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Checks tokens that a trusted key has signed.
pub struct SignedTokens {
    keys: Arc<TrustedKeys>,
    leeway: Duration,
    /// One for each of [`ALGORITHMS`], in their order: each takes its own algorithm only.
    validations: [Validation; ALGORITHMS.len()],
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
    /// Trusts the installation's own keys only. Takes a checked configuration.
    #[must_use]
    pub fn new(keys: Arc<KeySet>, config: &Config) -> Self {
        Self::trusting(Arc::new(TrustedKeys::new(keys, Vec::new())), config)
    }

    /// Trusts all of these keys. Takes a checked configuration.
    #[must_use]
    pub fn trusting(keys: Arc<TrustedKeys>, config: &Config) -> Self {
        let validations = ALGORITHMS.map(|algorithm| validation(algorithm, config));
        Self { keys, leeway: config.token_leeway, validations }
    }

    fn payload(&self, token: &str) -> Option<Payload> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        if !is_understood(&header) {
            return None;
        }
        self.keys.find_map(header.kid.as_deref(), CANDIDATES_MAX, |algorithm, key| {
            let place = ALGORITHMS.iter().position(|one| *one == algorithm)?;
            // The key's own algorithm: what the token says must be the same, and chooses nothing.
            jsonwebtoken::decode(token, key, &self.validations[place]).ok().map(|token| token.claims)
        })
    }
}

fn validation(algorithm: Algorithm, config: &Config) -> Validation {
    let mut validation = Validation::new(algorithm);
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
    validation
}

/// Whether the header asks for nothing beyond a plain signature: `crit` names what must be understood, and
/// nothing is.
fn is_understood(header: &Header) -> bool {
    let is_jwt = header.typ.as_ref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    ALGORITHMS.contains(&header.alg) && header.crit.is_none() && header.cty.is_none() && is_jwt
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
