//! Who may follow what: what gateways ask.

use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{ConversationId, Hint, TopicId, UserId};
use doorbell_rpc::{Audiences, Error, Missed, Mutes};
use tokio::time::timeout;

use super::MessageService;
use crate::read::{audiences, mutes};
use crate::refusal::Refusal;

/// How long `conversations.get` waits for the number of members online; without it, it answers all the same.
const ONLINE_TIMEOUT: Duration = Duration::from_millis(500);

#[async_trait]
impl Audiences for MessageService {
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, Error> {
        let small_audience_max = self.tools.config.small_audience_max;
        let read = self.audiences.read(move |store| {
            users.iter().map(|user| audiences::large(store, user, small_audience_max)).collect()
        });
        read.await.map_err(unavailable)
    }

    async fn authorize(&self, user: &UserId, topics: Vec<TopicId>) -> Result<Vec<Hint>, Error> {
        let _turn = self.turns.take(user).await;
        let user = user.clone();
        let read = self.audiences.read(move |store| audiences::allowed(store, &user, topics));
        read.await.map_err(unavailable)
    }
}

#[async_trait]
impl Mutes for MessageService {
    async fn unmuted(&self, missed: Vec<Missed>) -> Result<Vec<Missed>, Error> {
        self.mutes.read(move |store| mutes::unmuted(store, missed)).await.map_err(unavailable)
    }
}

impl MessageService {
    /// How many members of a large conversation are online; `None` for a small one, and where nobody can tell now.
    pub(super) async fn online(&self, conversation: &ConversationId, members: u64) -> Option<u64> {
        if members <= self.tools.config.small_audience_max {
            return None;
        }
        let topic = TopicId::conversation(conversation);
        let asked = timeout(ONLINE_TIMEOUT, self.neighbours.channels.followers(vec![topic]));
        let counted = asked.await.ok()?.ok()?.first().copied()?;
        // A user with sessions at two gateways is counted at both.
        Some(counted.min(members))
    }
}

fn unavailable(refusal: Refusal) -> Error {
    Error::Unavailable { service: "message-svc", reason: refusal.to_string() }
}
