//! What the notifier counts.

use std::time::Duration;

use doorbell_protocol::backends::Rung;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    core::Collector,
};

/// Seconds: from a local call to beyond the longest delay.
const SECONDS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Users in one claim or batch.
const USERS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// The kinds of calls to the backplane.
const OPERATIONS: [&str; 4] = ["claim", "settle", "sweep", "tell"];

/// How one call to one gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverOutcome {
    /// It answered for every user.
    Answered,
    /// It could not be reached.
    Unreachable,
    /// It had no room.
    Busy,
    /// It did not answer within the deadline.
    Late,
    /// It answered for another number of users than it was asked for.
    BadReply,
    /// It was not called: it failed a moment ago, or has too much of ours in hand.
    Spared,
}

impl DeliverOutcome {
    const ALL: [Self; 6] =
        [Self::Answered, Self::Unreachable, Self::Busy, Self::Late, Self::BadReply, Self::Spared];

    const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::BadReply => "bad_reply",
            Self::Spared => "spared",
        }
    }
}

/// What became of one user at one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserOutcome {
    /// Merged into at least one session.
    Rung,
    /// No session there.
    Absent,
    /// The gateway has told the sessions, but asked to be offered the user again.
    Later,
    /// The gateway did not answer.
    NoAnswer,
}

/// What became of one settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleOutcome {
    /// Done.
    Acked,
    /// Done, and newer news wait already.
    Requeued,
    /// Done, and nobody is left to ring.
    Offline,
    /// To be tried again: a live gateway was out of reach.
    Delayed,
    /// The lease had ended before: somebody else has the user.
    Stale,
}

impl SettleOutcome {
    const ALL: [Self; 5] = [Self::Acked, Self::Requeued, Self::Offline, Self::Delayed, Self::Stale];

    const fn label(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Requeued => "requeued",
            Self::Offline => "offline",
            Self::Delayed => "delayed",
            Self::Stale => "stale",
        }
    }
}

/// The families, their labels resolved once.
#[derive(Clone, Debug)]
pub struct Metrics {
    turns: IntCounter,
    turn_users: Histogram,
    batch_users: Histogram,
    deliver: [Histogram; DeliverOutcome::ALL.len()],
    rung: IntCounter,
    absent: IntCounter,
    later: IntCounter,
    no_answer: IntCounter,
    settlements: [IntCounter; SettleOutcome::ALL.len()],
    hint_age: Histogram,
    swept: IntCounter,
    backplane_errors: IntCounterVec,
    in_hand: IntGauge,
    in_hand_max: IntGauge,
    taken_in: [IntCounter; 3],
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// Where the registry holds one of the names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let families = Families(registry);
        let deliver = families.add(HistogramVec::new(
            HistogramOpts::new(
                "doorbell_notifier_deliver_seconds",
                "Duration of one call to one gateway, by how it ended.",
            )
            .buckets(SECONDS.to_vec()),
            &["outcome"],
        ))?;
        let users = families.counters(
            "doorbell_notifier_users_total",
            "Users delivered to a gateway, by what became of them there.",
            "outcome",
        )?;
        let settlements = families.counters(
            "doorbell_notifier_settlements_total",
            "Claims settled, by what became of them; stale means that the lease had ended before.",
            "outcome",
        )?;
        let backplane_errors = families.counters(
            "doorbell_notifier_backplane_errors_total",
            "Calls to the backplane that failed or were late.",
            "operation",
        )?;
        // From the start, so that the first failure is a step from 0 and not a series that comes out of nothing.
        OPERATIONS.iter().for_each(|operation| _ = backplane_errors.with_label_values(&[operation]));
        let taken_in = families.counters(
            "doorbell_notifier_ingress_users_total",
            "Users named in hints of other back ends, by what became of them; followers count as they are online.",
            "outcome",
        )?;
        Ok(Self {
            taken_in: ["queued", "merged", "offline"].map(|outcome| taken_in.with_label_values(&[outcome])),
            turns: families.counter("doorbell_notifier_turns_total", "Claims that brought at least one user.")?,
            turn_users: families.histogram("doorbell_notifier_turn_users", "Users of one claim.", USERS)?,
            batch_users: families.histogram(
                "doorbell_notifier_batch_users",
                "Users of one call to one gateway.",
                USERS,
            )?,
            deliver: DeliverOutcome::ALL.map(|outcome| deliver.with_label_values(&[outcome.label()])),
            rung: users.with_label_values(&["rung"]),
            absent: users.with_label_values(&["absent"]),
            later: users.with_label_values(&["later"]),
            no_answer: users.with_label_values(&["no_answer"]),
            settlements: SettleOutcome::ALL.map(|outcome| settlements.with_label_values(&[outcome.label()])),
            hint_age: families.histogram(
                "doorbell_notifier_hint_age_seconds",
                "From a user's oldest waiting hint to its delivery to a gateway that has a session of theirs.",
                SECONDS,
            )?,
            swept: families.counter(
                "doorbell_notifier_swept_entries_total",
                "Registry entries of dead gateways found and removed.",
            )?,
            backplane_errors,
            in_hand: families.gauge("doorbell_notifier_in_hand_users", "Users claimed and not yet settled.")?,
            in_hand_max: families.gauge(
                "doorbell_notifier_in_hand_capacity_users",
                "Users that may be in hand at most; at the limit, claiming waits.",
            )?,
        })
    }

    pub(crate) fn capacity(&self, users_max: u32) {
        self.in_hand_max.set(users_max.into());
    }

    pub(crate) fn turn_began(&self, users: usize) {
        self.turns.inc();
        self.turn_users.observe(users as f64);
        self.in_hand.add(signed(users));
    }

    pub(crate) fn let_go(&self, users: usize) {
        self.in_hand.sub(signed(users));
    }

    pub(crate) fn delivered(&self, outcome: DeliverOutcome, users: usize, took: Duration) {
        self.deliver[outcome as usize].observe(took.as_secs_f64());
        if outcome != DeliverOutcome::Spared {
            self.batch_users.observe(users as f64);
        }
    }

    pub(crate) fn user(&self, outcome: UserOutcome) {
        match outcome {
            UserOutcome::Rung => self.rung.inc(),
            UserOutcome::Absent => self.absent.inc(),
            UserOutcome::Later => self.later.inc(),
            UserOutcome::NoAnswer => self.no_answer.inc(),
        }
    }

    pub(crate) fn hint_delivered(&self, age: Duration) {
        self.hint_age.observe(age.as_secs_f64());
    }

    pub(crate) fn settled(&self, outcome: SettleOutcome) {
        self.settlements[outcome as usize].inc();
    }

    pub(crate) fn swept(&self, entries: usize) {
        self.swept.inc_by(entries as u64);
    }

    pub(crate) fn taken_in(&self, rung: Rung) {
        for (counter, users) in self.taken_in.iter().zip([rung.queued, rung.merged, rung.offline]) {
            counter.inc_by(users);
        }
    }

    pub(crate) fn backplane_failed(&self, operation: &'static str) {
        self.backplane_errors.with_label_values(&[operation]).inc();
    }
}

/// Makes a family and registers it.
struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn add<F: Collector + Clone + 'static>(
        &self,
        family: Result<F, prometheus::Error>,
    ) -> Result<F, prometheus::Error> {
        let family = family?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), &[label]))
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help))
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help))
    }
}

fn signed(users: usize) -> i64 {
    i64::try_from(users).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_index_their_own_label() {
        for (index, outcome) in DeliverOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index, "{outcome:?}");
        }
        for (index, outcome) in SettleOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index, "{outcome:?}");
        }
    }
}
