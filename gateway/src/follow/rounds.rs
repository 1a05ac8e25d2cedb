//! Asking for a user's large topics: when a session starts, when a refollow mark comes, and when the user was
//! registered again.
//!
//! One ask at a time for a user, and a call for some users at once. A mark that comes during one starts another after it, and only that
//! one's end answers the mark: an answer may be older than what came while it was on its way.
//!
//! A mark goes before sessions that start: until it is answered, whoever was removed hears of what is not theirs any
//! more (GW-12), and the notifier offers it again and again; a session that starts may wait for its first hints. Marks come
//! no faster than the notifiers have users in hand, each of whom holds one of their places for up to `refollow_wait`, and
//! a user is in the agenda once, however often they are offered. And where marks come faster than they are answered all the
//! same, the agenda keeps a share for the others.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use doorbell_protocol::{Hint, TopicId, UserId, Version};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use smallvec::SmallVec;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::agenda::{Due, Rank, Work};
use super::backoff;
use crate::fanout::Notice;
use crate::gateway::Gateway;
use crate::local::SessionsOfUser;
use crate::look::Era;
use crate::metrics::Answer;
use crate::session::Session;
use crate::session::event::Event;
use crate::session::outbox::Source;

/// Topics in one hint: as many as a session holds merged.
const HINT_TOPICS: usize = doorbell_protocol::hint::TOPICS_MAX;

/// Users in one call: what comes to a gateway in a [`GATHER`], where sessions start as fast as one core lets them.
const USERS_MAX: usize = 64;
/// Users under way for each of `asks_in_flight_max`: the last of them waits for all others' conversations to be read, and within
/// `audience_timeout`.
const USERS_UNDER_WAY: usize = 16;
/// Users whose answer is followed between two yields.
const USERS_AT_ONCE: usize = 16;
/// How long asks gather after a call that was not full: whoever comes alone waits for nothing, and who comes in a crowd no longer than
/// anybody notices.
const GATHER: Duration = Duration::from_millis(2);

/// What one ask for a user is for.
#[derive(Default)]
pub(crate) struct Round {
    /// Sessions that begin: each is hinted every topic.
    starters: SmallVec<[Weak<Session>; 1]>,
    /// A mark came: every session is hinted every topic.
    refollow: bool,
    /// The user was registered again: sessions that were there are hinted `resync`, after this.
    reentered: bool,
    /// Whoever waits for the end.
    waiters: SmallVec<[oneshot::Sender<()>; 1]>,
}

/// A user's large topics with their heads.
struct Heads {
    heads: Vec<Hint>,
    /// When they were asked for.
    era: Era,
}

impl Work for Round {
    fn rank(&self) -> Rank {
        if self.refollow { Rank::Urgent } else { Rank::Ordinary }
    }
}

impl Round {
    fn merge(&mut self, other: Self) {
        self.starters.extend(other.starters);
        self.starters.retain(|starter| starter.strong_count() > 0);
        self.refollow |= other.refollow;
        self.reentered |= other.reentered;
        self.waiters.extend(other.waiters);
        self.waiters.retain(|waiter| !waiter.is_closed());
    }

    /// A mark came. Whoever gave up waiting for one before takes no room: a mark is offered for as long as nobody answers.
    fn mark(&mut self) -> oneshot::Receiver<()> {
        let (done, waits) = oneshot::channel();
        self.refollow = true;
        self.waiters.retain(|waiter| !waiter.is_closed());
        self.waiters.push(done);
        waits
    }

    fn is_starter(&self, session: &Arc<Session>) -> bool {
        self.starters.iter().any(|starter| std::ptr::eq(starter.as_ptr(), Arc::as_ptr(session)))
    }
}

impl Gateway {
    /// The registry has confirmed sessions of one user: each that waited has its welcome, and follows next.
    pub(crate) fn confirmed(&self, sessions: &SessionsOfUser) {
        for session in sessions {
            if self.welcome(session) {
                self.want(session, |round| round.starters.push(Arc::downgrade(session)));
            }
        }
    }

