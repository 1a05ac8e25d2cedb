//! Services that do what the names in a call say, and remember what they were asked.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;

use async_trait::async_trait;
use doorbell_protocol::{
    DirtyMap, Encoding, Epoch, ErrorBody, ErrorCode, GatewayId, Generation, Hint, Payload, Raise, Stamp,
    TopicId, UserId, Version,
};
use doorbell_rpc::remote::{MessageDoor, Served};
use doorbell_rpc::{
    Audiences, CallRequest, ChannelLife, Channels, DeliverRequest, Delivered, Error, GatewayApi, Heard,
    Messages, Missed, Move, Mutes, Presence, Signal, SignalReply, SignalRequest, Signals, Subscription,
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub fn topic(name: &str) -> TopicId {
    TopicId::new(format!("conversation:{name}")).unwrap()
}

pub fn hint(name: &str, version: u64) -> Hint {
    Hint { topic: topic(name), version: Version::new(version).unwrap() }
}

pub fn gateway(name: &str) -> GatewayId {
    GatewayId::new(name).unwrap()
}

pub fn json(text: &'static str) -> Payload {
    Payload::from_untrusted(Encoding::Json, text.into()).unwrap()
}

/// News with `versions` topics.
pub fn news(topics: u64) -> DirtyMap {
    let mut news = DirtyMap::default();
    (0..topics).for_each(|number| news.hint(hint(&format!("t{number}"), number + 1)));
    news
}

pub fn ring(name: &str) -> DeliverRequest {
    DeliverRequest { user: user(name), dirty: news(2) }
}

/// What a [`Double`] was asked, as `Debug` prints it.
#[derive(Debug)]
pub struct Double {
    asked: Mutex<Vec<String>>,
    /// How many calls have begun, and how many of them ended or were dropped.
    begun: watch::Sender<usize>,
    over: watch::Sender<usize>,
    /// A call that is to wait takes one.
    pub permits: Semaphore,
}

struct Over<'a>(&'a Double);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.send_modify(|over| *over += 1);
    }
}

impl Double {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            begun: watch::Sender::new(0),
            over: watch::Sender::new(0),
            permits: Semaphore::new(0),
        })
    }

    pub fn served(self: &Arc<Self>, id: &str) -> Served {
        Served {
            gateway: Some((gateway(id), Arc::clone(self) as _)),
            channels: Some(Arc::clone(self) as _),
            messages: Some(self.door()),
        }
    }

    fn door(self: &Arc<Self>) -> MessageDoor {
        MessageDoor {
            messages: Arc::clone(self) as _,
            audiences: Arc::clone(self) as _,
            signals: Arc::clone(self) as _,
            presence: Arc::clone(self) as _,
            mutes: Arc::clone(self) as _,
        }
    }

    /// What it was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }

    pub async fn begun(&self, calls: usize) {
        self.begun.subscribe().wait_for(|begun| *begun >= calls).await.unwrap();
    }

    pub async fn over(&self, calls: usize) {
        self.over.subscribe().wait_for(|over| *over >= calls).await.unwrap();
    }

    /// Notes the call; what `name` says happens: it waits for a permit, or fails.
    async fn enter(&self, asked: String, name: &str) -> Result<Over<'_>, Error> {
        self.asked.lock().push(asked);
        self.begun.send_modify(|begun| *begun += 1);
        let over = Over(self);
        if name.contains("wait") {
            self.permits.acquire().await.unwrap().forget();
        }
        match name {
            "panic" => panic!("the call says so"),
            "busy" => Err(Error::Busy { gateway: gateway("gw-1") }),
            "unreachable" => Err(Error::Unreachable { gateway: gateway("gw-1") }),
            "unavailable" => Err(Error::Unavailable { service: "upstream", reason: "it says so".to_owned() }),
            _ => Ok(over),
        }
    }
}

#[async_trait]
impl GatewayApi for Double {
    async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, Error> {
        let first = batch.first().map_or("", |one| one.user.as_str());
        let _over = self.enter(format!("{batch:?}"), first).await?;
        let outcome = |one: &DeliverRequest| match one.user.as_str() {
            "absent" => Delivered::Absent(Stamp { epoch: Epoch(u64::MAX), generation: Generation(9) }),
            "later" => Delivered::Later,
            _ => Delivered::Sessions(3),
        };
        Ok(batch.iter().map(outcome).collect())
    }

