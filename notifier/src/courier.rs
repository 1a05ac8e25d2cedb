//! One call to one gateway, with its deadline.

use std::sync::Arc;
use std::time::Duration;

use doorbell_rpc::{Delivered, Gateways, failpoint};
use tokio::time::Instant;

use crate::batch::{Batch, Route};
use crate::metrics::{DeliverOutcome, Metrics};
use crate::reach::Reach;
use crate::settle::Answer;

/// Delivers batches. Whatever happens, there is an answer within the deadline.
pub(crate) struct Courier {
    pub(crate) gateways: Arc<dyn Gateways>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) deadline: Duration,
    pub(crate) delay_max: Duration,
    pub(crate) metrics: Metrics,
}

impl Courier {
    /// Calls the batch's gateway, unless it is to be spared.
    pub(crate) async fn deliver(&self, batch: Batch) -> (Route, Answer) {
        let Batch { route, requests } = batch;
        let users = requests.len();
        let began = Instant::now();
        let pass = match self.reach.admit(&route.gateway, users, began) {
            Ok(pass) => pass,
            Err(delay) => {
                self.metrics.delivered(DeliverOutcome::Spared, users, Duration::ZERO);
                return (route, Answer::None { delay });
            }
        };
        failpoint::pass("notifier.before-push");
        let call = self.gateways.deliver(&route.gateway, requests);
        let reply = tokio::time::timeout(self.deadline, call).await;
        let now = Instant::now();
        let (outcome, outcomes) = judge(users, reply.ok());
        self.metrics.delivered(outcome, users, now - began);
        let answer = if outcome == DeliverOutcome::Answered {
            pass.answered();
            // The gateway has waited already before it said so.
            let later = self.delay_max.mul_f64(rand::random_range(0.25..=0.5));
            Answer::Outcomes { outcomes, later }
        } else {
            let delay = pass.failed(now);
            tracing::debug!(gateway = %route.gateway, users, ?outcome, ?delay, "a gateway did not answer");
            Answer::None { delay }
        };
        (route, answer)
    }
}

/// Names the end of a call; `None` is a deadline missed.
fn judge(
    users: usize,
    reply: Option<Result<Vec<Delivered>, doorbell_rpc::Error>>,
) -> (DeliverOutcome, Vec<Delivered>) {
    match reply {
        None => (DeliverOutcome::Late, Vec::new()),
        Some(Err(doorbell_rpc::Error::Unreachable { .. } | doorbell_rpc::Error::Unavailable { .. })) => {
            (DeliverOutcome::Unreachable, Vec::new())
        }
        Some(Err(doorbell_rpc::Error::Busy { .. })) => (DeliverOutcome::Busy, Vec::new()),
        Some(Ok(outcomes)) if outcomes.len() == users => (DeliverOutcome::Answered, outcomes),
        Some(Ok(_)) => (DeliverOutcome::BadReply, Vec::new()),
    }
}
