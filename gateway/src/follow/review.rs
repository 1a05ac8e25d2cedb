//! Asking again whether what a session subscribed to may still be followed: every `authorize_interval`, one ask a user. What the
//! session's token grants is not asked about, and is looked at again when another token comes.
//!
//! No hint goes out later than that after a right was taken away (GW-15): where nobody answers in time, the topics are
//! suspended until somebody does, or a token grants them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::frames::SUBSCRIBE_TOPICS_MAX;
use doorbell_protocol::{Hint, TopicId, UserId, Version};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::agenda::{Due, Work};
use super::backoff;
use crate::gateway::Gateway;
use crate::look::Era;
use crate::metrics::Judged;
use crate::session::Session;
use crate::session::follows::Ordinal;

/// What is to be reviewed of a user.
#[derive(Debug, Default)]
pub(crate) struct Review {
    /// When the oldest word that any of it rests on was asked for.
    asked: Option<Instant>,
}

impl Work for Review {}

impl Review {
    fn rests_on(&mut self, asked: Instant) {
        self.asked = Some(self.asked.map_or(asked, |earlier| earlier.min(asked)));
    }
}

/// A session's topics as they stood when the review began.
struct Reviewed {
    session: Arc<Session>,
    topics: HashMap<TopicId, Ordinal>,
    /// Those that its token granted then: nobody is asked about them.
    granted: HashSet<TopicId>,
}

impl Gateway {
    /// A session follows topics by a word that was asked for then.
    pub(super) fn review_later(&self, session: &Session, asked: Instant) {
        if let Some(identity) = session.identity() {
            self.plan_review(&identity.user, asked);
        }
    }

    /// What a session's topics rest on may have changed since they were asked for.
    pub(crate) fn review_now(&self, session: &Session, asked: Instant) {
        let subscribes = session.with_follows(|follows| follows.allowed().next().is_some());
        if let (Some(identity), Some(true)) = (session.identity(), subscribes) {
            let now = Instant::now();
            self.following().reviews.want(&identity.user, now, |review| review.rests_on(asked));
        }
    }

    /// Early enough that a failed ask can be tried again, and not all users at once.
    fn plan_review(&self, user: &UserId, asked: Instant) {
        let interval = self.setting().rules.config.authorize_interval;
        let by = asked + interval.mul_f64(rand::random_range(0.5..=0.8));
        self.following().reviews.want(user, by, |review| review.rests_on(asked));
    }

    /// Reviews as long as it is polled.
    pub(crate) async fn review_subscriptions(&self) {
        let in_flight_max = self.setting().rules.config.asks_in_flight_max.get();
        let reviews = &self.following().reviews;
        let mut asks = FuturesUnordered::new();
        loop {
            tokio::select! {
                due = reviews.next(), if asks.len() < in_flight_max => asks.push(self.review(due)),
                Some(()) = asks.next(), if !asks.is_empty() => {}
            }
        }
    }

    async fn review(&self, due: Due<Review>) {
        let Due { user, work: Review { asked }, failures } = due;
        let reviews = &self.following().reviews;
        let reviewed = self.to_review(&user);
        let (Some(asked), false) = (asked, reviewed.is_empty()) else { return reviews.done(&user) };
        let (began, era) = (Instant::now(), self.store_reader().era(Duration::ZERO).await);
        // Before the ask, which may fail: nobody is asked about these.
        reviewed.iter().for_each(|one| self.resume(&one.session, era));
        let ends = asked + self.setting().rules.config.authorize_interval;
        if let Some(allowed) = self.ask_again(&reviewed, ends).await {
            for one in &reviewed {
                self.apply_review(one, &allowed, era);
            }
            if !allowed.is_empty() {
                self.plan_review(&user, began);
            }
            return reviews.done(&user);
        }
        let now = Instant::now();
        let mut by = now + backoff(failures);
        if now < ends {
            by = by.min(ends);
        } else {
            reviewed.iter().for_each(|one| self.suspend(one));
        }
        reviews.failed(&user, by, |review| review.rests_on(asked));
    }

