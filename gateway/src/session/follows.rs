//! What one session follows, and why: its user's large topics, and what it subscribed to.
//!
//! This list is the word that counts; the index of topics is brought in line with it. A session that follows nothing
//! has none.

use std::collections::{HashMap, HashSet};

use doorbell_protocol::TopicId;

/// One `subscribe` of a session: a later one has a greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ordinal(u32);

/// How a session stands to a topic by `subscribe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscribed {
    /// It did not, or no longer.
    No,
    /// It asked, and has no answer yet.
    Asked(Ordinal),
    /// It was allowed to, by the answer to this one.
    Allowed(Ordinal),
    /// It was allowed to, and whether it still is could not be found out in time: it is not hinted meanwhile.
    Suspended(Ordinal),
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Follow {
    topic: TopicId,
    /// One of its user's large topics.
    own: bool,
    subscribed: Subscribed,
}

impl Follow {
    const fn is_in_force(&self) -> bool {
        self.own || matches!(self.subscribed, Subscribed::Allowed(_))
    }

    const fn is_void(&self) -> bool {
        !self.own && matches!(self.subscribed, Subscribed::No)
    }
}

/// What a session has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// What a new list of large topics changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Followed from now on.
    pub(crate) added: Vec<TopicId>,
    /// Followed no longer.
    pub(crate) removed: Vec<TopicId>,
}

/// The list, in the order of the topics.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Follows {
    topics: Vec<Follow>,
    asked: u32,
}

impl Follows {
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether hints of the topic go to this session.
    pub(crate) fn contains(&self, topic: &TopicId) -> bool {
        self.find(topic).is_ok_and(|at| self.topics[at].is_in_force())
    }

    /// Takes the user's large topics in place of the last ones. A large topic that is so no longer, because the user
    /// left or because it is small again, is let go with its subscription: what the user may still see of it comes
    /// through the queue.
    pub(crate) fn set_own(&mut self, own: &[TopicId]) -> Changed {
        let mut changed = Changed::default();
        let set: HashSet<_> = own.iter().collect();
        self.topics.retain(|follow| {
            let goes = follow.own && !set.contains(&follow.topic);
            if goes {
                changed.removed.push(follow.topic.clone());
            }
            !goes
        });
        for topic in own {
            let was = self.contains(topic);
            self.entry(topic).own = true;
            if !was {
                changed.added.push(topic.clone());
            }
        }
        self.topics.shrink_to_fit();
        changed
    }

