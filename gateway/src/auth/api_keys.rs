//! API keys: what another back end comes with, in place of a user's token. `server` reads the file.
//!
//! A key is `dbk_` and 32 random bytes in base64url. Only its SHA-256 is kept: of that much chance, a fast hash gives
//! nothing away. The prefix tells a key from a token, and lets scanners find one that was published by accident.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_protocol::UserId;
use doorbell_protocol::frames::Token;
use parking_lot::RwLock;
use rand::TryRngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every key begins with.
pub const PREFIX: &str = "dbk_";
/// Longest name of a key.
pub const NAME_BYTES_MAX: usize = 64;
const SECRET_BYTES: usize = 32;

/// One key as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// What logs call it: 1 to 64 of `[A-Za-z0-9_-]`.
    pub name: String,
    /// The SHA-256 of the key, in hexadecimal.
    pub sha256: String,
    /// It may ring users: `POST /v1/hints`.
    #[serde(default)]
    pub hints: bool,
    /// It may call methods as these users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub act_as: Vec<UserId>,
    /// Messages that it may send as one of them in one period of the throttle, in place of the configured number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<NonZeroU32>,
}

/// A key that holds, and what it may.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiKey {
    name: Arc<str>,
    digest: [u8; 32],
    hints: bool,
    act_as: Vec<UserId>,
    throttle: Option<NonZeroU32>,
}

/// Why a list of keys is refused. It never repeats a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("API key {number}: {rule}")]
pub struct InvalidApiKey {
    /// Which, counted from 1.
    pub number: usize,
    /// The rule, as "… must …".
    pub rule: &'static str,
}

/// The keys in force, which may be exchanged while requests come in.
#[derive(Default)]
pub struct ApiKeys {
    current: RwLock<Arc<[Arc<ApiKey>]>>,
}

impl ApiKeys {
    /// Puts other keys in force, all of them or, where one is bad, none.
    ///
    /// # Errors
    /// The first bad one, with the rule it breaks.
    pub fn replace(&self, written: Vec<Written>) -> Result<(), InvalidApiKey> {
        let mut keys: Vec<Arc<ApiKey>> = Vec::with_capacity(written.len());
        for (index, one) in written.into_iter().enumerate() {
            let invalid = |rule| InvalidApiKey { number: index + 1, rule };
            let key = ApiKey::read(one).map_err(invalid)?;
            if keys.iter().any(|other| other.name == key.name) {
                return Err(invalid("`name` must differ from those of the other keys"));
            }
            if keys.iter().any(|other| other.digest == key.digest) {
                return Err(invalid("`sha256` must differ from those of the other keys"));
            }
            keys.push(Arc::new(key));
        }
        *self.current.write() = keys.into();
        Ok(())
    }

    /// The key that this token is. Every key is compared, each in constant time.
    #[must_use]
    pub fn find(&self, token: &Token) -> Option<Arc<ApiKey>> {
        let keys = Arc::clone(&self.current.read());
        let digest = Sha256::digest(token.0.as_bytes());
        let mut found = None;
        for key in keys.iter() {
            if bool::from(key.digest.ct_eq(&digest)) {
                found = Some(Arc::clone(key));
            }
        }
        found
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.current.read().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.current.read().iter().map(|key| &key.name)).finish()
    }
}

impl ApiKey {
    /// What logs call it.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it may ring users.
    #[must_use]
    pub const fn may_hint(&self) -> bool {
        self.hints
    }

    /// Whether it may call methods as this user.
    #[must_use]
    pub fn may_act_as(&self, user: &UserId) -> bool {
        self.act_as.contains(user)
    }

    /// Messages in one period of the throttle, as one user; `None` for the configured number.
    #[must_use]
    pub const fn throttle(&self) -> Option<NonZeroU32> {
        self.throttle
    }

    fn read(written: Written) -> Result<Self, &'static str> {
        let Written { name, sha256, hints, act_as, throttle } = written;
        if !is_name(&name) {
            return Err("`name` must be 1 to 64 letters, digits, '_' and '-'");
        }
        let mut digest = [0; 32];
        if hex::decode_to_slice(&sha256, &mut digest).is_err() {
            return Err("`sha256` must be 64 hexadecimal digits, as `doorbell api-key` prints them");
        }
        if !hints && act_as.is_empty() {
            return Err("it may nothing: it must have `hints = true`, or users in `act_as`");
        }
        if throttle.is_some() && act_as.is_empty() {
            return Err("`throttle` is for messages sent as a user: it must have users in `act_as`");
        }
        Ok(Self { name: name.into(), digest, hints, act_as, throttle })
    }
}

