//! What users are not to be woken for.

use doorbell_protocol::{ConversationId, TopicId, UserId};
use doorbell_rpc::Missed;

use crate::refusal::Refusal;
use crate::store::Store;

/// Without the conversations that their user has muted or left, and without users who have nothing left.
///
/// # Errors
/// The store cannot be read.
pub fn unmuted(store: &dyn Store, missed: Vec<Missed>) -> Result<Vec<Missed>, Refusal> {
    let mut left = Vec::with_capacity(missed.len());
    for Missed { user, mut news } in missed {
        let mut failed = None;
        news.retain(|topic| match is_muted(store, &user, topic) {
            Ok(muted) => !muted,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if !news.is_empty() {
            left.push(Missed { user, news });
        }
    }
    Ok(left)
}

fn is_muted(store: &dyn Store, user: &UserId, topic: &TopicId) -> Result<bool, Refusal> {
    let Some(("conversation", id)) = topic.as_str().split_once(':') else { return Ok(false) };
    let Ok(id) = ConversationId::new(id) else { return Ok(false) };
    let view = store.view(store.shards().of_conversation(&id))?;
    Ok(view.membership(user, &id)?.is_none_or(|member| member.muted))
}
