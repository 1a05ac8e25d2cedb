//! The key that all processes of an installation share, and the proofs of having it.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::remote::BadKey;

/// Bytes of a peer key at least.
const BYTES_MIN: usize = 32;
/// Bytes of a peer key at most.
const BYTES_MAX: usize = 4_096;
/// A key in hexadecimal digits has up to 16 different bytes; half of them in 64 digits would be a rare accident.
const DIFFERENT_BYTES_MIN: usize = 10;

/// Bytes of a nonce and of a proof.
pub(crate) const PROOF_BYTES: usize = 32;

pub(crate) type Proof = [u8; PROOF_BYTES];
pub(crate) type Nonce = [u8; PROOF_BYTES];

/// Which side of a connection proves something: what one side says, the other cannot say after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Caller,
    Callee,
}

/// A secret that all processes of an installation have. It never travels; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PeerKey(Arc<[u8]>);

impl PeerKey {
    /// Takes the content of a key's file or variable; white space around it does not count.
    ///
    /// # Errors
    /// [`BadKey`] where it is too short, too long, or of few different bytes.
    pub fn new(content: impl AsRef<[u8]>) -> Result<Self, BadKey> {
        let key = content.as_ref().trim_ascii();
        if key.len() < BYTES_MIN {
            return Err(BadKey::Short(key.len()));
        }
        if key.len() > BYTES_MAX {
            return Err(BadKey::Long(key.len()));
        }
        let mut seen = [false; 256];
        key.iter().for_each(|byte| seen[usize::from(*byte)] = true);
        let different = seen.iter().filter(|seen| **seen).count();
        if different < DIFFERENT_BYTES_MIN {
            return Err(BadKey::Plain(different));
        }
        Ok(Self(key.into()))
    }

    /// The proof that a side has the key, for one connection: both nonces are in it, so that it is good for no other.
    pub(crate) fn prove(&self, side: Side, caller: &Nonce, callee: &Nonce) -> Proof {
        self.mac(side, caller, callee).finalize().into_bytes().into()
    }

    /// Whether the proof is the other side's. Takes as long for every wrong one.
    pub(crate) fn accepts(&self, proof: &Proof, side: Side, caller: &Nonce, callee: &Nonce) -> bool {
        self.mac(side, caller, callee).verify_slice(proof).is_ok()
    }

    fn mac(&self, side: Side, caller: &Nonce, callee: &Nonce) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(match side {
            Side::Caller => b"doorbell-rpc/1 caller",
            Side::Callee => b"doorbell-rpc/1 callee",
        });
        mac.update(caller);
        mac.update(callee);
        mac
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_key_is_long_and_not_plain() {
        assert!(PeerKey::new(format!("  {GOOD}\n")).is_ok());
        assert_eq!(PeerKey::new(&GOOD[1..]).unwrap_err(), BadKey::Short(31));
        assert_eq!(PeerKey::new(format!("{:>40}", "short")).unwrap_err(), BadKey::Short(5));
        assert_eq!(PeerKey::new("ab".repeat(20)).unwrap_err(), BadKey::Plain(2));
        assert_eq!(PeerKey::new(GOOD.repeat(200)).unwrap_err(), BadKey::Long(6_400));
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        assert_eq!(format!("{:?}", PeerKey::new(GOOD).unwrap()), "PeerKey(..)");
    }

    #[test]
    fn a_proof_is_good_for_its_side_its_connection_and_its_key() {
        let key = PeerKey::new(GOOD).unwrap();
        let other = PeerKey::new(GOOD.replace('0', "x")).unwrap();
        let (a, b) = ([1; PROOF_BYTES], [2; PROOF_BYTES]);
        let proof = key.prove(Side::Caller, &a, &b);

        assert!(key.accepts(&proof, Side::Caller, &a, &b));
        assert!(!key.accepts(&proof, Side::Callee, &a, &b), "reflected");
        assert!(!key.accepts(&proof, Side::Caller, &b, &b), "replayed");
        assert!(!key.accepts(&proof, Side::Caller, &a, &a), "replayed");
        assert!(!other.accepts(&proof, Side::Caller, &a, &b), "of another key");
    }
}
