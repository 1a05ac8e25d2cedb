//! Rates by key, for keys that come and go: bounded, and forgotten where they say no more than a fresh one.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;

use crate::session::rate::{Rate, RateRule};
use crate::uptime::Moment;

/// Room for so many is not looked through.
const SWEEP_FROM: usize = 1_024;
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// Why a key is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    /// It is beyond its rate: wait that long.
    Wait(Duration),
    /// There is no room to remember one more.
    Full,
}

/// One rule for every key. Shared by all; bounded, whoever comes.
pub(crate) struct Rates<K> {
    rule: RateRule,
    keys_max: usize,
    state: Mutex<State<K>>,
}

struct State<K> {
    rates: HashMap<K, Rate>,
    /// With so many, those who are level again are forgotten: at twice what was left the last time, so that a sweep costs
    /// each call a constant.
    sweep_at: usize,
    /// Nor before then: a full memory is not looked through for each stranger.
    sweep_after: Moment,
}

impl<K: Clone + Eq + Hash> Rates<K> {
    pub(crate) fn new(rule: RateRule, keys_max: usize) -> Self {
        let state = State { rates: HashMap::new(), sweep_at: 0, sweep_after: Moment::default() };
        Self { rule, keys_max, state: Mutex::new(state) }
    }

    /// Counts one. A refused one does not count: who waits as told is served.
    pub(crate) fn take(&self, key: &K, now: Moment) -> Result<(), Limited> {
        let mut state = self.state.lock();
        let rate = state.rate(key, now, self.keys_max).ok_or(Limited::Full)?;
        rate.take(&self.rule, now).map_err(Limited::Wait)
    }

    /// How many keys are remembered.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().rates.len()
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    /// A key's rate; `None` where there is no room for one more.
    fn rate(&mut self, key: &K, now: Moment, keys_max: usize) -> Option<&mut Rate> {
        if !self.rates.contains_key(key) {
            let sweep_at = self.sweep_at.clamp(SWEEP_FROM.min(keys_max), keys_max);
            if self.rates.len() >= sweep_at && now >= self.sweep_after {
                self.rates.retain(|_, rate| !rate.is_level(now));
                self.rates.shrink_to(2 * self.rates.len());
                self.sweep_at = self.rates.len() * 2;
                self.sweep_after = now.plus(SWEEP_PAUSE);
            }
            if self.rates.len() >= keys_max {
                return None;
            }
        }
        Some(self.rates.entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Duration = Duration::from_secs(2);

    fn rates(keys_max: usize) -> Rates<u64> {
        Rates::new(RateRule::each(EACH), keys_max)
    }

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1_000)
    }

    #[test]
    fn each_key_has_its_own_turns_and_who_waits_as_told_has_the_next() {
        let rates = rates(10);
        assert_eq!((rates.take(&1, at(0)), rates.take(&2, at(0))), (Ok(()), Ok(())));
        assert_eq!(rates.take(&1, at(500)), Err(Limited::Wait(Duration::from_millis(1_500))));
        assert_eq!(rates.take(&1, at(2_000)), Ok(()), "what was refused did not count");
    }

    #[test]
    fn a_full_memory_refuses_strangers_until_somebody_is_level() {
        let rates = rates(2);
        assert_eq!((rates.take(&1, at(0)), rates.take(&2, at(1_000))), (Ok(()), Ok(())));
        assert_eq!(rates.take(&3, at(1_500)), Err(Limited::Full));
        assert_eq!(rates.take(&3, at(2_100)), Ok(()));
        assert_eq!((rates.take(&4, at(2_100)), rates.len()), (Err(Limited::Full), 2));
    }

    #[test]
    fn who_is_level_is_forgotten_without_a_full_memory() {
        let rates = rates(100_000);
        for number in 0..50_000 {
            assert_eq!(rates.take(&number, at(number * 10)), Ok(()));
        }
        // 200 of them are not level yet, and a sweep comes at twice what the last one left.
        assert!(rates.len() <= SWEEP_FROM + 200, "{}", rates.len());
    }
}