/// Whether a key can have this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain)
}

/// Whether this claims to be an API key: it is not looked at as a user's token then.
#[must_use]
pub fn is_api_key(token: &Token) -> bool {
    token.0.starts_with(PREFIX)
}

/// Makes a key from the system's random source.
///
/// # Panics
/// Where the system has no random source: nothing can be secret then.
#[must_use]
pub fn generate() -> Token {
    let mut secret = [0; SECRET_BYTES];
    rand::rngs::OsRng.try_fill_bytes(&mut secret).expect("the system has a random source");
    Token(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
}

/// What the file keeps of a key.
#[must_use]
pub fn digest(key: &Token) -> String {
    hex::encode(Sha256::digest(key.0.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, key: &Token) -> Written {
        Written { name: name.into(), sha256: digest(key), hints: true, act_as: Vec::new(), throttle: None }
    }

    #[test]
    fn a_key_is_found_by_itself_alone_and_until_it_is_taken_out() {
        let (shop, desk, keys) = (generate(), generate(), ApiKeys::default());
        keys.replace(vec![written("shop", &shop), written("desk", &desk)]).unwrap();

        assert_eq!(&**keys.find(&desk).unwrap().name(), "desk");
        for other in [generate(), Token(PREFIX.into()), Token(format!("{}x", shop.0)), Token(digest(&shop))] {
            assert!(keys.find(&other).is_none());
        }
        keys.replace(vec![written("desk", &desk)]).unwrap();
        assert!(keys.find(&shop).is_none() && keys.find(&desk).is_some());
    }

    #[test]
    fn a_key_may_what_it_was_given_and_no_more() {
        let user = |name| UserId::new(name).unwrap();
        let (key, keys) = (generate(), ApiKeys::default());
        let act_as = vec![user("system")];
        keys.replace(vec![Written { hints: false, act_as, ..written("desk", &key) }]).unwrap();

        let found = keys.find(&key).unwrap();
        assert!(!found.may_hint() && found.may_act_as(&user("system")) && !found.may_act_as(&user("ada")));
    }

    #[test]
    fn one_bad_key_refuses_the_list_and_leaves_the_old_one() {
        let (shop, other, keys) = (generate(), generate(), ApiKeys::default());
        keys.replace(vec![written("shop", &shop)]).unwrap();
        let good = written("desk", &other);
        for (bad, said) in [
            (Written { name: "a b".into(), ..good.clone() }, "`name`"),
            (Written { name: String::new(), ..good.clone() }, "`name`"),
            (Written { sha256: "00".into(), ..good.clone() }, "`sha256`"),
            (Written { sha256: other.0.clone(), ..good.clone() }, "`sha256`"),
            (Written { hints: false, ..good.clone() }, "may nothing"),
            (Written { throttle: NonZeroU32::new(9), ..good.clone() }, "`throttle`"),
            (Written { name: "shop".into(), ..good.clone() }, "`name` must differ"),
            (Written { sha256: digest(&shop), ..good.clone() }, "`sha256` must differ"),
        ] {
            let error = keys.replace(vec![written("shop", &shop), bad]).unwrap_err();
            assert_eq!(error.number, 2);
            assert!(error.to_string().contains(said) && !error.to_string().contains(&other.0), "{error}");
        }
        assert!(keys.find(&shop).is_some() && keys.len() == 1);
    }

    #[test]
    fn a_key_is_told_from_a_token_and_names_no_key_in_debug() {
        assert!(is_api_key(&generate()) && !is_api_key(&Token("eyJhbGciOiJIUzI1NiJ9.e30.x".into())));
        let (key, keys) = (generate(), ApiKeys::default());
        keys.replace(vec![written("shop", &key)]).unwrap();
        assert_eq!(format!("{keys:?}"), r#"["shop"]"#);
    }
}
