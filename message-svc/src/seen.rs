//! When users were last seen: in memory, to the second, for a bounded number of them. It ends with the process.

use std::collections::HashMap;

use doorbell_protocol::{Timestamp, UserId};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

/// Parts, each with a lock: a call comes by here.
const PARTS: usize = 16;
/// What is younger is not written again.
const COARSE_MS: u64 = 1_000;

/// The last sight of each user.
pub struct Seen {
    parts: [Mutex<Part>; PARTS],
    /// Of one of the two halves of a part.
    half_max: usize,
}

/// Two halves: when the young one is full it becomes the old one, and what the old one held is forgotten. So whoever
/// was seen among the last `half_max` users of a part is known.
#[derive(Default)]
struct Part {
    young: HashMap<UserId, Timestamp>,
    old: HashMap<UserId, Timestamp>,
}

impl Seen {
    /// Knows `users_max` users at most.
    #[must_use]
    pub fn new(users_max: usize) -> Self {
        Self { parts: Default::default(), half_max: (users_max / (2 * PARTS)).max(1) }
    }

    /// A user was seen.
    pub fn note(&self, user: &UserId, now: Timestamp) {
        let mut part = self.part(user).lock();
        if let Some(seen) = part.young.get_mut(user) {
            if now.as_millis() >= seen.as_millis().saturating_add(COARSE_MS) {
                *seen = now;
            }
            return;
        }
        if part.young.len() >= self.half_max {
            part.old = std::mem::take(&mut part.young);
        }
        part.young.insert(user.clone(), now);
    }

    /// When a user was last seen, if that is known.
    #[must_use]
    pub fn last(&self, user: &UserId) -> Option<Timestamp> {
        let part = self.part(user).lock();
        part.young.get(user).or_else(|| part.old.get(user)).copied()
    }

    /// How many users are known.
    #[must_use]
    pub fn users(&self) -> usize {
        self.parts.iter().map(Mutex::lock).map(|part| part.young.len() + part.old.len()).sum()
    }

    fn part(&self, user: &UserId) -> &Mutex<Part> {
        let hash = xxh3_64(user.as_str().as_bytes()) % PARTS as u64;
        &self.parts[usize::try_from(hash).expect("a small number")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn last(seen: &Seen, name: &str) -> Option<u64> {
        seen.last(&user(name)).map(Timestamp::as_millis)
    }

    #[test]
    fn the_last_sight_counts_to_the_second() {
        let seen = Seen::new(100);
        let note = |at| seen.note(&user("ada"), Timestamp::from_millis(at));
        assert_eq!(last(&seen, "ada"), None);
        note(5_000);
        note(5_999);
        assert_eq!(last(&seen, "ada"), Some(5_000));
        note(6_000);
        note(1);
        assert_eq!(last(&seen, "ada"), Some(6_000), "a clock that goes back takes nothing back");
    }

    #[test]
    fn users_are_bounded_and_whoever_is_seen_is_kept() {
        let seen = Seen::new(320);
        for number in 0..10_000 {
            seen.note(&user("ada"), Timestamp::from_millis(number));
            seen.note(&user(&format!("user-{number}")), Timestamp::from_millis(number));
            assert!(seen.users() <= 320 + 16, "{}", seen.users());
        }
        assert!(last(&seen, "ada").is_some());
        assert_eq!((last(&seen, "user-9999"), last(&seen, "user-0")), (Some(9_999), None));
    }
}
