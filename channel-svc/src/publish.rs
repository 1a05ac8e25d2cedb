//! The calls to one gateway: what waits for it is sent, one call at a time (CH-3).

use std::sync::Arc;

use doorbell_protocol::Hint;
use doorbell_rpc::{Backoff, Heard};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::line::Line;
use crate::metrics::SendOutcome;
use crate::service::Shared;

/// Sends to one gateway until it is forgotten.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    line: Arc<Line>,
    backoff: Backoff,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>, line: Arc<Line>) -> Self {
        let backoff = Backoff::new(shared.config.delay_min, shared.config.delay_max);
        Self { shared, line, backoff }
    }

    /// Runs until `stop` or until the gateway is forgotten. At the stop, what waits is sent once more; it ends within
    /// the deadline of one call, and who is not told by then learns it by the gateway's look.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let forgotten = self.line.forgotten().clone();
        let deadline = self.shared.config.publish_deadline;
        let late = async {
            stop.cancelled().await;
            sleep(deadline).await;
        };
        tokio::select! {
            // An open call is dropped: another life of the gateway has a sender of its own (CH-3).
            () = forgotten.cancelled() => {}
            () = late => {}
            () = self.rounds(&stop) => {}
        }
    }

    async fn rounds(&mut self, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.line.news()).await.is_some() {
            match self.send_waiting().await {
                Ok(()) => self.backoff.succeeded(),
                Err(outcome) => {
                    let wait = self.backoff.failed();
                    let gateway = self.line.gateway();
                    tracing::debug!(%gateway, ?outcome, ?wait, "a gateway did not take what was published");
                    stop.run_until_cancelled(sleep(wait)).await;
                }
            }
        }
        let _ = self.send_waiting().await;
    }

    /// Sends all that waits, each version once. What is published meanwhile waits for the next round, so that a hot
    /// topic does not keep others from their turn.
    async fn send_waiting(&self) -> Result<(), SendOutcome> {
        let waiting = self.line.take_waiting();
        let batch = self.shared.batch();
        for (sent, hints) in (0..).step_by(batch).zip(waiting.chunks(batch)) {
            if let Err(outcome) = self.send(hints).await {
                self.line.put_back(&waiting[sent..]);
                return Err(outcome);
            }
        }
        Ok(())
    }

    async fn send(&self, hints: &[Hint]) -> Result<(), SendOutcome> {
        let Shared { gateways, config, metrics, directory, .. } = &*self.shared;
        let began = Instant::now();
        let call = gateways.publish(self.line.gateway(), hints.to_vec());
        let reply = timeout(config.publish_deadline, call).await;
        let now = Instant::now();
        let (outcome, heard) = judge(hints.len(), reply.ok());
        metrics.sent(outcome, hints.len(), now - began);
        if outcome != SendOutcome::Answered {
            return Err(outcome);
        }
        self.line.hear(now);
        for (hint, heard) in hints.iter().zip(heard) {
            if let Heard::Unfollowed(up_to) = heard {
                metrics.unfollowed();
                directory.leave(&self.line, &hint.topic, up_to, now);
            }
        }
        Ok(())
    }
}

/// Names the end of a call; `None` is a deadline missed.
fn judge(hints: usize, reply: Option<Result<Vec<Heard>, doorbell_rpc::Error>>) -> (SendOutcome, Vec<Heard>) {
    use doorbell_rpc::Error::{Busy, Unavailable, Unreachable};
    match reply {
        None => (SendOutcome::Late, Vec::new()),
        Some(Err(Unreachable { .. } | Unavailable { .. })) => (SendOutcome::Unreachable, Vec::new()),
        Some(Err(Busy { .. })) => (SendOutcome::Busy, Vec::new()),
        Some(Ok(heard)) if heard.len() == hints => (SendOutcome::Answered, heard),
        Some(Ok(_)) => (SendOutcome::BadReply, Vec::new()),
    }
}
