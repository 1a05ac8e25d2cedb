//! What is announced again.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::put;

/// Why a shard's announcements begin again from an earlier commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The backplane is another one than a moment ago.
    StoreChanged,
    /// It is another one than before this process was started.
    ChangedMeanwhile,
}

impl Reason {
    const ALL: [Self; 2] = [Self::StoreChanged, Self::ChangedMeanwhile];

    const fn label(self) -> &'static str {
        match self {
            Self::StoreChanged => "store_changed",
            Self::ChangedMeanwhile => "changed_while_down",
        }
    }
}

pub(super) struct AgainMetrics {
    times: IntCounterVec,
    commits: IntCounter,
}

impl AgainMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let times = Opts::new(
            "doorbell_message_reannouncements_total",
            "Times that a shard's announcements went back because the backplane is another one, by reason",
        );
        let commits = IntCounter::new(
            "doorbell_message_reannounced_commits_total",
            "Commits over which the announcements went back, to announce them again",
        );
        let times = put(registry, IntCounterVec::new(times, &["reason"]))?;
        Reason::ALL.iter().for_each(|reason| _ = times.with_label_values(&[reason.label()]));
        Ok(Self { times, commits: put(registry, commits)? })
    }

    pub(super) fn went_back(&self, reason: Reason, commits: u64) {
        self.times.with_label_values(&[reason.label()]).inc();
        self.commits.inc_by(commits);
    }
}
