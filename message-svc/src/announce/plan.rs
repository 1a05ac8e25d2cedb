//! What some commits come to, merged: pure.

use std::collections::{BTreeMap, BTreeSet};

use doorbell_protocol::{ConversationId, UserId, Version};

use crate::store::{Commit, Event, Reseating};

/// Whom to ring for some commits: the greatest version of each conversation says it all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Conversations with the greatest version that these commits appended.
    pub appended: BTreeMap<ConversationId, Version>,
    /// Conversations that were made.
    pub created: BTreeSet<ConversationId>,
    /// Conversations that have other members than before.
    pub reseated: BTreeSet<ConversationId>,
    /// Of these, the ones whose followers change.
    pub refollows: BTreeMap<ConversationId, Refollow>,
    /// Users whose own list changed.
    pub listed: BTreeSet<UserId>,
    /// Users who have another status.
    pub statuses: BTreeSet<UserId>,
}

/// Who must ask again which large topics they have, because of one conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refollow {
    /// It crossed the threshold, one way or the other: all its members.
    pub crossed: bool,
    /// Who came into a large one.
    pub joined: BTreeSet<UserId>,
    /// Who left a large one.
    pub left: BTreeSet<UserId>,
}

impl Refollow {
    fn take(&mut self, change: Reseating, crossed: bool) {
        self.crossed |= crossed;
        for user in change.joined {
            self.left.remove(&user);
            self.joined.insert(user);
        }
        for user in change.left {
            self.joined.remove(&user);
            self.left.insert(user);
        }
    }
}

impl Plan {
    /// Merges commits, in their order. An audience of more than `small_audience_max` is large.
    #[must_use]
    pub fn of(commits: Vec<Commit>, small_audience_max: u64) -> Self {
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
                Event::Reseated { conversation, change } => {
                    let (was, is) = (change.before > small_audience_max, change.after > small_audience_max);
                    if was || is {
                        plan.refollows.entry(conversation.clone()).or_default().take(change, was != is);
                    }
                    plan.reseated.insert(conversation);
                }
                Event::Listed { user } => {
                    plan.listed.insert(user);
                }
                Event::Status { user } => {
                    plan.statuses.insert(user);
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

        let commits = vec![
            commit(1, vec![Event::Created { conversation: conversation.clone() }, appended(3), listed()]),
            commit(2, vec![appended(5), listed()]),
            commit(3, vec![appended(4)]),
        ];
        let plan = Plan::of(commits, 100);

        assert_eq!(plan.appended[&conversation].get(), 5);
        assert_eq!((plan.created.len(), plan.listed.len()), (1, 1));
        assert_eq!(plan.conversations().len(), 1);
    }

    fn reseated(before: u64, after: u64, joined: &[&str], left: &[&str]) -> Commit {
        let users = |names: &[&str]| names.iter().map(|name| UserId::new(*name).unwrap()).collect();
        let change = Reseating { before, after, joined: users(joined), left: users(left) };
        let conversation = ConversationId::new("c").unwrap();
        Commit { position: Position(1), events: vec![Event::Reseated { conversation, change }] }
    }

    fn refollow(commits: Vec<Commit>) -> Option<Refollow> {
        Plan::of(commits, 2).refollows.into_values().next()
    }

    #[test]
    fn a_crossing_in_either_direction_concerns_everybody() {
        assert!(refollow(vec![reseated(2, 3, &["ada"], &[])]).unwrap().crossed);
        assert!(refollow(vec![reseated(3, 2, &[], &["ada"])]).unwrap().crossed);
        let there_and_back = vec![reseated(2, 3, &["ada"], &[]), reseated(3, 2, &[], &["ada"])];
        assert!(refollow(there_and_back).unwrap().crossed);
    }

    #[test]
    fn in_a_large_audience_only_who_comes_or_goes_is_concerned_and_the_last_word_counts() {
        let ada = || BTreeSet::from([UserId::new("ada").unwrap()]);
        let came = refollow(vec![reseated(4, 3, &[], &["ada"]), reseated(3, 4, &["ada"], &[])]);
        assert_eq!(came, Some(Refollow { crossed: false, joined: ada(), left: BTreeSet::new() }));
        let went = refollow(vec![reseated(3, 4, &["ada"], &[]), reseated(4, 3, &[], &["ada"])]);
        assert_eq!(went, Some(Refollow { crossed: false, joined: BTreeSet::new(), left: ada() }));
    }

    #[test]
    fn a_small_audience_has_no_followers_to_change() {
        assert_eq!(refollow(vec![reseated(1, 2, &["ada"], &[])]), None);
    }
}
