//! `subscribe` and `unsubscribe`: each topic for itself, allowed by the session's token or by message-svc.
//!
//! What a frame asks for is noted when it is read, so that a later frame of the session has the last word however long
//! the answer takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::frames::HintFrame;
use doorbell_protocol::{ErrorBody, ErrorCode, Hint, Payload, TopicId, Version};
use futures_util::future::join;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::gateway::Gateway;
use crate::metrics::Judged;
use crate::pull::Answered;
use crate::session::Session;
use crate::session::follows::{Ordinal, TooMany};

/// After how long a `subscribe` that nobody could judge may be tried again.
const RETRY_AFTER_MS: u64 = 1_000;

/// The result of a `subscribe`.
#[derive(Serialize)]
struct Reply<'t> {
    topics: BTreeMap<&'t TopicId, Version>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_found: Vec<&'t TopicId>,
}

/// What a session asked for and has no answer to: dropped, it is given up.
struct Asking {
    session: Arc<Session>,
    ordinal: Ordinal,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let ordinal = self.ordinal;
        self.session.change_follows(|follows| {
            follows.give_up(ordinal);
            (Vec::new(), ())
        });
    }
}

impl Gateway {
    /// Answers one `subscribe`: the version of each topic that the session follows from now on, and which it may not.
    /// Where a topic is beyond the version that the client has, the session is hinted after the reply.
    ///
    /// *Ordering*: the first poll notes what is asked for. *Cancel safety*: dropped, the session follows what was
    /// judged by then, and the rest is given up.
    pub(crate) async fn subscribe(
        self: Arc<Self>,
        session: Arc<Session>,
        topics: Vec<(TopicId, Version)>,
    ) -> Answered {
        let mut known: BTreeMap<TopicId, Version> = BTreeMap::new();
        for (topic, version) in topics {
            // All that follow a topic share its name's bytes. Of two versions the client is sure of the smaller.
            let topic = self.topics().name(&topic).unwrap_or(topic);
            known.entry(topic).and_modify(|known| *known = version.min(*known)).or_insert(version);
        }
        match self.judge(&session, &known).await {
            Ok(at) => self.reply(&session, &known, &at),
            Err(error) => Answered::from(Err(error)),
        }
    }

    /// Lets go of topics. What the session does not follow by `subscribe` changes nothing.
    pub(crate) fn unsubscribe(&self, session: &Arc<Session>, topics: Vec<TopicId>) {
        let stopped: Vec<TopicId> = session.change_follows(|follows| {
            let stopped: Vec<_> = topics.into_iter().filter(|topic| follows.unsubscribe(topic)).collect();
            (stopped.clone(), stopped)
        });
        for topic in stopped {
            self.align(session, &Hint { topic, version: Version::ZERO });
        }
    }

    /// Follows what may be followed; answers that, each with its version at this moment.
    async fn judge(
        &self,
        session: &Arc<Session>,
        known: &BTreeMap<TopicId, Version>,
    ) -> Result<HashMap<TopicId, Version>, ErrorBody> {
        let asking = self.note(session, known)?;
        let timeout = self.setting().rules.config.audience_timeout;
        let era = self.store_reader().era(timeout).await.ok_or_else(unavailable)?;
        let began = Instant::now();
        let claims = session.claims();
        let (granted, others): (Vec<_>, Vec<_>) = known
            .keys()
            .cloned()
            .partition(|topic| claims.as_ref().is_some_and(|claims| claims.topics.allows(topic)));
        let mut allowed = self.authorize(session, others, timeout).await.ok_or_else(unavailable)?;
        // What a token grants it grants as long as it is the session's.
        let is_to_be_reviewed = !allowed.is_empty();
        // Of these message-svc says only that they may be followed; without the store's answer they are at 0, and the
        // first follower's read brings it later.
        let presences = allowed.keys().filter(|topic| topic.kind() == "presence").cloned().collect();
        let channel_timeout = self.setting().rules.config.channel_timeout;
        // Of those granted there must be an answer: also of a read that waits for one under way.
        let reads = join(self.stored(granted, channel_timeout * 2), self.stored(presences, channel_timeout));
        let (granted, presences) = reads.await;
        allowed.extend(granted.ok_or_else(unavailable)?);
        for (topic, version) in presences.into_iter().flatten() {
            allowed.entry(topic).and_modify(|known| *known = version.max(*known));
        }

        let metrics = &self.setting().metrics.topics;
        metrics.judged(Judged::Allowed, allowed.len());
        metrics.judged(Judged::Denied, known.len() - allowed.len());
        let mut at = HashMap::with_capacity(allowed.len());
        for topic in known.keys() {
            let brought = allowed.get(topic).map(|version| Hint { topic: topic.clone(), version: *version });
            session.change_follows(|follows| {
                let stopped = follows.answer(asking.ordinal, topic, brought.is_some());
                (if stopped { vec![topic.clone()] } else { Vec::new() }, ())
            });
            let here = self.align(
                session,
                brought.as_ref().unwrap_or(&Hint { topic: topic.clone(), version: Version::ZERO }),
            );
            if let Some(brought) = brought {
                // The error says that nobody follows it: it was given up meanwhile.
                let _ = self.raise(&brought);
                at.insert(topic.clone(), here.map_or(brought.version, |here| here.max(brought.version)));
            }
        }
        if !at.is_empty() {
            self.tell_if_over(era, session);
        }
        if is_to_be_reviewed {
            self.review_later(session, began);
        }
        // A token that came meanwhile has seen none of these.
        if session.claims().as_ref().map(Arc::as_ptr) != claims.as_ref().map(Arc::as_ptr) {
            self.review_now(session, began);
        }
        Ok(at)
    }