    /// Notes what a `subscribe` asks for, of which at most `subscriptions_max` may be noted at a time.
    pub(crate) fn ask<'t>(
        &mut self,
        topics: impl Iterator<Item = &'t TopicId> + Clone,
        subscriptions_max: usize,
    ) -> Result<Ordinal, TooMany> {
        let count = self.topics.iter().filter(|one| one.subscribed != Subscribed::No).count();
        let fresh: HashSet<_> = topics.clone().filter(|topic| !self.is_subscribed(topic)).collect();
        if count + fresh.len() > subscriptions_max {
            return Err(TooMany);
        }
        self.asked = self.asked.wrapping_add(1);
        let ordinal = Ordinal(self.asked);
        for topic in topics {
            let follow = self.entry(topic);
            if !matches!(follow.subscribed, Subscribed::Allowed(_)) {
                follow.subscribed = Subscribed::Asked(ordinal);
            }
        }
        Ok(ordinal)
    }

    /// Takes the answer about a topic that was asked for; one that was given up, or asked for again, meanwhile is not
    /// touched. Answers whether the topic is followed no longer.
    pub(crate) fn answer(&mut self, ordinal: Ordinal, topic: &TopicId, allowed: bool) -> bool {
        let Ok(at) = self.find(topic) else { return false };
        let was = self.topics[at].is_in_force();
        match (self.topics[at].subscribed, allowed) {
            (Subscribed::Asked(asked), true) if asked == ordinal => {
                self.topics[at].subscribed = Subscribed::Allowed(ordinal);
            }
            (Subscribed::Asked(asked), false) if asked == ordinal => self.drop_subscription(at),
            (Subscribed::Allowed(earlier), true) if earlier < ordinal => {
                self.topics[at].subscribed = Subscribed::Allowed(ordinal);
            }
            (Subscribed::Allowed(earlier), false) if earlier < ordinal => self.drop_subscription(at),
            _ => {}
        }
        was && !self.contains(topic)
    }

    /// Gives up what was asked for under this number and has no answer.
    pub(crate) fn give_up(&mut self, ordinal: Ordinal) {
        for follow in &mut self.topics {
            if follow.subscribed == Subscribed::Asked(ordinal) {
                follow.subscribed = Subscribed::No;
            }
        }
        self.forget_void();
    }

    /// Ends a subscription; answers whether the topic is followed no longer.
    pub(crate) fn unsubscribe(&mut self, topic: &TopicId) -> bool {
        let Ok(at) = self.find(topic) else { return false };
        let was = self.topics[at].is_in_force();
        self.drop_subscription(at);
        was && !self.contains(topic)
    }

    /// What was allowed, and may have been taken away since.
    pub(crate) fn allowed(&self) -> impl Iterator<Item = (TopicId, Ordinal)> {
        self.topics.iter().filter_map(|one| match one.subscribed {
            Subscribed::Allowed(ordinal) | Subscribed::Suspended(ordinal) => {
                Some((one.topic.clone(), ordinal))
            }
            Subscribed::No | Subscribed::Asked(_) => None,
        })
    }

    /// Takes the answers of a review of these topics: what may not be followed any more goes, and what was suspended
    /// and may be is followed again. What was allowed anew since the review began is not touched.
    pub(crate) fn review(
        &mut self,
        reviewed: &HashMap<TopicId, Ordinal>,
        may: impl Fn(&TopicId) -> bool,
    ) -> Changed {
        let mut changed = Changed::default();
        for follow in &mut self.topics {
            let Some(asked) = reviewed.get(&follow.topic) else { continue };
            let was = follow.is_in_force();
            match follow.subscribed {
                Subscribed::Allowed(since) | Subscribed::Suspended(since) if since == *asked => {
                    let allowed = may(&follow.topic);
                    follow.subscribed = if allowed { Subscribed::Allowed(since) } else { Subscribed::No };
                }
                _ => {}
            }
            match (was, follow.is_in_force()) {
                (true, false) => changed.removed.push(follow.topic.clone()),
                (false, true) => changed.added.push(follow.topic.clone()),
                _ => {}
            }
        }
        self.forget_void();
        changed
    }

    /// Stops hints of these topics until a review allows them again, or a token does; answers those that stopped.
    pub(crate) fn suspend(&mut self, topics: &HashSet<TopicId>) -> Vec<TopicId> {
        let mut stopped = Vec::new();
        for follow in self.topics.iter_mut().filter(|follow| topics.contains(&follow.topic)) {
            if let Subscribed::Allowed(since) = follow.subscribed {
                follow.subscribed = Subscribed::Suspended(since);
                if !follow.own {
                    stopped.push(follow.topic.clone());
                }
            }
        }
        stopped
    }

    /// Follows again what is suspended and may be followed; answers the topics whose hints begin again.
    pub(crate) fn resume(&mut self, may: impl Fn(&TopicId) -> bool) -> Vec<TopicId> {
        let mut resumed = Vec::new();
        for follow in self.topics.iter_mut().filter(|follow| may(&follow.topic)) {
            if let Subscribed::Suspended(since) = follow.subscribed {
                follow.subscribed = Subscribed::Allowed(since);
                if !follow.own {
                    resumed.push(follow.topic.clone());
                }
            }
        }
        resumed
    }

    /// All topics, for a session that ends.
    pub(crate) fn into_topics(self) -> impl Iterator<Item = TopicId> {
        self.topics.into_iter().map(|follow| follow.topic)
    }

    fn is_subscribed(&self, topic: &TopicId) -> bool {
        self.find(topic).is_ok_and(|at| self.topics[at].subscribed != Subscribed::No)
    }

    fn find(&self, topic: &TopicId) -> Result<usize, usize> {
        self.topics.binary_search_by(|follow| follow.topic.cmp(topic))
    }

    fn entry(&mut self, topic: &TopicId) -> &mut Follow {
        let at = self.find(topic).unwrap_or_else(|at| {
            self.topics.insert(at, Follow { topic: topic.clone(), own: false, subscribed: Subscribed::No });
            at
        });
        &mut self.topics[at]
    }

    fn drop_subscription(&mut self, at: usize) {
        self.topics[at].subscribed = Subscribed::No;
        if self.topics[at].is_void() {
            self.topics.remove(at);
        }
    }

    fn forget_void(&mut self) {
        self.topics.retain(|follow| !follow.is_void());
    }
}

#[cfg(test)]
mod tests;
