//! Claims that many tokens grant alike, kept once: an issuer has few kinds of users, and each of a million sessions keeps
//! what its token grants.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Claims;

/// Kinds at once. Beyond them, and where a token names its own device, sessions keep claims of their own.
const KINDS_MAX: usize = 256;

/// The kinds that present sessions have.
#[derive(Debug, Default)]
pub(super) struct Alike {
    known: Mutex<HashSet<Arc<Claims>>>,
}

impl Alike {
    /// What equals these claims and is there already, or else these; `None` where they grant nothing.
    pub(super) fn kept(&self, claims: Claims) -> Option<Arc<Claims>> {
        if claims.is_empty() {
            return None;
        }
        if claims.device.is_some() {
            return Some(Arc::new(claims));
        }
        let mut known = self.known.lock();
        if let Some(same) = known.get(&claims) {
            return Some(Arc::clone(same));
        }
        let kept = Arc::new(claims);
        if known.len() >= KINDS_MAX {
            known.retain(|claims| Arc::strong_count(claims) > 1);
        }
        if known.len() < KINDS_MAX {
            known.insert(Arc::clone(&kept));
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn claims(throttle: u32) -> Claims {
        Claims { throttle: NonZeroU32::new(throttle), ..Claims::default() }
    }

    #[test]
    fn claims_that_are_alike_are_kept_once_and_nothing_is_not_kept() {
        let alike = Alike::default();
        let (first, second) = (alike.kept(claims(5)).unwrap(), alike.kept(claims(5)).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &alike.kept(claims(6)).unwrap()));
        assert_eq!(alike.kept(Claims::default()), None);
    }

    #[test]
    fn kinds_are_bounded_and_those_that_nobody_has_go_first() {
        let alike = Alike::default();
        let kept: Vec<Arc<Claims>> = (1..=256).map(|kind| alike.kept(claims(kind)).unwrap()).collect();
        let beyond = alike.kept(claims(1_000)).unwrap();
        assert!(!Arc::ptr_eq(&beyond, &alike.kept(claims(1_000)).unwrap()), "there is no room to know it");
        assert!(Arc::ptr_eq(&kept[0], &alike.kept(claims(1)).unwrap()), "who is known stays so");

        drop(kept);
        let new = alike.kept(claims(1_000)).unwrap();
        assert!(Arc::ptr_eq(&new, &alike.kept(claims(1_000)).unwrap()));
        assert_eq!(alike.known.lock().len(), 1);
    }
}