    fn to_review(&self, user: &UserId) -> Vec<Reviewed> {
        let sessions = self.local().sessions(user);
        let of = |session: Arc<Session>| {
            let topics: HashMap<_, _> = session.with_follows(|follows| follows.allowed().collect())?;
            let claims = session.claims();
            let granted = |topic: &&TopicId| claims.as_ref().is_some_and(|one| one.topics.allows(topic));
            let granted = topics.keys().filter(granted).cloned().collect();
            (!topics.is_empty()).then_some(Reviewed { session, topics, granted })
        };
        sessions.into_iter().filter_map(of).collect()
    }

    /// Asks about all that no token grants; `None` without an answer in time.
    async fn ask_again(&self, reviewed: &[Reviewed], ends: Instant) -> Option<HashMap<TopicId, Version>> {
        let of_one = |one: &Reviewed| -> Vec<_> {
            one.topics.keys().filter(|topic| !one.granted.contains(*topic)).cloned().collect()
        };
        let topics: HashSet<_> = reviewed.iter().flat_map(of_one).collect();
        let topics: Vec<_> = topics.into_iter().collect();
        let session = &reviewed.first()?.session;
        let mut timeout: Duration = self.setting().rules.config.audience_timeout;
        let left = ends.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            timeout = timeout.min(left);
        }
        let mut allowed = HashMap::new();
        for chunk in topics.chunks(SUBSCRIBE_TOPICS_MAX) {
            allowed.extend(self.authorize(session, chunk.to_vec(), timeout).await?);
        }
        Some(allowed)
    }

    fn apply_review(&self, one: &Reviewed, allowed: &HashMap<TopicId, Version>, era: Option<Era>) {
        let may = |topic: &TopicId| one.granted.contains(topic) || allowed.contains_key(topic);
        let changed = one.session.change_follows(|follows| {
            let changed = follows.review(&one.topics, may);
            (changed.removed.clone(), changed)
        });
        let metrics = &self.setting().metrics.topics;
        metrics.judged(Judged::Denied, changed.removed.len());
        metrics.judged(Judged::Allowed, one.topics.len() - changed.removed.len());
        for topic in &changed.removed {
            self.align(&one.session, &Hint { topic: topic.clone(), version: Version::ZERO });
        }
        self.follow_again(&one.session, &changed.added, (allowed, era));
    }

    /// What was suspended and the session's token grants now is followed again.
    fn resume(&self, session: &Arc<Session>, era: Option<Era>) {
        let Some(claims) = session.claims() else { return };
        let resumed: Vec<TopicId> = session.change_follows(|follows| {
            let resumed = follows.resume(|topic| claims.topics.allows(topic));
            (Vec::new(), resumed)
        });
        self.follow_again(session, &resumed, (&HashMap::new(), era));
    }

    fn follow_again(
        &self,
        session: &Arc<Session>,
        topics: &[TopicId],
        (known, era): (&HashMap<TopicId, Version>, Option<Era>),
    ) {
        for topic in topics {
            let version = known.get(topic).copied().unwrap_or(Version::ZERO);
            self.align(session, &Hint { topic: topic.clone(), version });
        }
        self.hint_versions(session, topics, known);
        if let Some(era) = era.filter(|_| !topics.is_empty()) {
            self.tell_if_over(era, session);
        }
    }

    fn suspend(&self, one: &Reviewed) {
        let doubtful: HashSet<_> =
            one.topics.keys().filter(|topic| !one.granted.contains(*topic)).cloned().collect();
        let stopped: Vec<TopicId> = one.session.change_follows(|follows| {
            let stopped = follows.suspend(&doubtful);
            (stopped.clone(), stopped)
        });
        self.setting().metrics.topics.judged(Judged::Suspended, stopped.len());
        for topic in stopped {
            self.align(&one.session, &Hint { topic, version: Version::ZERO });
        }
    }
}
