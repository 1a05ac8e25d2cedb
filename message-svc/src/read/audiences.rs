//! Which topics a user follows without asking, and which ones by asking; and whom a signal is for.

use std::collections::HashSet;

use doorbell_protocol::{ConversationId, Hint, TopicId, UserId, Version};

use crate::conversation::direct_id;
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
    let mut acquaintances = Acquaintances::of(store, user);
    let mut allowed = Vec::new();
    for topic in topics {
        let version = match topic.as_str().split_once(':') {
            Some(("conversation", id)) => head(store, user, id)?,
            Some(("inbox", name)) if name == user.as_str() => {
                Some(store.view(store.shards().of_user(user))?.inbox(user)?.version)
            }
            Some(("presence", name)) => match UserId::new(name) {
                Ok(other) => acquaintances.include(&other)?.then_some(Version::ZERO),
                Err(_) => None,
            },
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

/// Who shares a conversation with a user: exact, and as a rule without reading all that the other one is in.
pub(super) struct Acquaintances<'a> {
    store: &'a dyn Store,
    user: &'a UserId,
    /// The user's conversations, once they were needed.
    own: Option<HashSet<ConversationId>>,
}

/// With so few conversations of the user's, each is looked up for the other one, who may have very many.
const LOOKED_UP_MAX: usize = 32;

impl<'a> Acquaintances<'a> {
    pub(super) const fn of(store: &'a dyn Store, user: &'a UserId) -> Self {
        Self { store, user, own: None }
    }

    /// Whether the user may see the other one; everybody sees themselves.
    pub(super) fn include(&mut self, other: &UserId) -> Result<bool, Refusal> {
        if other == self.user || self.is_member(other, &direct_id(self.user, other))? {
            return Ok(true);
        }
        let own = match self.own.take() {
            Some(own) => own,
            None => conversations(self.store, self.user)?.into_iter().collect(),
        };
        let shares = self.share_any(&own, other);
        self.own = Some(own);
        shares
    }

    fn share_any(&self, own: &HashSet<ConversationId>, other: &UserId) -> Result<bool, Refusal> {
        if own.len() > LOOKED_UP_MAX {
            return Ok(conversations(self.store, other)?.iter().any(|shared| own.contains(shared)));
        }
        for conversation in own {
            if self.is_member(other, conversation)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_member(&self, user: &UserId, conversation: &ConversationId) -> Result<bool, Refusal> {
        let view = self.store.view(self.store.shards().of_conversation(conversation))?;
        Ok(view.membership(user, conversation)?.is_some())
    }
}

fn conversations(store: &dyn Store, user: &UserId) -> Result<Vec<ConversationId>, Refusal> {
    let mut all = Vec::new();
    for shard in store.shards().all() {
        all.extend(store.view(shard)?.memberships(user)?.into_iter().map(|(conversation, _)| conversation));
    }
    Ok(all)
}
