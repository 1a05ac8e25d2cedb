//! What notifiers call: ring these users.

use async_trait::async_trait;
use doorbell_protocol::{Generation, Hint};
use doorbell_rpc::{DeliverRequest, Delivered, GatewayApi, Heard};

use crate::fanout::{FanOut, Notice};
use crate::gateway::Gateway;
use crate::local::Found;

#[async_trait]
impl GatewayApi for Gateway {
    /// Answers when each hint is in the memory of each session it counts, or written. A user is looked up and, if
    /// absent, stamped in one step, so that a session that comes at that moment is never taken for absent.
    async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, doorbell_rpc::Error> {
        let mut fan_out = FanOut::default();
        let mut notice = Notice::default();
        let mut answers = Vec::with_capacity(batch.len());
        for request in batch {
            let answer = match self.local().find(&request.user, || self.entries().absent(&request.user)) {
                Found::Absent(stamp) => Delivered::Absent(stamp),
                Found::Sessions(sessions) => {
                    notice.set(&request.dirty);
                    let taken = if notice.is_empty() {
                        u32::try_from(sessions.len()).unwrap_or(u32::MAX)
                    } else {
                        fan_out.offer(&mut notice, &sessions, self.setting()).await
                    };
                    Delivered::Sessions(taken)
                }
            };
            answers.push(answer);
        }
        Ok(answers)
    }

    /// No topic is followed here yet: whatever was said before is stale.
    async fn publish(&self, hints: Vec<Hint>) -> Result<Vec<Heard>, doorbell_rpc::Error> {
        Ok(hints.iter().map(|_| Heard::Unfollowed(Generation(u64::MAX))).collect())
    }
}
