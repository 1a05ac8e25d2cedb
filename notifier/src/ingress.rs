//! Hints from other back ends, into the queue or out to a topic's followers.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use doorbell_backplane::{HintQueue, HintReport, News, UserHint};
use doorbell_protocol::backends::{Ring, Rung};
use doorbell_protocol::{DirtyMap, ErrorBody, ErrorCode, Hint, Raise, TopicId, UserId};
use doorbell_rpc::{Channels, Missed, OfflineHook};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::metrics::Metrics;

/// Users of one call to the queue at most.
const USERS_MAX: usize = 4_096;
/// Calls to the queue under way for one call of a back end: a round trip each, where the queue is on another machine.
const CALLS_MAX: usize = 16;
/// When to come back where the queue or the channel service did not answer.
const RETRY_MS: u64 = 1_000;

/// Takes hints from other back ends.
pub struct Ingress {
    /// Who is to be rung.
    pub queue: Arc<dyn HintQueue>,
    /// Who tells followers; `None` where large audiences are not offered.
    pub channels: Option<Arc<dyn Channels>>,
    /// Who hears of users without a session.
    pub offline: Option<Arc<dyn OfflineHook>>,
    /// Kinds of topics whose versions somebody of ours counts. A foreign version above the true one would hide true hints
    /// from clients until it is reached.
    pub reserved_kinds: &'static [&'static str],
    /// What it counts.
    pub metrics: Metrics,
}

impl Ingress {
    fn check(&self, rings: &[Ring]) -> Result<(), ErrorBody> {
        for (index, ring) in rings.iter().enumerate() {
            if self.reserved_kinds.contains(&ring.topic.kind()) {
                let message = format!(
                    "`hints[{index}].topic`: must be of another kind than {}, whose versions are counted here",
                    self.reserved_kinds.join(", ")
                );
                return Err(ErrorBody::new(ErrorCode::Forbidden, message));
            }
            if ring.users.is_none() && self.channels.is_none() {
                let message =
                    format!("`hints[{index}].users`: must be given: followers cannot be rung here yet");
                return Err(ErrorBody::new(ErrorCode::Unsupported, message));
            }
        }
        Ok(())
    }

    async fn ring_users(&self, hint: Hint, users: Vec<UserId>) -> Result<Rung, ErrorBody> {
        let news = |user| UserHint { user, news: News::Hint(hint.clone()) };
        let HintReport { queued, merged, offline } = self
            .queue
            .hint(users.into_iter().map(news).collect())
            .await
            .map_err(|error| unavailable(&error))?;
        let rung = Rung { queued, merged, offline: offline.len() as u64 };
        self.metrics.taken_in(rung);
        if let Some(hook) = self.offline.as_ref().filter(|_| !offline.is_empty()) {
            let mut news = DirtyMap::default();
            news.hint(hint);
            hook.missed(offline.into_iter().map(|user| Missed { user, news: news.clone() }).collect());
        }
        Ok(rung)
    }

    /// One call for all topics: it stores the versions before it answers.
    async fn tell_followers(&self, hints: Vec<(usize, Hint)>, rung: &mut [Rung]) -> Result<(), ErrorBody> {
        let Some(channels) = self.channels.as_ref().filter(|_| !hints.is_empty()) else { return Ok(()) };
        let raises = hints.iter().map(|(_, hint)| (hint.topic.clone(), Raise::To(hint.version))).collect();
        let topics: Vec<TopicId> = hints.iter().map(|(_, hint)| hint.topic.clone()).collect();
        let stored = channels.publish(raises).await.map_err(|error| unavailable(&error))?;
        let followers = channels.followers(topics).await.map_err(|error| unavailable(&error))?;
        for (((index, hint), stored), followers) in hints.into_iter().zip(stored).zip(followers) {
            // A greater one is stored: they were told of that.
            let counts =
                if stored > hint.version { &mut rung[index].merged } else { &mut rung[index].queued };
            *counts += followers;
            self.metrics.taken_in(rung[index]);
        }
        Ok(())
    }
}

#[async_trait]
impl doorbell_rpc::Ingress for Ingress {
    async fn ring(&self, rings: Vec<Ring>) -> Result<Vec<Rung>, ErrorBody> {
        self.check(&rings)?;
        let mut rung = vec![Rung::default(); rings.len()];
        let (mut named, mut followed) = (Vec::new(), Vec::new());
        for (index, Ring { topic, version, users }) in rings.into_iter().enumerate() {
            let hint = Hint { topic, version };
            let Some(users) = users else {
                followed.push((index, hint));
                continue;
            };
            // Each once: the queue counts a user as often as it is named.
            let mut seen = HashSet::with_capacity(users.len());
            let users: Vec<UserId> = users.into_iter().filter(|user| seen.insert(user.clone())).collect();
            named.extend(users.chunks(USERS_MAX).map(|chunk| (index, hint.clone(), chunk.to_vec())));
        }
        let calls = named.into_iter().map(async |(index, hint, users)| {
            Ok::<_, ErrorBody>((index, self.ring_users(hint, users).await?))
        });
        let answers: Vec<(usize, Rung)> =
            stream::iter(calls).buffer_unordered(CALLS_MAX).try_collect().await?;
        for (index, part) in answers {
            let whole = &mut rung[index];
            whole.queued += part.queued;
            whole.merged += part.merged;
            whole.offline += part.offline;
        }
        self.tell_followers(followed, &mut rung).await?;
        Ok(rung)
    }
}

fn unavailable(error: &dyn std::error::Error) -> ErrorBody {
    tracing::warn!(%error, "hints of another back end could not be taken in; it is told to repeat them");
    ErrorBody::retry_after(
        ErrorCode::Unavailable,
        "hints cannot be taken in now; some users may have been rung: repeat the call, hints merge",
        RETRY_MS,
    )
}

#[cfg(test)]
mod tests;
