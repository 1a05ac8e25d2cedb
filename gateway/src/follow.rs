//! What sessions follow: their user's large topics by themselves, others as they subscribe.
//!
//! A session's own list is the word that counts (`session/follows.rs`); [`Gateway::align`] brings the index in line with
//! it. Who asks message-svc: [`rounds`] for a user's large topics, at a session's start and at each refollow;
//! [`subscribe`] as a client asks; [`review`] whether it still may. [`agenda`] is who is asked for next.

mod agenda;
mod review;
mod rounds;
mod subscribe;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{Hint, TopicId, Version};
use doorbell_rpc::{Audiences, Peer};
use tokio::sync::Semaphore;

use crate::gateway::Gateway;
use crate::look::Era;
use crate::session::Session;
use crate::session::event::Event;
use crate::topics::Audience;
use agenda::Agenda;
use review::Review;
use rounds::Round;

/// After an ask that failed: doubled, the upper half of it at random.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Short beside what a client may wait to be current.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What is to be asked of message-svc about audiences.
pub(crate) struct Following {
    audiences: Arc<dyn Audiences>,
    /// Who answers for `audiences`.
    peer: Peer,
    rounds: Agenda<Round>,
    reviews: Agenda<Review>,
    /// For asks whether topics may be followed.
    places: Semaphore,
}

impl Following {
    pub(crate) fn new(audiences: Arc<dyn Audiences>, asks_in_flight_max: NonZeroUsize) -> Self {
        Self {
            audiences,
            peer: Peer::new("the service that knows the audiences"),
            rounds: Agenda::default(),
            reviews: Agenda::default(),
            places: Semaphore::new(asks_in_flight_max.get()),
        }
    }
}

impl Gateway {
    /// Brings the index in line with what a session's list says of a topic; answers the topic's version, read after
    /// the session was inserted, or `None` where it does not follow it. `brought` is the version that message-svc
    /// answered for this session, which hears of it by the caller; zero where it answered none.
    ///
    /// Whoever changes a list calls this after it. Several may do it at once, in any order: each looks again after its
    /// own step, so that the last step of all agrees with the list. A session that left has an empty list.
    pub(crate) fn align(&self, session: &Arc<Session>, brought: &Hint) -> Option<Version> {
        let topic = &brought.topic;
        let user = &session.identity()?.user;
        let mut follows = session.follows(topic);
        loop {
            let version = if follows {
                let (version, audience) = self.topics().insert(brought, user, session);
                self.followed(topic, audience);
                Some(version)
            } else {
                self.unfollowed(topic, self.topics().remove(topic, user, session));
                None
            };
            let now = session.follows(topic);
            if now == follows {
                return version;
            }
            follows = now;
        }
    }

    /// For a session that asked in that era what there is, and is in the index of what it follows by now: where another
    /// one has begun, what changed in between may be lost, and everything is to be asked for once more (GW-18).
    fn tell_if_over(&self, era: Era, session: &Arc<Session>) {
        if self.store_reader().is_over(era) {
            self.tell(session, Event::Lost);
        }
    }

    /// A session that leaves follows nothing any more.
    pub(crate) fn unfollow_all(&self, session: &Arc<Session>) {
        for topic in session.leave_topics().into_iter().flat_map(|follows| follows.into_topics()) {
            self.align(session, &Hint { topic, version: Version::ZERO });
        }
    }

    fn followed(&self, topic: &TopicId, audience: Audience) {
        let metrics = &self.setting().metrics.topics;
        match audience {
            Audience::Turned => {
                metrics.topic_came();
                metrics.follower_came();
                self.store_reader().read(topic);
                self.interest().turned(topic);
            }
            Audience::Users => {
                metrics.follower_came();
                self.interest().counted(topic);
            }
            Audience::Sessions => metrics.follower_came(),
            Audience::Same => {}
        }
    }

    fn unfollowed(&self, topic: &TopicId, audience: Audience) {
        let metrics = &self.setting().metrics.topics;
        match audience {
            Audience::Turned => {
                metrics.topic_went();
                metrics.follower_went();
                self.interest().turned(topic);
            }
            Audience::Users => {
                metrics.follower_went();
                self.interest().counted(topic);
            }
            Audience::Sessions => metrics.follower_went(),
            Audience::Same => {}
        }
    }
}

/// How long to wait after so many failed asks and one more.
fn backoff(failures: u32) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests;
