//! How the pulls of a large audience are spread: one change makes everybody pull, and they are not to do it at once.

use std::time::Duration;

use doorbell_protocol::{SessionId, Version};

/// Two classes lie at least that far apart: finer than that, the network spreads them anyway.
const CLASS_APART_MS: u64 = 10;
/// Each class is encoded once for each part, version and encoding, and has a buffer for each part and encoding.
const CLASSES_MAX: u64 = 256;

/// How fast a topic's followers may pull.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PullRate {
    /// Pulls a second that one change of a topic may cause here.
    pub(crate) per_second: u32,
    /// With fewer followers than that nobody waits.
    pub(crate) followers_min: usize,
}

/// The spread of one fan-out's pulls: some classes of sessions, each with its own delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    window_ms: u64,
    classes: u64,
    version: Version,
}

impl Spread {
    pub(crate) fn new(rate: &PullRate, followers: usize, version: Version) -> Self {
        let window = Duration::from_secs(followers as u64) / rate.per_second.max(1);
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let classes = if followers < rate.followers_min {
            1
        } else {
            (window_ms / CLASS_APART_MS).clamp(1, CLASSES_MAX)
        };
        Self { window_ms, classes, version }
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> usize {
        usize::try_from(self.classes).expect("few")
    }

    /// A session's class: another one with each version, so that nobody is always the last.
    pub(crate) fn class(&self, session: SessionId) -> usize {
        let mixed = (session.bits() ^ self.version.get().rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        usize::try_from((mixed >> 32) % self.classes).expect("few")
    }

    /// How long the sessions of a class wait before they pull; `None`: not at all.
    pub(crate) fn pull_after_ms(&self, class: usize) -> Option<u32> {
        if self.classes == 1 {
            return None;
        }
        let after = self.window_ms.saturating_mul(class as u64) / self.classes;
        Some(u32::try_from(after).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: PullRate = PullRate { per_second: 2_000, followers_min: 100 };

    fn spread(followers: usize, version: u64) -> Spread {
        Spread::new(&RATE, followers, Version::new(version).unwrap())
    }

    #[test]
    fn few_followers_pull_at_once_and_many_over_a_window_that_grows_with_them() {
        assert_eq!((spread(99, 1).classes(), spread(99, 1).pull_after_ms(0)), (1, None));
        for (followers, window_ms) in [(100, 50), (1_000, 500), (10_000, 5_000), (1_000_000, 500_000)] {
            let spread = spread(followers, 1);
            let last = spread.pull_after_ms(spread.classes() - 1).unwrap();
            assert_eq!(spread.pull_after_ms(0), Some(0));
            let apart = window_ms / u32::try_from(spread.classes()).unwrap();
            assert!(last + apart >= window_ms - 1 && last < window_ms, "{followers}: {last}");
        }
    }

    #[test]
    fn the_classes_are_alike_in_size_and_change_with_the_version() {
        let (first, second) = (spread(10_000, 7), spread(10_000, 8));
        let mut sizes = vec![0; first.classes()];
        let mut moved = 0;
        for _ in 0..first.classes() * 100 {
            let session = SessionId::from_bits(rand::random());
            sizes[first.class(session)] += 1;
            moved += usize::from(first.class(session) != second.class(session));
        }
        assert!(sizes.iter().all(|size| (40..200).contains(size)), "{sizes:?}");
        assert!(moved > first.classes() * 90);
    }
}
