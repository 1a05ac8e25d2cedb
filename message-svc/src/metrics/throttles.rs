//! What the throttles count.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::{put, signed};

/// How one round of keeping buckets ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing was to be kept.
    Quiet,
    /// Everything is kept.
    Kept,
    /// The backplane did not take all of it.
    Failed,
}

impl Round {
    /// Their names, in the order of the variants.
    const ALL: [&'static str; 3] = ["quiet", "kept", "failed"];
}

/// The counters of the throttles.
pub struct ThrottleMetrics {
    users: IntGauge,
    rounds: [IntCounter; Round::ALL.len()],
}

impl ThrottleMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let rounds = IntCounterVec::new(
            Opts::new(
                "doorbell_message_throttle_rounds_total",
                "Rounds in which what was taken from buckets was kept in the backplane, for who takes the store over",
            ),
            &["outcome"],
        );
        let rounds = put(registry, rounds)?;
        Ok(Self {
            users: put(
                registry,
                IntGauge::new("doorbell_message_throttle_users", "Users whom the throttle knows"),
            )?,
            rounds: Round::ALL.map(|outcome| rounds.with_label_values(&[outcome])),
        })
    }

    /// They know so many users.
    pub(crate) fn users(&self, users: usize) {
        self.users.set(signed(users));
    }

    /// A round ended.
    pub(crate) fn round(&self, round: Round) {
        self.rounds[round as usize].inc();
    }

    /// How many rounds ended so.
    #[cfg(test)]
    pub(crate) fn rounds(&self, round: Round) -> u64 {
        self.rounds[round as usize].get()
    }
}