    fn note(&self, session: &Arc<Session>, known: &BTreeMap<TopicId, Version>) -> Result<Asking, ErrorBody> {
        let subscriptions_max = self.setting().rules.config.subscriptions_max.get();
        let noted = session
            .change_follows(|follows| (Vec::new(), Some(follows.ask(known.keys(), subscriptions_max))));
        match noted {
            Some(Ok(ordinal)) => Ok(Asking { session: Arc::clone(session), ordinal }),
            Some(Err(TooMany)) => {
                let message = format!("topics: a session follows at most {subscriptions_max} by `subscribe`");
                Err(ErrorBody::new(ErrorCode::TooLarge, message))
            }
            // It has left: nobody reads this.
            None => Err(unavailable()),
        }
    }

    /// Of these topics, those that the session's user may follow, by message-svc; `None` without an answer in time.
    pub(super) async fn authorize(
        &self,
        session: &Session,
        topics: Vec<TopicId>,
        timeout: Duration,
    ) -> Option<HashMap<TopicId, Version>> {
        if topics.is_empty() {
            return Some(HashMap::new());
        }
        let user = &session.identity()?.user;
        let following = self.following();
        let asked: HashMap<_, _> = topics.iter().map(|topic| (topic.clone(), ())).collect();
        // Sessions that come back all at once subscribe all at once. Who waits here in vain says nothing of the peer.
        let by = Instant::now() + timeout;
        let _place = timeout_at(by, following.places.acquire()).await.ok()?;
        let call = following.audiences.authorize(user, topics);
        let answer = following.peer.within(by.saturating_duration_since(Instant::now()), call).await.ok()?;
        // Only what was asked for counts.
        let named = answer.into_iter().filter_map(|hint| {
            let (topic, ()) = asked.get_key_value(&hint.topic)?;
            Some((topic.clone(), hint.version))
        });
        Some(named.collect())
    }

    /// The stored versions of topics; `None` without an answer in time.
    async fn stored(&self, topics: Vec<TopicId>, wait_max: Duration) -> Option<HashMap<TopicId, Version>> {
        if topics.is_empty() {
            return Some(HashMap::new());
        }
        let versions = self.store_reader().now(&topics, wait_max).await?;
        Some(topics.into_iter().zip(versions).collect())
    }

    fn reply(
        &self,
        session: &Session,
        known: &BTreeMap<TopicId, Version>,
        at: &HashMap<TopicId, Version>,
    ) -> Answered {
        if at.is_empty() && !known.is_empty() {
            let message = "topics: there is none of them, or they are not yours";
            return Answered::from(Err(ErrorBody::new(ErrorCode::NotFound, message)));
        }
        let mut reply = Reply { topics: BTreeMap::new(), not_found: Vec::new() };
        let mut news = HintFrame::default();
        for (topic, known) in known {
            match at.get(topic) {
                Some(version) => {
                    reply.topics.insert(topic, *version);
                    if version > known {
                        news.topics.push((topic.clone(), *version));
                    }
                }
                None => reply.not_found.push(topic),
            }
        }
        let news = (!news.topics.is_empty()).then(|| Box::new(news));
        Answered { outcome: Ok(Payload::encode(session.encoding(), &reply)), news }
    }
}

fn unavailable() -> ErrorBody {
    let message = "nobody could say whether these topics may be followed";
    ErrorBody::retry_after(ErrorCode::Unavailable, message, RETRY_AFTER_MS)
}
