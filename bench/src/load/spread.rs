//! How long things took, in microseconds, in little memory however many there are; what several processes saw is one.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One hour; what takes longer counts as one.
const MICROS_MAX: u64 = 3_600_000_000;
/// Within a thousandth.
const DIGITS: u8 = 3;
/// Within a hundredth: of what is seen in one second, several processes tell each other.
const COARSE_DIGITS: u8 = 2;

/// Times in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread(Histogram<u64>);

/// As it travels: each value that was seen, with how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub Vec<(u64, u64)>);

/// What of a spread is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many there are.
    pub count: u64,
    /// The shortest.
    pub min_us: u64,
    /// Half of them are not longer.
    pub p50_us: u64,
    /// 90 of 100 are not.
    pub p90_us: u64,
    /// 99 of 100 are not.
    pub p99_us: u64,
    /// 999 of 1,000 are not.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
    /// All of them: each value with how often it was seen.
    pub values_us: Counts,
}

impl Default for Spread {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).expect("the bounds are in order"))
    }
}

impl Spread {
    /// In less memory, and to two digits.
    pub fn coarse() -> Self {
        Self(Histogram::new_with_bounds(1, MICROS_MAX, COARSE_DIGITS).expect("the bounds are in order"))
    }

    /// The value that this share of all does not pass; `None` where there is none at all.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share))
    }

    /// One more.
    pub fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros.min(MICROS_MAX));
    }

    /// As many more, all alike.
    pub fn record_n(&mut self, micros: u64, count: u64) {
        self.0.saturating_record_n(micros.min(MICROS_MAX), count);
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// For another process.
    pub fn counts(&self) -> Counts {
        let seen = self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()));
        Counts(seen.collect())
    }

    /// What another process saw counts here as well.
    pub fn merge(&mut self, Counts(seen): &Counts) {
        for (value, count) in seen {
            self.0.saturating_record_n(*value, *count);
        }
    }

    /// For people.
    pub fn summary(&self) -> Summary {
        let at = |share| self.quantile(share).unwrap_or(0);
        Summary {
            count: self.0.len(),
            min_us: if self.0.is_empty() { 0 } else { self.0.min() },
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.0.max(),
            values_us: self.counts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_saw_is_what_one_would_have_seen() {
        let (mut one, mut parts) = (Spread::default(), [Spread::default(), Spread::default()]);
        for number in 0..20_000_u64 {
            // Spread over the whole range, and beyond it.
            let micros = number * number * 11;
            one.record(micros);
            parts[usize::from(number % 3 == 0)].record(micros);
        }

        let mut merged = Spread::default();
        for part in &parts {
            let sent = serde_json::to_string(&part.counts()).unwrap();
            merged.merge(&serde_json::from_str(&sent).unwrap());
        }

        // Not `assert_eq`: it would print every value.
        assert!(merged.summary() == one.summary());
        assert_eq!(merged.summary().count, 20_000);
        assert!(merged.summary().max_us.abs_diff(MICROS_MAX) <= MICROS_MAX / 1_000);
    }

    #[test]
    fn a_summary_is_within_a_thousandth_and_of_nothing_is_zero() {
        let mut spread = Spread::default();
        assert_eq!(spread.summary(), Summary::default());

        (1..=1_000).for_each(|number| spread.record(number * 100));

        let summary = spread.summary();
        for (found, wanted) in [(summary.p50_us, 50_000), (summary.p99_us, 99_000), (summary.max_us, 100_000)]
        {
            assert!(found.abs_diff(wanted) <= wanted / 1_000, "{found} for {wanted}");
        }
    }
}
