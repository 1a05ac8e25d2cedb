//! What the other services call: ring these users, tell the followers of these topics, show these users a signal.

use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::Hint;
use doorbell_rpc::{DeliverRequest, Delivered, GatewayApi, Heard, SignalRequest};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::fanout::{Notice, UserFanOut};
use crate::gateway::Gateway;
use crate::local::{Found, SessionsOfUser};

/// A user of a batch whose mark is being worked on.
struct Refollow {
    /// The place in the batch.
    index: usize,
    sessions: SessionsOfUser,
    /// To be hinted `resync` after it: until then a client's pull could be before what it follows.
    resync: bool,
    done: oneshot::Receiver<()>,
}

#[async_trait]
impl GatewayApi for Gateway {
    /// Answers when each hint is in the memory of each session it counts, or written. A user is looked up and, if
    /// absent, stamped in one step, so that a session that comes at that moment is never taken for absent.
    async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, doorbell_rpc::Error> {
        let mut fan_out = UserFanOut::default();
        let mut notice = Notice::default();
        let mut answers = Vec::with_capacity(batch.len());
        let mut refollows = Vec::new();
        for (index, request) in batch.into_iter().enumerate() {
            if request.user.is_canary() && self.canaries().arrived(&request) {
                answers.push(Delivered::Sessions(1));
                continue;
            }
            let answer = match self.local().find(&request.user, || self.entries().absent(&request.user)) {
                Found::Absent(stamp) => Delivered::Absent(stamp),
                Found::Sessions(sessions) => {
                    notice.set(&request.dirty);
                    let mut resync = false;
                    if request.dirty.refollow() {
                        resync = notice.take_resync();
                    }
                    let taken = if notice.is_empty() {
                        count(sessions.len())
                    } else {
                        fan_out.offer(&mut notice, &sessions, self.setting()).await
                    };
                    if request.dirty.refollow() {
                        let done = self.refollow(&request.user);
                        refollows.push(Refollow { index, sessions, resync, done });
                    }
                    Delivered::Sessions(taken)
                }
            };
            answers.push(answer);
        }
        self.finish_refollows(refollows, &mut answers, &mut fan_out).await;
        Ok(answers)
    }

    async fn publish(&self, hints: Vec<Hint>) -> Result<Vec<Heard>, doorbell_rpc::Error> {
        let hear = |hint: &Hint| match self.raise(hint) {
            Ok(_) => Heard::Followed,
            Err(generation) => Heard::Unfollowed(generation),
        };
        Ok(hints.iter().map(hear).collect())
    }

    async fn signal(&self, request: SignalRequest) -> Result<(), doorbell_rpc::Error> {
        self.show_signal(request).await
    }
}

impl Gateway {
    /// Waits, for a bounded time, until each mark is done (GW-12); whoever's is not is offered again. The work goes on
    /// without the caller.
    async fn finish_refollows(
        &self,
        refollows: Vec<Refollow>,
        answers: &mut [Delivered],
        fan_out: &mut UserFanOut,
    ) {
        let wait: Duration = self.setting().rules.config.refollow_wait;
        let deadline = Instant::now() + wait;
        let metrics = &self.setting().metrics.topics;
        for Refollow { index, sessions, resync, done } in refollows {
            if !matches!(timeout_at(deadline, done).await, Ok(Ok(()))) {
                metrics.refollow_late();
                answers[index] = Delivered::Later;
                continue;
            }
            metrics.refollow_done();
            if resync {
                let taken = fan_out.offer(&mut Notice::resync(), &sessions, self.setting()).await;
                answers[index] = Delivered::Sessions(taken);
            }
        }
    }
}

fn count(sessions: usize) -> u32 {
    u32::try_from(sessions).unwrap_or(u32::MAX)
}
