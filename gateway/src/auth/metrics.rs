//! What is counted of tokens.

use prometheus::{IntCounterVec, Opts, Registry, register_int_counter_vec_with_registry};

use super::Flaw;

/// Counts tokens that do not hold. Cheap to clone: all clones count together.
#[derive(Clone, Debug)]
pub struct TokenMetrics {
    refused: IntCounterVec,
}

impl TokenMetrics {
    /// Makes the family and registers it.
    ///
    /// # Errors
    /// Where the name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "doorbell_gateway_tokens_refused_total",
            "users' tokens that do not hold, by the check that they did not pass",
        );
        let refused = register_int_counter_vec_with_registry!(opts, &["cause"], registry)?;
        for flaw in Flaw::ALL {
            refused.with_label_values(&[flaw.label()]);
        }
        Ok(Self { refused })
    }

    pub(super) fn refused(&self, flaw: Flaw) {
        self.refused.with_label_values(&[flaw.label()]).inc();
    }
}
