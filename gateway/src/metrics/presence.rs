//! What the gateway counts of who comes and who goes.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry, register_int_gauge_with_registry};

use super::by_label;

/// What became of one user's move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Message-svc took it.
    Done,
    /// It did not; it is tried again.
    Failed,
    /// Another move of the user waited: one of them says it.
    Merged,
    /// Too many wait.
    Dropped,
}

impl Told {
    const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::Merged, Self::Dropped];

    const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Merged => "merged",
            Self::Dropped => "dropped",
        }
    }
}

/// How a user's grace after the last session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GraceEnd {
    /// The user was back, and nobody noticed.
    Returned,
    /// The user was back, after the entry may have gone.
    Missed,
    /// The user stayed away.
    Over,
    /// Too many wait: the user had waited longest.
    Cut,
}

impl GraceEnd {
    const ALL: [Self; 4] = [Self::Returned, Self::Missed, Self::Over, Self::Cut];

    const fn label(self) -> &'static str {
        match self {
            Self::Returned => "returned",
            Self::Missed => "missed",
            Self::Over => "over",
            Self::Cut => "cut",
        }
    }
}

/// The families of presence. Cheap to clone: they are shared.
#[derive(Clone, Debug)]
pub(crate) struct PresenceMetrics {
    moves: IntCounterVec,
    waiting: IntGauge,
    lingering: IntGauge,
    graces: IntCounterVec,
}

impl PresenceMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        Ok(Self {
            moves: by_label(
                Opts::new(
                    "doorbell_gateway_presence_moves_total",
                    "users who came or went, by what became of telling message-svc",
                ),
                "outcome",
                &Told::ALL.map(Told::label),
                registry,
            )?,
            waiting: gauge(
                "doorbell_gateway_presence_waiting",
                "users of whom message-svc is to be told that they came or went; at most `presence_waiting_max`",
            )?,
            lingering: gauge(
                "doorbell_gateway_lingering_users",
                "users whose last session ended within `presence_grace`; at most 65536 a partition",
            )?,
            graces: by_label(
                Opts::new(
                    "doorbell_gateway_graces_total",
                    "users whose last session had ended, by how their grace ended",
                ),
                "end",
                &GraceEnd::ALL.map(GraceEnd::label),
                registry,
            )?,
        })
    }

    pub(crate) fn moved(&self, told: Told, users: usize) {
        self.moves.with_label_values(&[told.label()]).inc_by(users as u64);
    }

    pub(crate) fn waiting(&self, users: usize) {
        self.waiting.set(users as i64);
    }

    /// A partition's number of users who linger changed.
    pub(crate) fn lingering_changed(&self, before: usize, after: usize) {
        self.lingering.add(after as i64 - before as i64);
    }

    pub(crate) fn grace_ended(&self, end: GraceEnd, users: usize) {
        self.graces.with_label_values(&[end.label()]).inc_by(users as u64);
    }
}
