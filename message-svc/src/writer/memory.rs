//! What a writer remembers of its shard, so that a busy conversation costs no look-up.

use std::collections::HashMap;

use doorbell_protocol::{ConversationId, UserId};

use crate::conversation::{Head, Membership};

/// Conversations or memberships that are remembered at most; beyond that all are forgotten, which costs a look-up
/// each. At a few hundred bytes each, 64 MiB would be the price of a million.
const REMEMBERED_MAX: usize = 50_000;

/// Heads and memberships as of the last commit, and of the one that is being put together.
///
/// Only the shard's writer changes these rows, so what it remembers stays true until a commit fails.
#[derive(Default)]
pub struct Memory {
    pub(super) heads: HashMap<ConversationId, Head>,
    pub(super) memberships: HashMap<(UserId, ConversationId), Membership>,
}

impl Memory {
    /// Forgets everything: after a failed commit, and after the store was opened again.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.memberships.clear();
    }

    /// Keeps it bounded; called between commits.
    pub fn tidy(&mut self) {
        if self.heads.len() > REMEMBERED_MAX || self.memberships.len() > REMEMBERED_MAX {
            self.clear();
        }
    }
}
