//! Which topics a user follows without asking, and which ones by asking; and whom a signal is for.

use std::collections::HashSet;

use doorbell_protocol::{ConversationId, Hint, TopicId, UserId, Version};

use crate::reach::{self, Reach};
use crate::refusal::Refusal;
use crate::store::{Store, StoreError};

/// The user's conversations of more than `small_audience_max` members, each with its head.
///
/// # Errors
/// The store cannot be read.
pub fn large(store: &dyn Store, user: &UserId, small_audience_max: u64) -> Result<Vec<Hint>, Refusal> {
    let mut topics = Vec::new();
    for shard in store.shards().all() {
        let view = store.view(shard)?;
        for (conversation, _) in view.memberships(user)? {
            let head = view.head(&conversation)?.ok_or(StoreError::Damaged { table: "heads" })?;
            if head.members > small_audience_max {
                topics.push(Hint { topic: TopicId::conversation(&conversation), version: head.version });
            }
        }
    }
    Ok(topics)
}

/// Of some topics, those that the user may follow: the own conversations and the own inbox with their versions, and the
/// presence of whoever shares a conversation, whose version is kept by the backplane and is 0 here.
///
/// # Errors
/// The store cannot be read.
pub fn allowed(store: &dyn Store, user: &UserId, topics: Vec<TopicId>) -> Result<Vec<Hint>, Refusal> {
    let mut acquaintances = Acquaintances { store, user, own: None };
    let mut allowed = Vec::new();
    for topic in topics {
        let version = match topic.as_str().split_once(':') {
            Some(("conversation", id)) => head(store, user, id)?,
            Some(("inbox", name)) if name == user.as_str() => {
                Some(store.view(store.shards().of_user(user))?.inbox(user)?.version)
            }
            Some(("presence", name)) => acquaintances.include(name)?.then_some(Version::ZERO),
            _ => None,
        };
        allowed.extend(version.map(|version| Hint { topic, version }));
    }
    Ok(allowed)
}

/// The other members of the small conversation that a topic names, for a member.
///
/// # Errors
/// The topic names no conversation, the user is not in it, or it is a large one. Or the store cannot be read.
pub fn others(
    store: &dyn Store,
    user: &UserId,
    topic: &TopicId,
    small_audience_max: u64,
) -> Result<Vec<UserId>, Refusal> {
    let Some(("conversation", id)) = topic.as_str().split_once(':') else {
        return Err(Refusal::invalid("topic: signals are for conversations, `conversation:…`"));
    };
    let id = ConversationId::new(id).map_err(|_| Refusal::NoConversation)?;
    let view = store.view(store.shards().of_conversation(&id))?;
    if view.membership(user, &id)?.is_none() {
        return Err(Refusal::NoConversation);
    }
    match reach::look_up(&*view, &id, small_audience_max)? {
        Reach::Large => Err(Refusal::Forbidden("topic: this conversation is too large for signals")),
        Reach::Small(members) => Ok(members.iter().filter(|member| *member != user).cloned().collect()),
    }
}

/// How far a conversation has come, for a member.
fn head(store: &dyn Store, user: &UserId, id: &str) -> Result<Option<Version>, Refusal> {
    let Ok(id) = ConversationId::new(id) else { return Ok(None) };
    let view = store.view(store.shards().of_conversation(&id))?;
    if view.membership(user, &id)?.is_none() {
        return Ok(None);
    }
    Ok(view.head(&id)?.map(|head| head.version))
}

/// Who shares a conversation with a user.
struct Acquaintances<'a> {
    store: &'a dyn Store,
    user: &'a UserId,
    /// The user's conversations, once they were needed.
    own: Option<HashSet<ConversationId>>,
}

impl Acquaintances<'_> {
    fn include(&mut self, name: &str) -> Result<bool, Refusal> {
        let Ok(other) = UserId::new(name) else { return Ok(false) };
        if other == *self.user {
            return Ok(true);
        }
        if self.own.is_none() {
            self.own = Some(conversations(self.store, self.user)?.collect());
        }
        let own = self.own.as_ref().expect("it was just read");
        Ok(conversations(self.store, &other)?.any(|shared| own.contains(&shared)))
    }
}

fn conversations(store: &dyn Store, user: &UserId) -> Result<impl Iterator<Item = ConversationId>, Refusal> {
    let mut all = Vec::new();
    for shard in store.shards().all() {
        all.extend(store.view(shard)?.memberships(user)?);
    }
    Ok(all.into_iter().map(|(conversation, _)| conversation))
}
