//! Whose signatures count: the installation's own keys, public keys from files, and a JWK Set that changes.
//!
//! A key is found by `kid`, by comparing text, or tried where a token names none; its algorithm is its own. The fetched
//! set is replaced whole, by whoever reads its source.

use std::collections::VecDeque;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Header};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::flaw::Flaw;
use super::keys::KeySet;
use super::public::{PublicKey, PublicKeys};

/// Keys that tokens named in vain and that are remembered; with more, the oldest is forgotten and undecided again.
const MISSING_MAX: usize = 64;

/// A set that was read, and when its reading began: one piece, so that a token is judged by both of one reading.
#[derive(Clone)]
struct Fetched {
    set: Arc<PublicKeys>,
    began: Instant,
}

/// All keys that verify.
pub struct TrustedKeys {
    own: Arc<KeySet>,
    fixed: Vec<PublicKey>,
    /// `None` before the first reading.
    fetched: RwLock<Option<Fetched>>,
    has_source: bool,
    /// Keys that are not here, and since when each is named.
    missing: Mutex<VecDeque<(String, Instant)>>,
    unknown_kid: Notify,
}

impl TrustedKeys {
    /// Trusts the installation's own keys and these.
    #[must_use]
    pub fn new(own: Arc<KeySet>, fixed: Vec<PublicKey>) -> Self {
        Self {
            own,
            fixed,
            fetched: RwLock::default(),
            has_source: false,
            missing: Mutex::default(),
            unknown_kid: Notify::new(),
        }
    }

    /// The keys of a set that somebody reads count as well. A token of a key that is not here is undecided until the set
    /// was read once more: its issuer may have published the key after the last reading, and a client that is told "no"
    /// never comes back.
    #[must_use]
    pub fn with_source(self) -> Self {
        Self { has_source: true, ..self }
    }

    /// Takes a set, whose reading began then, in place of the last one. Tokens of keys that are gone no longer hold;
    /// sessions that they opened go on to their end.
    pub fn replace_fetched(&self, keys: PublicKeys, began: Instant) {
        *self.fetched.write() = Some(Fetched { set: Arc::new(keys), began });
    }

    /// Waits until a token named a key that is not here.
    ///
    /// *Cancel safety*: the next call hears of it. Many tokens are one wake.
    pub async fn unknown_kid(&self) {
        self.unknown_kid.notified().await;
    }

    /// The first good answer of the keys that may have signed a token with this header: those with its algorithm, and
    /// its `kid` where it names one. `candidates_max` bounds the work for one that names none.
    ///
    /// # Errors
    /// The last key's word, or that there is no key.
    pub(super) fn judge<T>(
        &self,
        header: &Header,
        candidates_max: usize,
        mut check: impl FnMut(Algorithm, &DecodingKey) -> Result<T, Flaw>,
    ) -> Result<T, Flaw> {
        let kid = header.kid.as_deref();
        let fetched = self.fetched.read().clone();
        let own = self.own.candidates(kid).map(|key| (Algorithm::HS256, &key.verifying));
        let public = self.fixed.iter().chain(fetched.iter().flat_map(|fetched| &fetched.set.keys));
        let public = public.filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        let all = own.chain(public.map(|key| (key.algorithm, &key.verifying)));
        let mut flaw = None;
        for (algorithm, key) in all.filter(|(algorithm, _)| *algorithm == header.alg).take(candidates_max) {
            match check(algorithm, key) {
                Ok(found) => return Ok(found),
                Err(found) => flaw = Some(found),
            }
        }
        // Without a `kid` the set that is not read yet may have the key that the others are not.
        let may_be_missing = flaw.is_none() || (kid.is_none() && fetched.is_none());
        // No set has keys of HS256: they would be everybody's who reads it.
        if self.has_source
            && header.alg != Algorithm::HS256
            && may_be_missing
            && !self.was_read_since(header, fetched.as_ref())
        {
            self.unknown_kid.notify_one();
            return Err(Flaw::UndecidedKey);
        }
        Err(flaw.unwrap_or(Flaw::UnknownKey))
    }

    /// Whether this set's reading began after a token first named this key, which it did not bring; notes that one does.
    fn was_read_since(&self, header: &Header, fetched: Option<&Fetched>) -> bool {
        let named = format!("{:?} {}", header.alg, header.kid.as_deref().unwrap_or_default());
        let mut missing = self.missing.lock();
        if let Some((_, first)) = missing.iter().find(|(other, _)| *other == named) {
            return fetched.is_some_and(|fetched| fetched.began > *first);
        }
        if missing.len() == MISSING_MAX {
            missing.pop_front();
        }
        missing.push_back((named, Instant::now()));
        false
    }
}

#[cfg(test)]
mod tests;
