//! What the message service counts of who comes and who goes.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::put;

/// What became of one user's coming or going, or of a new status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MoveOutcome {
    /// Who follows the user is told.
    Published,
    /// The user does not want to be seen.
    Hidden,
    /// The user went from one gateway and is there by another.
    Elsewhere,
}

impl MoveOutcome {
    const ALL: [Self; 3] = [Self::Published, Self::Hidden, Self::Elsewhere];

    const fn label(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Hidden => "hidden",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// The families of presence.
pub(crate) struct PresenceMetrics {
    seen_users: IntGauge,
    moves: [IntCounter; 3],
}

impl PresenceMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seen_users = IntGauge::new(
            "doorbell_message_seen_users",
            "Users of whom is known when they were seen last; at most `seen_users_max`",
        );
        let moves = IntCounterVec::new(
            Opts::new(
                "doorbell_message_presence_total",
                "Users who came, went or set a status, by what became of telling it",
            ),
            &["outcome"],
        );
        let moves = put(registry, moves)?;
        Ok(Self {
            seen_users: put(registry, seen_users)?,
            moves: MoveOutcome::ALL.map(|outcome| moves.with_label_values(&[outcome.label()])),
        })
    }

    /// It is known of so many users when they were seen last.
    pub(crate) fn seen_users(&self, users: usize) {
        self.seen_users.set(i64::try_from(users).unwrap_or(i64::MAX));
    }

    /// So many users came, went or set a status.
    pub(crate) fn moved(&self, outcome: MoveOutcome, users: usize) {
        self.moves[outcome as usize].inc_by(u64::try_from(users).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_index_their_own_label() {
        for (index, outcome) in MoveOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index, "{outcome:?}");
        }
    }
}
