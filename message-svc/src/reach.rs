//! Whom a conversation's change reaches.
//!
//! An audience is read from a view that shows the announced commits or later ones. Whoever was added before a message
//! is in it, whoever was removed before it is not; who was removed after it may be left out as well, and learns so
//! from the own inbox. What is remembered stays true because a commit that changes an audience comes by here, in its
//! turn, before the commits after it are announced: [`Audiences::forget`] first, then look up.
//!
//! After a crash nothing is remembered, and the commits since the announcer's cursor come again: their audiences are
//! read as they are by then.

use std::collections::HashMap;
use std::sync::Arc;

use doorbell_protocol::{ConversationId, UserId};

use crate::store::{StoreError, View};

/// Conversations whose audiences are looked up and rung at a time: what is in hand is that many times the largest.
pub const CONVERSATIONS_MAX: usize = 256;
/// Members that are remembered at most, over all conversations: some 50 bytes each.
const MEMBERS_MAX: usize = 400_000;

/// Everybody who is rung for a conversation's change.
pub type Audience = Arc<[UserId]>;

/// Audiences of one shard's conversations, as of the commits read so far.
#[derive(Debug, Default)]
pub struct Audiences {
    known: HashMap<ConversationId, Audience>,
    members: usize,
}

impl Audiences {
    /// Forgets an audience that has changed.
    pub fn forget(&mut self, conversation: &ConversationId) {
        if let Some(audience) = self.known.remove(conversation) {
            self.members -= audience.len();
        }
    }

    /// Of these conversations, those whose audience has to be looked up; makes room for them.
    pub fn unknown(&mut self, wanted: &[ConversationId]) -> Vec<ConversationId> {
        if self.members > MEMBERS_MAX {
            *self = Self::default();
        }
        wanted.iter().filter(|id| !self.known.contains_key(*id)).cloned().collect()
    }

    /// Keeps what was looked up.
    pub fn keep(&mut self, conversation: ConversationId, audience: Audience) {
        self.forget(&conversation);
        self.members += audience.len();
        self.known.insert(conversation, audience);
    }

    /// Who is rung; nobody where it was not looked up.
    #[must_use]
    pub fn of(&self, conversation: &ConversationId) -> &[UserId] {
        self.known.get(conversation).map_or(&[], |audience| audience)
    }
}

/// Reads who is in an audience.
///
/// # Errors
/// As the view's.
pub fn look_up(view: &dyn View, conversation: &ConversationId) -> Result<Audience, StoreError> {
    let members = view.members(conversation, None, usize::MAX)?;
    Ok(members.into_iter().map(|member| member.user).collect())
}
