//! How long the oldest news have waited, without looking at every user.

use std::collections::BTreeMap;

use doorbell_protocol::Timestamp;

/// A multiset of times: how many users have waited since each millisecond. It has as many keys as there are distinct
/// milliseconds among those who wait.
#[derive(Clone, Debug, Default)]
pub struct Ages(BTreeMap<Timestamp, u64>);

impl Ages {
    /// One more user waits since `since`.
    pub fn add(&mut self, since: Timestamp) {
        *self.0.entry(since).or_default() += 1;
    }

    /// One who waited since `since` waits no more.
    pub fn remove(&mut self, since: Timestamp) {
        if let Some(count) = self.0.get_mut(&since) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&since);
            }
        }
    }

    /// The earliest time since which somebody waits.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        self.0.first_key_value().map(|(since, _)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_known_while_anybody_waits_since_then() {
        let at = Timestamp::from_millis;
        let mut ages = Ages::default();
        for since in [5, 3, 3] {
            ages.add(at(since));
        }

        let mut seen = vec![ages.oldest()];
        for since in [3, 3, 5] {
            ages.remove(at(since));
            seen.push(ages.oldest());
        }

        assert_eq!(seen, [Some(at(3)), Some(at(3)), Some(at(5)), None]);
    }
}