    /// The registry has confirmed sessions of one user anew, after the entry may have been lost for a while. Those
    /// that were there are hinted `resync` once they follow what they should (GW-6): a change of a large topic that
    /// comes after a client's pull is to be hinted.
    pub(crate) fn confirmed_again(&self, sessions: &SessionsOfUser) {
        self.confirmed(sessions);
        if let Some(session) = sessions.first() {
            self.want(session, |round| round.reentered = true);
        }
    }

    /// A refollow mark came for a user who has sessions here: answers when that is done.
    pub(crate) fn refollow(&self, user: &UserId) -> oneshot::Receiver<()> {
        self.following().rounds.want(user, Instant::now(), Round::mark)
    }

    fn want(&self, session: &Session, what_for: impl FnOnce(&mut Round)) {
        if let Some(identity) = session.identity() {
            self.following().rounds.want(&identity.user, Instant::now(), what_for);
        }
    }

    fn welcome(&self, session: &Arc<Session>) -> bool {
        let begins = !session.is_welcomed();
        self.tell(session, Event::Entered);
        begins
    }

    /// Asks as long as it is polled. Where asks come one after the other, those that come within [`GATHER`] of the last call share the
    /// next: a call costs both sides more than a user in it. What failed before is asked alone, and gathers nothing.
    pub(crate) async fn ask_for_large_topics(&self) {
        let in_flight_max = self.setting().rules.config.asks_in_flight_max.get();
        let rounds = &self.following().rounds;
        let (mut asks, mut users, users_max) = (FuturesUnordered::new(), 0, in_flight_max * USERS_UNDER_WAY);
        let mut gathered = Instant::now();
        loop {
            self.setting().metrics.topics.asks_waiting(rounds.len());
            let next = async {
                tokio::time::sleep_until(gathered).await;
                rounds.next_few(USERS_MAX.min(users_max - users)).await
            };
            tokio::select! {
                due = next, if asks.len() < in_flight_max && users < users_max => {
                    if due.len() < USERS_MAX && due.iter().all(|one| one.failures == 0) {
                        gathered = Instant::now() + GATHER;
                    }
                    users += due.len();
                    asks.push(self.ask(due));
                }
                Some(answered) = asks.next(), if !asks.is_empty() => users -= answered,
            }
        }
    }

    /// Asks for some users; answers how many.
    async fn ask(&self, mut due: Vec<Due<Round>>) -> usize {
        let users = due.len();
        let following = self.following();
        let metrics = &self.setting().metrics.topics;
        due.retain(|one| {
            let here = !self.local().sessions(&one.user).is_empty();
            if !here {
                // Whoever comes next asks for themselves.
                following.rounds.done(&one.user);
            }
            here
        });
        if due.is_empty() {
            return users;
        }
        let deadline = self.setting().rules.config.audience_timeout;
        let answer = match self.store_reader().era(deadline).await {
            Some(era) => {
                let ask = following.audiences.large_topics(due.iter().map(|one| one.user.clone()).collect());
                let heads = following.peer.within(deadline, ask).await.ok();
                // Who is not answered for has no answer.
                heads.filter(|heads| heads.len() == due.len()).map(|heads| (heads, era))
            }
            None => None,
        };
        match answer {
            Some((heads, era)) => {
                for (nth, (Due { user, work, .. }, heads)) in due.into_iter().zip(heads).enumerate() {
                    metrics.asked(Answer::Done);
                    self.follow_large_topics(&user, Heads { heads, era }, work);
                    following.rounds.done(&user);
                    // Each may have many topics, and sessions wait meanwhile.
                    if nth % USERS_AT_ONCE == USERS_AT_ONCE - 1 {
                        tokio::task::yield_now().await;
                    }
                }
            }
            None => {
                for Due { user, work, failures } in due {
                    metrics.asked(Answer::Failed);
                    let by = Instant::now() + backoff(failures);
                    following.rounds.failed(&user, by, |wanted| wanted.merge(work));
                }
            }
        }
        users
    }

