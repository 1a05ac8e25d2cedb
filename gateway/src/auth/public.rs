//! Public keys of who else signs tokens: from a PEM file, or from a JWK Set (RFC 7517) that somebody else keeps.
//!
//! A key's algorithm follows from what the key is, and is fixed with it: RSA is RS256, P-256 is ES256, Ed25519 is
//! EdDSA. A secret is never taken from here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::keys::{KID_BYTES_MAX, install_provider};

/// Bytes of the smallest RSA modulus: 2048 bits (RFC 7518, 3.3).
const MODULUS_BYTES_MIN: usize = 256;
/// Bytes of the largest: 8192 bits, beyond which one check costs too much.
const MODULUS_BYTES_MAX: usize = 1024;
/// An RSA public key in DER: its modulus, exponent and some framing.
const RSA_DER_BYTES: std::ops::RangeInclusive<usize> = MODULUS_BYTES_MIN + 8..=MODULUS_BYTES_MAX + 32;
/// A coordinate of P-256, and an Ed25519 key.
const CURVE_BYTES: usize = 32;
/// An uncompressed point of P-256.
const POINT_BYTES: usize = 65;
/// Keys taken of one set. Issuers publish two to five.
const KEYS_MAX: usize = 64;

/// One key that verifies and cannot sign.
pub struct PublicKey {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) verifying: DecodingKey,
}

/// Why a key or a set is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicKeys {
    /// A private key verifies nothing here, and does not belong on a gateway.
    #[error(
        "holds a private key: give its public key (openssl pkey -in FILE -pubout), and keep the private one away"
    )]
    Private,
    /// Not a public key in PEM, or of another kind.
    #[error(
        "holds no public key that is taken here: PEM with BEGIN PUBLIC KEY, RSA of 2048 to 8192 bits, P-256 or Ed25519"
    )]
    Pem,
    /// Not a JWK Set.
    #[error("is no JWK Set (line {line}, column {column}): expected {{\"keys\":[…]}}")]
    Shape {
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// No key of the set can be used.
    #[error(
        "holds no key that is taken here, of {keys}: RSA of 2048 to 8192 bits (RS256), P-256 (ES256) or Ed25519 (EdDSA)"
    )]
    NothingUsable {
        /// How many there were.
        keys: usize,
    },
    /// More keys than anybody needs.
    #[error("holds more than 64 keys")]
    TooMany,
}

/// The keys of one JWK Set.
#[derive(Debug, Default)]
pub struct PublicKeys {
    pub(super) keys: Vec<PublicKey>,
    /// Keys that were left out: of another use, kind or algorithm. A set belongs to its issuer, who may have them for
    /// others.
    pub left_out: usize,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// What of a JWK matters here; other members are ignored, as RFC 7517 wants.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl PublicKey {
    /// Reads a PEM file with one public key.
    ///
    /// # Errors
    /// [`InvalidPublicKeys::Private`] or [`InvalidPublicKeys::Pem`].
    pub fn from_pem(kid: &str, pem: &str) -> Result<Self, InvalidPublicKeys> {
        install_provider();
        if pem.contains("PRIVATE KEY-----") {
            return Err(InvalidPublicKeys::Private);
        }
        if pem.matches("-----BEGIN PUBLIC KEY-----").count() != 1 {
            return Err(InvalidPublicKeys::Pem);
        }
        let pem = pem.as_bytes();
        let bytes = |key: &DecodingKey| key.try_get_as_bytes().map_or(0, <[u8]>::len);
        let rsa = DecodingKey::from_rsa_pem(pem).ok().filter(|key| RSA_DER_BYTES.contains(&bytes(key)));
        let ec = || DecodingKey::from_ec_pem(pem).ok().filter(|key| bytes(key) == POINT_BYTES);
        let ed = || DecodingKey::from_ed_pem(pem).ok().filter(|key| bytes(key) == CURVE_BYTES);
        let found = rsa
            .map(|key| (Algorithm::RS256, key))
            .or_else(|| ec().map(|key| (Algorithm::ES256, key)))
            .or_else(|| ed().map(|key| (Algorithm::EdDSA, key)));
        let (algorithm, verifying) = found.ok_or(InvalidPublicKeys::Pem)?;
        Ok(Self { kid: Some(kid.to_owned()), algorithm, verifying })
    }

    fn from_jwk(jwk: Jwk) -> Option<Self> {
        let verifies = jwk.purpose.is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"))
            && jwk.kid.as_ref().is_none_or(|kid| !kid.is_empty() && kid.len() <= KID_BYTES_MAX);
        if !verifies {
            return None;
        }
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let is_coordinate = |text: &str| decoded(text).is_some_and(|bytes| bytes.len() == CURVE_BYTES);
        let (algorithm, verifying) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (jwk.n?, jwk.e?);
                let bytes = decoded(&n)?;
                let bits_fit =
                    (MODULUS_BYTES_MIN..=MODULUS_BYTES_MAX).contains(&bytes.len()) && bytes[0] != 0;
                let key = bits_fit.then(|| DecodingKey::from_rsa_components(&n, &e).ok()).flatten()?;
                (Algorithm::RS256, key)
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (jwk.x.filter(|x| is_coordinate(x))?, jwk.y.filter(|y| is_coordinate(y))?);
                (Algorithm::ES256, DecodingKey::from_ec_components(&x, &y).ok()?)
            }
            ("OKP", Some("Ed25519")) => {
                let x = jwk.x.filter(|x| is_coordinate(x))?;
                (Algorithm::EdDSA, DecodingKey::from_ed_components(&x).ok()?)
            }
            _ => return None,
        };
        let is_named = |name: &str| match algorithm {
            // RFC 9864 gives Ed25519 a name of its own; the keys are the same.
            Algorithm::EdDSA => matches!(name, "EdDSA" | "Ed25519"),
            Algorithm::RS256 => name == "RS256",
            _ => name == "ES256",
        };
        jwk.alg.as_deref().is_none_or(is_named).then_some(Self { kid: jwk.kid, algorithm, verifying })
    }
}

impl PublicKeys {
    /// Reads a JWK Set. Keys that are not for us are left out.
    ///
    /// # Errors
    /// It is no JWK Set, has too many keys, or none that can be used.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidPublicKeys> {
        install_provider();
        let set: JwkSet = serde_json::from_slice(json)
            .map_err(|error| InvalidPublicKeys::Shape { line: error.line(), column: error.column() })?;
        let total = set.keys.len();
        if total > KEYS_MAX {
            return Err(InvalidPublicKeys::TooMany);
        }
        let mut keys: Vec<PublicKey> = Vec::new();
        for value in set.keys {
            let key = serde_json::from_value(value).ok().and_then(PublicKey::from_jwk);
            // Of two with one name the first counts, as a look-up by name would find it.
            let is_new = |key: &PublicKey| keys.iter().all(|other| key.kid.is_none() || other.kid != key.kid);
            keys.extend(key.filter(is_new));
        }
        if keys.is_empty() {
            return Err(InvalidPublicKeys::NothingUsable { keys: total });
        }
        let left_out = total - keys.len();
        Ok(Self { keys, left_out })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.algorithm, self.kid)
    }
}