    async fn publish(&self, hints: Vec<Hint>) -> Result<Vec<Heard>, Error> {
        let first = hints.first().map_or("", |hint| hint.topic.key());
        let _over = self.enter(format!("{hints:?}"), first).await?;
        let heard = |hint: &Hint| match hint.topic.key() {
            "unfollowed" => Heard::Unfollowed(Generation(11)),
            _ => Heard::Followed,
        };
        Ok(hints.iter().map(heard).collect())
    }

    async fn signal(&self, request: SignalRequest) -> Result<(), Error> {
        let from = request.signal.from.clone();
        self.enter(format!("{request:?} {:?}", request.signal.data.bytes()), from.as_str()).await.map(|_| ())
    }
}

#[async_trait]
impl Channels for Double {
    async fn publish(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        let first = raises.first().map_or("", |(topic, _)| topic.key());
        let _over = self.enter(format!("{raises:?}"), first).await?;
        let version = |(_, raise): &(TopicId, Raise)| match raise {
            Raise::To(version) => *version,
            Raise::Next => Version::MAX,
        };
        Ok(raises.iter().map(version).collect())
    }

    async fn subscribe(
        &self,
        gateway: &GatewayId,
        subscriptions: Vec<Subscription>,
    ) -> Result<ChannelLife, Error> {
        let first = subscriptions.first().map_or("", |one| one.topic.key());
        let _over = self.enter(format!("{gateway} {subscriptions:?}"), first).await?;
        Ok(ChannelLife(u128::MAX - 5))
    }

    async fn followers(&self, topics: Vec<TopicId>) -> Result<Vec<u64>, Error> {
        let first = topics.first().map_or("", TopicId::key);
        let _over = self.enter(format!("{topics:?}"), first).await?;
        Ok((1..=topics.len() as u64).collect())
    }
}

#[async_trait]
impl Messages for Double {
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        let asked = format!("{request:?} {:?}", request.params.bytes());
        let entered = self.enter(asked, &request.method).await;
        match (&*request.method, entered) {
            ("details", _) => Err(ErrorBody {
                details: Some(serde_json::json!({"where": [1, "two"]})),
                ..ErrorBody::new(ErrorCode::Conflict, "the message is another one")
            }),
            (_, Err(error)) => Err(ErrorBody::retry_after(ErrorCode::Unavailable, error.to_string(), 250)),
            ("large", _) => {
                Ok(Payload::encode(Encoding::Json, &serde_json::json!({"text": "x".repeat(200_000)})))
            }
            (_, Ok(_)) => Ok(request.params),
        }
    }
}

#[async_trait]
impl Audiences for Double {
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, Error> {
        let first = users.first().map_or("nobody", UserId::as_str);
        let _over = self.enter(format!("{users:?}"), first).await?;
        let answered = users.iter().filter(|user| user.as_str() != "forgotten");
        Ok(answered.map(|user| vec![hint("large", 5), hint(&format!("of-{user}"), 0)]).collect())
    }

    async fn authorize(&self, user: &UserId, topics: Vec<TopicId>) -> Result<Vec<Hint>, Error> {
        let _over = self.enter(format!("{user} {topics:?}"), user.as_str()).await?;
        Ok(topics.into_iter().map(|topic| Hint { topic, version: Version::MAX }).collect())
    }
}

#[async_trait]
impl Signals for Double {
    async fn signal(&self, signal: Signal) -> Result<SignalReply, Error> {
        let _over = self.enter(format!("{signal:?}"), signal.from.as_str()).await?;
        Ok(match signal.from.as_str() {
            "dropped" => SignalReply::Dropped,
            "refused" => SignalReply::Refused(ErrorBody::new(ErrorCode::NotFound, "no such conversation")),
            _ => SignalReply::Passed,
        })
    }
}

#[async_trait]
impl Presence for Double {
    async fn moved(&self, moves: Vec<Move>) -> Result<(), Error> {
        let first = moves.first().map_or("", |one| one.user.as_str());
        self.enter(format!("{moves:?}"), first).await.map(|_| ())
    }
}

#[async_trait]
impl Mutes for Double {
    async fn unmuted(&self, mut missed: Vec<Missed>) -> Result<Vec<Missed>, Error> {
        let first = missed.first().map_or("", |one| one.user.as_str());
        let _over = self.enter(format!("{missed:?}"), first).await?;
        missed.truncate(1);
        Ok(missed)
    }
}