    fn follow_large_topics(&self, user: &UserId, heads: Heads, round: Round) {
        let Heads { mut heads, era } = heads;
        for head in &mut heads {
            // All that follow a topic share its name's bytes.
            head.topic = self.topics().name(&head.topic).unwrap_or_else(|| head.topic.clone());
        }
        let own: Vec<_> = heads.iter().map(|head| head.topic.clone()).collect();
        let by_topic: HashMap<_, _> = heads.iter().map(|head| (head.topic.clone(), head.version)).collect();
        let sessions = self.local().sessions(user);
        let mut added_to = Vec::with_capacity(sessions.len());
        for session in &sessions {
            let changed = session.set_own(&own);
            for topic in changed.removed.iter().chain(&changed.added) {
                let version = by_topic.get(topic).copied().unwrap_or(Version::ZERO);
                self.align(session, &Hint { topic: topic.clone(), version });
            }
            added_to.push(changed.added);
        }
        // After the sessions are inserted, and before their hints: what others of the topic have not heard is news.
        for head in &heads {
            // The error says that nobody follows it: a session that left in this moment.
            let _ = self.raise(head);
        }
        for (session, added) in sessions.iter().zip(&added_to) {
            let starts = round.is_starter(session);
            self.hint_versions(session, if starts || round.refollow { &own } else { added }, &by_topic);
            if round.reentered && !starts {
                self.tell(session, Event::Lost);
            } else if !own.is_empty() {
                self.tell_if_over(era, session);
            }
        }
        for waiter in round.waiters {
            // Whoever asked may have given up.
            let _ = waiter.send(());
        }
    }

    /// Hints the versions that following answers: the greater of the answer's and this gateway's.
    pub(super) fn hint_versions(
        &self,
        session: &Session,
        topics: &[TopicId],
        heads: &HashMap<TopicId, Version>,
    ) {
        let version = |topic: &TopicId| {
            let (head, here) = (heads.get(topic).copied(), self.topics().version(topic));
            (topic.clone(), head.max(here).unwrap_or(Version::ZERO))
        };
        let known = |(_, version): &(TopicId, Version)| *version > Version::ZERO;
        let versions: Vec<_> = topics.iter().map(version).filter(known).collect();
        for chunk in versions.chunks(HINT_TOPICS) {
            let mut notice = Notice::of(chunk.iter().cloned(), None);
            let offered = session.offer(&mut notice, Source::Followed, self.setting());
            self.setting().metrics.hint_offered(offered);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::follow::agenda::Agenda;

    /// Ten seconds of marks that are offered 200 times a second, each by somebody who has given up before the next.
    #[tokio::test(start_paused = true)]
    async fn marks_that_nobody_answers_take_no_room_and_no_more_asks_than_failures_have() {
        let (rounds, user) = (Agenda::<Round>::default(), UserId::new("ada").unwrap());
        let (mut asks, mut waiting) = (0, 0);
        for _ in 0..1_000 {
            drop(rounds.want(&user, Instant::now(), Round::mark));
            if let Some(due) = rounds.next().now_or_never() {
                asks += 1;
                drop(rounds.want(&user, Instant::now(), Round::mark));
                let by = Instant::now() + backoff(due.failures);
                rounds.failed(&user, by, |wanted| {
                    wanted.merge(due.work);
                    waiting = waiting.max(wanted.waiters.len());
                });
            }
            let offered = rounds.want(&user, Instant::now(), Round::mark);
            rounds.want(&user, Instant::now(), |round| waiting = waiting.max(round.waiters.len()));
            drop(offered);
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(waiting, 1);
        // 50 ms, 100 ms, ... and then 1 s at least.
        assert!((6..=16).contains(&asks), "{asks}");
    }
}
