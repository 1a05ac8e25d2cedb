//! The budgets of the five phases in which a process ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a process ends: each phase has a budget and ends early when there is nothing left to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long `/readyz` says 503 before new sockets are refused, so that a load balancer can notice. 0 for none.
    #[serde(with = "humantime_serde")]
    pub unready_budget: Duration,
    /// How long clients have to move to another gateway after their `goaway`.
    #[serde(with = "humantime_serde")]
    pub move_budget: Duration,
    /// How long claims, leases and announcements have to be finished or given back.
    #[serde(with = "humantime_serde")]
    pub finish_budget: Duration,
}

impl Default for Shutdown {
    /// Together below the 30 s that Kubernetes waits before it kills.
    fn default() -> Self {
        Self {
            unready_budget: Duration::ZERO,
            move_budget: Duration::from_secs(15),
            finish_budget: Duration::from_secs(5),
        }
    }
}

impl Shutdown {
    /// Checks each budget by itself.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn validate(&self) -> Result<(), String> {
        if self.finish_budget.is_zero() {
            return Err(
                "`finish_budget` must be longer than zero, or claims and leases are left to expire".into()
            );
        }
        Ok(())
    }
}
