//! A session's own list of what it follows, under its lock.

use std::sync::Arc;

use doorbell_protocol::TopicId;
use doorbell_protocol::frames::HintFrame;

use super::follows::{Changed, Follows};
use super::{Core, Session};
use crate::auth::Claims;

impl Session {
    /// Whether hints of the topic go to this session.
    pub(crate) fn follows(&self, topic: &TopicId) -> bool {
        self.core.lock().follows(topic)
    }

    /// What its present token grants.
    pub(crate) fn claims(&self) -> Option<Arc<Claims>> {
        self.core.lock().state.claims().cloned()
    }

    /// Looks at the list; `None` where it follows nothing.
    pub(crate) fn with_follows<T>(&self, look: impl FnOnce(&Follows) -> T) -> Option<T> {
        self.core.lock().follows.as_deref().map(look)
    }

    /// Takes the user's large topics in place of the last ones. Of those that go, nothing is written any more (GW-11).
    pub(crate) fn set_own(&self, own: &[TopicId]) -> Changed {
        if own.is_empty() && self.with_follows(|_| ()).is_none() {
            return Changed::default();
        }
        self.change_follows(|follows| {
            let changed = follows.set_own(own);
            (changed.removed.clone(), changed)
        })
    }

    /// Works on the list; `change` answers also what is followed no longer. A session that left follows nothing, and
    /// answers nothing.
    pub(crate) fn change_follows<T: Default>(
        &self,
        change: impl FnOnce(&mut Follows) -> (Vec<TopicId>, T),
    ) -> T {
        let mut core = self.core.lock();
        if core.left {
            return T::default();
        }
        let (removed, answer) = change(core.follows.get_or_insert_default());
        if core.follows.as_ref().is_some_and(|follows| follows.is_empty()) {
            core.follows = None;
        }
        core.let_go |= !removed.is_empty();
        if let Some(outbox) = &mut core.outbox {
            removed.iter().for_each(|topic| outbox.unfollow(topic));
        }
        answer
    }

    /// The session is on its way out: answers what it followed, and it follows nothing from now on.
    pub(crate) fn leave_topics(&self) -> Option<Box<Follows>> {
        let mut core = self.core.lock();
        (core.left, core.let_go) = (true, true);
        core.follows.take()
    }
}

impl Core {
    pub(super) fn follows(&self, topic: &TopicId) -> bool {
        self.follows.as_ref().is_some_and(|follows| follows.contains(topic))
    }

    /// For who stood in the index of these topics a moment ago. Nobody is put there who does not follow them, so that only
    /// who let go of a topic needs a look at the list, which is memory that a fan-out would fetch for each session.
    pub(super) fn still_follows(&self, hint: &HintFrame) -> bool {
        !self.let_go || hint.topics.iter().all(|(topic, _)| self.follows(topic))
    }
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::{UserId, Version};

    use super::*;
    use crate::session::Identity;

    #[test]
    fn who_let_go_of_a_topic_is_told_of_the_others_alone_and_who_left_of_none() {
        let identity = || Identity { user: UserId::new("ada").unwrap(), device: None };
        let [session, leaver] = [Session::without_socket(identity()), Session::without_socket(identity())];
        let [kept, gone] = ["group:kept", "group:gone"].map(|topic| TopicId::new(topic).unwrap());
        let told = |session: &Session, topics: &[&TopicId]| {
            let topics = topics.iter().map(|topic| ((*topic).clone(), Version::ZERO)).collect();
            session.core.lock().still_follows(&HintFrame { topics, ..HintFrame::default() })
        };

        session.set_own(&[kept.clone(), gone.clone()]);
        assert!(told(&session, &[&kept]) && told(&session, &[&gone]) && told(&session, &[&kept, &gone]));
        session.set_own(std::slice::from_ref(&kept));
        assert!(told(&session, &[&kept]) && !told(&session, &[&gone]) && !told(&session, &[&kept, &gone]));

        leaver.set_own(std::slice::from_ref(&kept));
        leaver.leave_topics();
        assert!(!told(&leaver, &[&kept]));
    }
}
