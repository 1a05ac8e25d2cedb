//! Whose signatures count: the installation's own keys, public keys from files, and a JWK Set that changes.
//!
//! A key is found by `kid`, by comparing text, or tried where a token names none; its algorithm is its own. The fetched
//! set is replaced whole, by whoever reads its source.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::keys::KeySet;
use super::public::{PublicKey, PublicKeys};

/// All keys that verify.
pub struct TrustedKeys {
    own: Arc<KeySet>,
    fixed: Vec<PublicKey>,
    fetched: RwLock<Arc<PublicKeys>>,
    unknown_kid: Notify,
}

impl TrustedKeys {
    /// Trusts the installation's own keys and these; a set that is fetched comes later.
    #[must_use]
    pub fn new(own: Arc<KeySet>, fixed: Vec<PublicKey>) -> Self {
        Self { own, fixed, fetched: RwLock::default(), unknown_kid: Notify::new() }
    }

    /// Takes a newly read set in place of the last one. Tokens of keys that are gone no longer hold; sessions that they
    /// opened go on to their end.
    pub fn replace_fetched(&self, keys: PublicKeys) {
        *self.fetched.write() = Arc::new(keys);
    }

    /// Waits until a token named a key that is not here.
    ///
    /// *Cancel safety*: the next call hears of it. Many tokens are one wake.
    pub async fn unknown_kid(&self) {
        self.unknown_kid.notified().await;
    }

    /// The first good answer of the keys that may have signed a token. `candidates_max` bounds the work for one that
    /// names none.
    pub(super) fn find_map<T>(
        &self,
        kid: Option<&str>,
        candidates_max: usize,
        mut check: impl FnMut(Algorithm, &DecodingKey) -> Option<T>,
    ) -> Option<T> {
        let fetched = Arc::clone(&self.fetched.read());
        let own = self.own.candidates(kid).map(|key| (Algorithm::HS256, &key.verifying));
        let public = self.fixed.iter().chain(&fetched.keys);
        let public = public.filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        let mut tried = 0;
        let candidates = own.chain(public.map(|key| (key.algorithm, &key.verifying))).take(candidates_max);
        let found = candidates.into_iter().find_map(|(algorithm, key)| {
            tried += 1;
            check(algorithm, key)
        });
        if tried == 0 && kid.is_some() {
            self.unknown_kid.notify_one();
        }
        found
    }
}

#[cfg(test)]
mod tests;
