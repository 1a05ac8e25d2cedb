//! The installation's secrets: a JWK Set (RFC 7517) that its gateways share. `server` reads and writes the file.
//!
//! `{"keys":[{"kty":"oct","alg":"HS256","kid":"…","k":"base64url"}]}`: each key has one algorithm, fixed. The first
//! key signs; all of them verify, so a key is replaced by putting the new one in front and taking the old one out
//! when its last token has expired.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_protocol::frames::Token;
use doorbell_protocol::{DeviceId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use rand::TryRngCore;
use serde::{Deserialize, Serialize};

use super::Config;

/// Shortest secret: as long as HS256's digest (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;
/// Longest key id.
pub(super) const KID_BYTES_MAX: usize = 128;

/// The keys that sign and verify tokens. Its `Debug` shows their ids only.
pub struct KeySet {
    /// At least one; the first signs.
    keys: Vec<Key>,
}

/// One secret with its algorithm, HS256.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) verifying: DecodingKey,
    signing: EncodingKey,
    secret: Vec<u8>,
}

/// Why a key file is refused. It never repeats a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// Not JSON, or not of a JWK Set's shape.
    #[error(
        "the key file is no JWK Set (line {line}, column {column}): expected \
         {{\"keys\":[{{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"…\",\"k\":\"…\"}}]}}"
    )]
    Shape {
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// A set without keys would refuse everybody.
    #[error("the key file holds no key: add one, or delete the file and a new one is made")]
    Empty,
    /// One key breaks a rule.
    #[error("key {number} of the key file: {rule}")]
    Key {
        /// Which, counted from 1.
        number: usize,
        /// The rule, as "… must …".
        rule: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// What of a JWK matters here; other members are ignored, as RFC 7517 wants.
#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    k: Option<String>,
}

#[derive(Serialize)]
struct Issued<'a> {
    sub: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iat: u64,
    exp: u64,
    #[serde(flatten)]
    grants: &'a Grants,
}

/// What a token of ours says beside its user and its times (docs/protocol.md, "Tokens").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// Topics, and prefixes with `*`, that its user may subscribe to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Messages in one period of the throttle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<NonZeroU32>,
    /// The session's device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
}

impl KeySet {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`InvalidKeys`] names the key and the rule it breaks. A set with one bad key is refused whole: a gateway
    /// must not start with fewer keys than its operator gave it.
    pub fn parse(json: &str) -> Result<Self, InvalidKeys> {
        let set: JwkSet = serde_json::from_str(json)
            .map_err(|error| InvalidKeys::Shape { line: error.line(), column: error.column() })?;
        let mut keys: Vec<Key> = Vec::with_capacity(set.keys.len());
        for (index, jwk) in set.keys.into_iter().enumerate() {
            let number = index + 1;
            let key = Key::read(jwk).map_err(|rule| InvalidKeys::Key { number, rule })?;
            if keys.iter().any(|other| other.kid == key.kid) {
                return Err(InvalidKeys::Key {
                    number,
                    rule: "`kid` must differ from those of the other keys",
                });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(InvalidKeys::Empty);
        }
        Ok(Self { keys })
    }

    /// Makes a set of one fresh key, from the system's random source.
    ///
    /// # Panics
    /// Where the system has no random source: nothing can be secret then.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0; SECRET_BYTES_MIN + 8];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes).expect("the system has a random source");
        let (secret, id) = bytes.split_at(SECRET_BYTES_MIN);
        Self { keys: vec![Key::new(Some(URL_SAFE_NO_PAD.encode(id)), secret.to_vec())] }
    }

    /// The set as a key file, secrets included.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys = self.keys.iter().map(Key::write).collect();
        let mut json = serde_json::to_string_pretty(&JwkSet { keys }).expect("text fields always encode");
        json.push('\n');
        json
    }

    /// Makes a token for `user` that holds from `now` for `ttl`, rounded up to a whole second.
    #[must_use]
    pub fn issue(&self, user: &UserId, ttl: Duration, now: Timestamp) -> Token {
        self.issue_for(&Config::default(), user, &Grants::default(), (ttl, now))
    }

    /// As [`KeySet::issue`], with the `iss` and `aud` that a gateway of this configuration demands, and with grants.
    #[must_use]
    pub fn issue_for(
        &self,
        config: &Config,
        user: &UserId,
        grants: &Grants,
        (ttl, now): (Duration, Timestamp),
    ) -> Token {
        let key = self.keys.first().expect("a set has a key");
        let mut header = Header::new(Algorithm::HS256);
        header.kid.clone_from(&key.kid);
        let exp = now.plus(ttl).as_millis().div_ceil(1000);
        let (iss, aud) = (config.token_issuer.as_deref(), config.token_audience.as_deref());
        let claims = Issued { sub: user, iss, aud, iat: now.as_millis() / 1000, exp, grants };
        Token(jsonwebtoken::encode(&header, &claims, &key.signing).expect("HMAC signs any claims"))
    }

    /// The keys that may have signed a token: the one it names, or all where it names none.
    pub(super) fn candidates<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| kid.is_none() || key.kid.as_deref() == kid)
    }
}

