//! Signed tokens: a JWT whose key, algorithm, times and names all hold.

use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::frames::{TOKEN_BYTES_MAX, Token};
use doorbell_protocol::{Timestamp, UserId};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::Deserialize;

use super::alike::Alike;
use super::keys::KeySet;
use super::trusted::TrustedKeys;
use super::{AuthError, Authenticator, Claims, Config, Flaw, TokenMetrics, Verified};

/// NumericDate beyond this many seconds is no date: 2^53 milliseconds, year 287,396.
const SECONDS_MAX: f64 = 9_007_199_254_740.0;

/// Keys tried for a token that names none, so that nobody makes us check many signatures with one token.
const CANDIDATES_MAX: usize = 8;
/// Every algorithm that a key here can have.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// What `typ` may be.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

/// Checks tokens that a trusted key has signed.
pub struct SignedTokens {
    keys: Arc<TrustedKeys>,
    leeway: Duration,
    /// One for each of [`ALGORITHMS`], in their order: each takes its own algorithm only.
    validations: [Validation; ALGORITHMS.len()],
    metrics: Option<TokenMetrics>,
    alike: Alike,
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
        Self { keys, leeway: config.token_leeway, validations, metrics: None, alike: Alike::default() }
    }

    /// Counts the tokens that do not hold.
    #[must_use]
    pub fn counted_by(self, metrics: TokenMetrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    fn judge(&self, token: &str, now: Timestamp) -> Result<Verified, Flaw> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Flaw::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Flaw::Malformed)?;
        if !is_understood(&header) {
            return Err(Flaw::Malformed);
        }
        let payload = self.keys.judge(&header, CANDIDATES_MAX, |algorithm, key| {
            let place = ALGORITHMS.iter().position(|one| *one == algorithm).ok_or(Flaw::UnknownKey)?;
            // The key's own algorithm: what the token says must be the same, and chooses nothing.
            let decoded = jsonwebtoken::decode::<Payload>(token, key, &self.validations[place]);
            decoded.map(|token| token.claims).map_err(|error| Flaw::found_by(&error))
        });
        match payload {
            // Nothing that such a token says is believed, but that it is over: its client needs another one anyway.
            Err(Flaw::UndecidedKey) if self.says_expired(token, now) => Err(Flaw::Expired),
            Err(flaw) => Err(flaw),
            Ok(payload) => self.verified(payload, now),
        }
    }

    fn verified(&self, payload: Payload, now: Timestamp) -> Result<Verified, Flaw> {
        let expires = moment(payload.exp).ok_or(Flaw::Claims)?.plus(self.leeway);
        if let Some(begins) = payload.nbf {
            let begins = moment(begins).ok_or(Flaw::Claims)?;
            if now.plus(self.leeway) < begins {
                return Err(Flaw::Early);
            }
        }
        if now >= expires {
            return Err(Flaw::Expired);
        }
        Ok(Verified { user: payload.sub, expires, claims: self.alike.kept(payload.claims) })
    }

    fn says_expired(&self, token: &str, now: Timestamp) -> bool {
        let payload = jsonwebtoken::dangerous::insecure_decode_claims::<Payload>(token).ok();
        let expires = payload.and_then(|payload| moment(payload.exp));
        expires.is_some_and(|expires| now >= expires.plus(self.leeway))
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
/// nothing is. Access tokens have a type of their own (RFC 9068, 2.1), whose name may stand there whole.
fn is_understood(header: &Header) -> bool {
    let is_taken = |typ: &String| TYPES.iter().any(|taken| typ.eq_ignore_ascii_case(taken));
    let typ_is_taken = header.typ.as_ref().is_none_or(is_taken);
    ALGORITHMS.contains(&header.alg) && header.crit.is_none() && header.cty.is_none() && typ_is_taken
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
        self.judge(&token.0, now).map_err(|flaw| {
            if tracing::enabled!(tracing::Level::DEBUG) {
                let header = jsonwebtoken::decode_header(&token.0).ok();
                let kid = header.as_ref().and_then(|header| header.kid.as_deref());
                let algorithm = header.as_ref().map(|header| header.alg);
                tracing::debug!(cause = flaw.label(), ?kid, ?algorithm, "a token does not hold");
            }
            if let Some(metrics) = &self.metrics {
                metrics.refused(flaw);
            }
            flaw.into()
        })
    }
}

#[cfg(test)]
mod tests;
