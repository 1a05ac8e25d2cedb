//! What some commits come to, merged: pure.

use std::collections::{BTreeMap, BTreeSet};

use doorbell_protocol::{ConversationId, UserId, Version};

use crate::store::{Commit, Event};

/// Whom to ring for some commits: the greatest version of each conversation says it all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Conversations with the greatest version that these commits appended.
    pub appended: BTreeMap<ConversationId, Version>,
    /// Conversations that were made.
    pub created: BTreeSet<ConversationId>,
    /// Conversations that have other members than before.
    pub reseated: BTreeSet<ConversationId>,
    /// Users whose own list changed.
    pub listed: BTreeSet<UserId>,
}

impl Plan {
    /// Merges commits, in whatever order.
    #[must_use]
    pub fn of(commits: Vec<Commit>) -> Self {
        let mut plan = Self::default();
        for event in commits.into_iter().flat_map(|commit| commit.events) {
            match event {
                Event::Appended { conversation, version } => {
                    let greatest = plan.appended.entry(conversation).or_default();
                    *greatest = version.max(*greatest);
                }
                Event::Created { conversation } => {
                    plan.created.insert(conversation);
                }
                Event::Reseated { conversation } => {
                    plan.reseated.insert(conversation);
                }
                Event::Listed { user } => {
                    plan.listed.insert(user);
                }
            }
        }
        plan
    }

    /// Every conversation whose members are rung, each once.
    pub fn conversations(&self) -> BTreeSet<&ConversationId> {
        self.appended.keys().chain(&self.created).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Position;

    #[test]
    fn many_commits_of_one_conversation_ring_once_with_the_greatest_version() {
        let conversation = ConversationId::new("c").unwrap();
        let appended = |version| Event::Appended {
            conversation: conversation.clone(),
            version: Version::new(version).unwrap(),
        };
        let commit = |number, events| Commit { position: Position(number), events };
        let listed = || Event::Listed { user: UserId::new("ada").unwrap() };

        let plan = Plan::of(vec![
            commit(1, vec![Event::Created { conversation: conversation.clone() }, appended(3), listed()]),
            commit(2, vec![appended(5), listed()]),
            commit(3, vec![appended(4)]),
        ]);

        assert_eq!(plan.appended[&conversation].get(), 5);
        assert_eq!((plan.created.len(), plan.listed.len()), (1, 1));
        assert_eq!(plan.conversations().len(), 1);
    }
}