impl Key {
    fn new(kid: Option<String>, secret: Vec<u8>) -> Self {
        install_provider();
        let (verifying, signing) = (DecodingKey::from_secret(&secret), EncodingKey::from_secret(&secret));
        Self { kid, verifying, signing, secret }
    }

    fn read(jwk: Jwk) -> Result<Self, &'static str> {
        if jwk.kty != "oct" {
            return Err("`kty` must be \"oct\"");
        }
        if jwk.alg.as_deref() != Some("HS256") {
            return Err("`alg` must be \"HS256\"");
        }
        if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
            return Err("`use` must be \"sig\"");
        }
        if jwk.kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
            return Err("`kid` must be 1 to 128 bytes");
        }
        let secret = jwk.k.and_then(|k| URL_SAFE_NO_PAD.decode(k).ok());
        let secret = secret.ok_or("`k` must be base64url without padding")?;
        if secret.len() < SECRET_BYTES_MIN {
            return Err("`k` must be at least 32 bytes (43 characters)");
        }
        Ok(Self::new(jwk.kid, secret))
    }

    fn write(&self) -> Jwk {
        Jwk {
            kty: "oct".into(),
            alg: Some("HS256".into()),
            purpose: None,
            kid: self.kid.clone(),
            k: Some(URL_SAFE_NO_PAD.encode(&self.secret)),
        }
    }
}

/// Names the library that computes signatures. Explicit, because with two compiled in jsonwebtoken cannot choose, and
/// panics at first use.
pub(super) fn install_provider() {
    // An error only says that one is installed already.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fields: &str) -> String {
        format!(r#"{{"keys":[{{{fields}}}]}}"#)
    }

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_generated_set_survives_its_file() {
        let made = KeySet::generate();
        let read = KeySet::parse(&made.to_json()).unwrap();
        assert_eq!(read.to_json(), made.to_json());
        assert_eq!(made.keys[0].secret.len(), SECRET_BYTES_MIN);
        assert_ne!(KeySet::generate().to_json(), made.to_json());
    }

    #[test]
    fn unknown_members_of_a_key_are_ignored() {
        let json = key(&format!(r#""kty":"oct","alg":"HS256","k":"{SECRET}","use":"sig","x5c":[],"note":1"#));
        assert!(KeySet::parse(&json).is_ok());
    }

    #[test]
    fn a_bad_file_is_refused_with_the_place_and_the_rule() {
        let short = &SECRET[..40];
        for (json, said) in [
            ("", "line 1, column 0"),
            ("{\n\"keys\": 1}", "line 2"),
            (r#"{"keys":[]}"#, "holds no key"),
            (&key(&format!(r#""kty":"RSA","alg":"HS256","k":"{SECRET}""#)), "`kty`"),
            (&key(&format!(r#""kty":"oct","alg":"none","k":"{SECRET}""#)), "`alg`"),
            (&key(&format!(r#""kty":"oct","alg":"HS512","k":"{SECRET}""#)), "`alg`"),
            (&key(&format!(r#""kty":"oct","k":"{SECRET}""#)), "`alg`"),
            (&key(&format!(r#""kty":"oct","alg":"HS256","k":"{SECRET}","use":"enc""#)), "`use`"),
            (&key(&format!(r#""kty":"oct","alg":"HS256","k":"{SECRET}","kid":"""#)), "`kid`"),
            (&key(&format!(r#""kty":"oct","alg":"HS256","k":"{SECRET}=""#)), "base64url"),
            (&key(r#""kty":"oct","alg":"HS256""#), "base64url"),
            (&key(&format!(r#""kty":"oct","alg":"HS256","k":"{short}""#)), "at least 32 bytes"),
        ] {
            let error = KeySet::parse(json).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains(short), "{error}");
        }
    }

    #[test]
    fn two_keys_of_one_name_are_refused() {
        let one = format!(r#"{{"kty":"oct","alg":"HS256","kid":"a","k":"{SECRET}"}}"#);
        let error = KeySet::parse(&format!(r#"{{"keys":[{one},{one}]}}"#)).unwrap_err();
        assert!(matches!(error, InvalidKeys::Key { number: 2, .. }), "{error}");
    }

    #[test]
    fn debug_shows_no_secret() {
        let set = KeySet::parse(&key(&format!(r#""kty":"oct","alg":"HS256","kid":"a","k":"{SECRET}""#)));
        assert_eq!(format!("{:?}", set.unwrap()), r#"[Some("a")]"#);
    }
}
