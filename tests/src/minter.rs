//! Tokens made as an application's back end would make them: with the installation's key, and any claims.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::Doorbell;

/// How long its tokens hold: longer than any run here.
const TOKEN_TTL: Duration = Duration::from_secs(3_600);

/// Makes tokens for one `doorbell`.
pub struct Minter {
    kid: String,
    key: EncodingKey,
}

impl Minter {
    /// Reads the key that a running `doorbell` made in its data directory.
    ///
    /// # Errors
    /// Where there is no such file, or it holds no key.
    pub fn of(doorbell: &Doorbell) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(doorbell.data().join("key")).context("the key file")?;
        let set: Value = serde_json::from_str(&text)?;
        let key = &set["keys"][0];
        let kid = key["kid"].as_str().context("a key without an id")?.to_owned();
        let secret = key["k"].as_str().context("a key without a secret")?;
        Ok(Self { kid, key: EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(secret)?) })
    }

    /// A token for a user, with more claims (an object).
    ///
    /// # Errors
    /// Where it cannot be signed, or the claims are no object.
    pub fn token(&self, user: &str, claims: &Value) -> anyhow::Result<String> {
        let mut payload = claims.as_object().context("claims are an object")?.clone();
        #[expect(clippy::disallowed_methods, reason = "a program outside of Doorbell has the system's clock")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        payload.insert("sub".to_owned(), json!(user));
        payload.insert("exp".to_owned(), json!((now + TOKEN_TTL).as_secs()));
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::HS256) };
        Ok(jsonwebtoken::encode(&header, &payload, &self.key)?)
    }
}
