//! What an operator can see of the queue, the registry and the versions of channels.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

use crate::{Entered, HintReport, LeaseRenewal, Look, QueueDepth, Settled};

/// From a lock in this process, 5 µs, to a store that hardly answers, 2 s.
const CALL_SECONDS: [f64; 10] = [0.000_005, 0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 2.0];

/// The backplane's metric families.
///
/// Counters are of this process's own calls, but for expiries and dead letters, which happen in the store: those and
/// the gauges are set by whoever samples [`crate::HintQueue::depth`], for the whole store.
#[derive(Debug)]
pub struct Metrics {
    hints: [IntCounter; 3],
    claims: IntCounter,
    settled: [IntCounter; 4],
    released: IntCounter,
    enters: [IntCounter; 2],
    renewals: [IntCounter; 2],
    looks: [IntCounter; 3],
    call_seconds: [Histogram; Operation::ALL.len()],
    call_errors: [IntCounter; Operation::ALL.len()],
    users: [IntGauge; 3],
    oldest: Gauge,
    expiries: Sampled,
    dead_letters: Sampled,
}

/// Which call took how long.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Hint,
    Claim,
    Settle,
    Release,
    Depth,
    TakeLease,
    RenewLeases,
    EndLeases,
    Enter,
    Leave,
    LookUp,
    Online,
    Lapsed,
    Raise,
    Read,
    Look,
    Announce,
    Withdraw,
    SettleStore,
    Keep,
    Recall,
}

impl Operation {
    /// Their names, in the order of the variants.
    const ALL: [&'static str; 21] = [
        "hint",
        "claim",
        "settle",
        "release",
        "depth",
        "take_lease",
        "renew_leases",
        "end_leases",
        "enter",
        "leave",
        "look_up",
        "online",
        "lapsed",
        "raise",
        "read",
        "look",
        "announce",
        "withdraw",
        "settle_store",
        "keep",
        "recall",
    ];
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// Where one of the names is taken.
    pub fn register(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        let families = Families(registry);
        let call_seconds = families.add(HistogramVec::new(
            HistogramOpts::new("doorbell_backplane_call_seconds", "Duration of calls to the store.")
                .buckets(CALL_SECONDS.to_vec()),
            &["operation"],
        )?)?;
        let users = families.add(IntGaugeVec::new(
            Opts::new("doorbell_backplane_users", "Users with news, by their state in the queue."),
            &["state"],
        )?)?;
        Ok(Self {
            hints: families.counters(
                Opts::new(
                    "doorbell_backplane_hints_total",
                    "News announced, and the users it was offline for.",
                ),
                "outcome",
                ["queued", "merged", "offline"],
            )?,
            claims: families.counter("doorbell_backplane_claims_total", "Users claimed.")?,
            settled: families.counters(
                Opts::new("doorbell_backplane_settled_total", "Claims settled."),
                "outcome",
                ["acked", "requeued", "delayed", "stale"],
            )?,
            released: families.counter("doorbell_backplane_released_total", "Claims given back untried.")?,
            enters: families.counters(
                Opts::new("doorbell_backplane_enters_total", "Entries asked for."),
                "outcome",
                ["registered", "lease_lapsed"],
            )?,
            renewals: families.counters(
                Opts::new("doorbell_backplane_renewals_total", "Lease renewals."),
                "outcome",
                ["renewed", "lapsed"],
            )?,
            looks: families.counters(
                Opts::new(
                    "doorbell_backplane_looks_total",
                    "Partitions of channels looked at; a gap means that what changed cannot be told.",
                ),
                "outcome",
                ["quiet", "changed", "gap"],
            )?,
            call_seconds: Operation::ALL.map(|name| call_seconds.with_label_values(&[name])),
            call_errors: families.counters(
                Opts::new("doorbell_backplane_call_errors_total", "Calls that the store did not answer."),
                "operation",
                Operation::ALL,
            )?,
            users: ["ready", "claimed", "delayed"].map(|state| users.with_label_values(&[state])),
            oldest: families.add(Gauge::new(
                "doorbell_backplane_oldest_news_seconds",
                "How long the oldest news in the queue have waited.",
            )?)?,
            expiries: Sampled::new(
                families
                    .counter("doorbell_backplane_expiries_total", "Claims that ended with their worker.")?,
            ),
            dead_letters: Sampled::new(
                families.counter("doorbell_backplane_dead_letters_total", "Maps given up for a resync.")?,
            ),
        })
    }

    /// The queue as it was just seen: sets the gauges, and brings the store's own counters up to date.
    pub fn sampled(&self, depth: &QueueDepth) {
        for (gauge, count) in self.users.iter().zip([depth.ready, depth.claimed, depth.delayed]) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.oldest.set(depth.oldest.as_secs_f64());
        self.expiries.sample(depth.expiries);
        self.dead_letters.sample(depth.dead_letters);
    }

    pub(crate) fn hinted(&self, report: &HintReport) {
        let [queued, merged, offline] = &self.hints;
        queued.inc_by(report.queued);
        merged.inc_by(report.merged);
        offline.inc_by(report.offline.len() as u64);
    }

    pub(crate) fn claimed(&self, users: usize) {
        self.claims.inc_by(users as u64);
    }

    pub(crate) fn settled(&self, outcomes: &[Settled]) {
        let [acked, requeued, delayed, stale] = &self.settled;
        for outcome in outcomes {
            match outcome {
                Settled::Acked { requeued: false, .. } => acked.inc(),
                Settled::Acked { requeued: true, .. } => requeued.inc(),
                Settled::Delayed => delayed.inc(),
                Settled::Stale => stale.inc(),
            }
        }
    }

    pub(crate) fn released(&self, claims: usize) {
        self.released.inc_by(claims as u64);
    }

    pub(crate) fn entered(&self, outcomes: &[Entered]) {
        let [registered, lease_lapsed] = &self.enters;
        for outcome in outcomes {
            match outcome {
                Entered::Registered => registered.inc(),
                Entered::LeaseLapsed => lease_lapsed.inc(),
            }
        }
    }

    pub(crate) fn renewed(&self, outcomes: &[LeaseRenewal]) {
        let [renewed, lapsed] = &self.renewals;
        for outcome in outcomes {
            match outcome {
                LeaseRenewal::Renewed(_) => renewed.inc(),
                LeaseRenewal::Lapsed => lapsed.inc(),
            }
        }
    }

    pub(crate) fn looked(&self, looks: &[Look]) {
        let [quiet, changed, gap] = &self.looks;
        for look in looks {
            match &look.changed {
                None => gap.inc(),
                Some(shown) if shown.is_empty() => quiet.inc(),
                Some(_) => changed.inc(),
            }
        }
    }

    pub(crate) fn called(&self, operation: Operation, took: Duration) {
        self.call_seconds[operation as usize].observe(took.as_secs_f64());
    }

    pub(crate) fn failed(&self, operation: Operation) {
        self.call_errors[operation as usize].inc();
    }
}

/// A counter that the store keeps, seen now and then. It goes back only when the store starts anew.
#[derive(Debug)]
struct Sampled {
    counter: IntCounter,
    /// The store's value at the last sample.
    last: AtomicU64,
}

impl Sampled {
    fn new(counter: IntCounter) -> Self {
        Self { counter, last: AtomicU64::new(0) }
    }

    fn sample(&self, total: u64) {
        let last = self.last.swap(total, Ordering::Relaxed);
        self.counter.inc_by(total.checked_sub(last).unwrap_or(total));
    }
}

/// Makes families in a registry.
struct Families<'a>(&'a prometheus::Registry);

impl Families<'_> {
    fn add<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?)
    }

    /// One counter for each value of the label, all of them there from the start.
    fn counters<const N: usize>(
        &self,
        opts: Opts,
        label: &str,
        values: [&str; N],
    ) -> Result<[IntCounter; N], prometheus::Error> {
        let family = self.add(IntCounterVec::new(opts, &[label])?)?;
        Ok(values.map(|value| family.with_label_values(&[value])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_starts_anew_takes_nothing_away() {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();

        let seen = [3, 5, 5, 2].map(|dead_letters| {
            metrics.sampled(&QueueDepth { dead_letters, ..QueueDepth::default() });
            metrics.dead_letters.counter.get()
        });

        assert_eq!(seen, [3, 5, 5, 7]);
    }

    #[test]
    fn every_operation_has_its_name() {
        assert_eq!(Operation::ALL[Operation::Hint as usize], "hint");
        assert_eq!(Operation::ALL[Operation::Lapsed as usize], "lapsed");
        assert_eq!(Operation::ALL[Operation::Look as usize], "look");
        assert_eq!(Operation::ALL[Operation::SettleStore as usize], "settle_store");
    }
}
