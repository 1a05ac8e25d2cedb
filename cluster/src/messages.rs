//! Calls to the message service: to the process that has the store open.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::Instance;
use doorbell_protocol::{ErrorBody, ErrorCode, Hint, InstanceId, Payload, TopicId, UserId};
use doorbell_rpc::{
    Audiences, CallRequest, Error, Messages, Missed, Move, Mutes, Presence, Signal, SignalReply, Signals,
};

use crate::{Links, Others, Remote, View};
use doorbell_rpc::remote::MessageDoor;
use parking_lot::Mutex;
use tokio::time::Instant;

/// When a client should try again that found nobody: the owner of the store is being started, or its lease ends.
const RETRY_AFTER_MS: u64 = 1_000;
/// How long a call waits for somebody to open the store: a start takes less.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long who did not serve is left alone, where its word has lapsed.
const SILENCE: Duration = Duration::from_millis(500);

/// Whoever has the store open, in this process or another.
pub struct StoreOwner {
    links: Arc<Links>,
    others: Others,
    /// Who was called last and did not serve, and until when it is not called again without a word of its own. Not for longer:
    /// one answer may fail for reasons of its own.
    silent: Mutex<Option<(InstanceId, Instant)>>,
}

/// The way to it.
enum Way<'a> {
    Here(&'a MessageDoor),
    There(There),
}

struct There {
    id: InstanceId,
    link: Arc<dyn Remote>,
}

impl StoreOwner {
    /// Finds it among the others.
    #[must_use]
    pub const fn new(links: Arc<Links>, others: Others) -> Self {
        Self { links, others, silent: Mutex::new(None) }
    }

    /// Who does not answer may have ended: the next call should know its successor.
    fn heard<T, E>(&self, from: &There, answer: Result<T, E>) -> Result<T, E> {
        let mut silent = self.silent.lock();
        if answer.is_err() {
            *silent = Some((from.id.clone(), Instant::now() + SILENCE));
            self.others.changed();
        } else if silent.as_ref().is_some_and(|(id, _)| *id == from.id) {
            *silent = None;
        }
        answer
    }

    /// Whoever says that the store is open there; or, where nobody does, who said so last, as long as it serves.
    fn owner(&self, view: &View) -> Option<Arc<Instance>> {
        let now = Instant::now();
        let serves = |last: &&Arc<Instance>| {
            self.silent.lock().as_ref().is_none_or(|(id, until)| *id != last.id || *until <= now)
        };
        view.store_owner().or_else(|| view.last_store_owner().filter(serves)).cloned()
    }

    async fn way(&self) -> Result<Way<'_>, Error> {
        let here = || self.links.local().store.get().map(Way::Here);
        if let Some(here) = here() {
            return Ok(here);
        }
        let owner = self.others.await_one(PATIENCE, |view| self.owner(view)).await;
        match owner {
            Some(owner) if !self.links.is_own(&owner) => {
                Ok(Way::There(There { id: owner.id.clone(), link: self.links.to(&owner) }))
            }
            // Meanwhile it may have been opened here.
            _ => here().ok_or_else(|| Error::Unavailable {
                service: "message-svc",
                reason: "no process has the message store open".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl Messages for StoreOwner {
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        match self.way().await {
            Ok(Way::Here(store)) => store.messages.call(request).await,
            Ok(Way::There(there)) => match there.link.call(request).await {
                Err(refused) if refused.code != ErrorCode::Unavailable => Err(refused),
                answer => self.heard(&there, answer),
            },
            Err(_) => Err(ErrorBody::retry_after(
                ErrorCode::Unavailable,
                "the message service is not there for a moment",
                RETRY_AFTER_MS,
            )),
        }
    }
}

#[async_trait]
impl Audiences for StoreOwner {
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, Error> {
        match self.way().await? {
            Way::Here(store) => store.audiences.large_topics(users).await,
            Way::There(there) => self.heard(&there, there.link.large_topics(users).await),
        }
    }

    async fn authorize(&self, user: &UserId, topics: Vec<TopicId>) -> Result<Vec<Hint>, Error> {
        match self.way().await? {
            Way::Here(store) => store.audiences.authorize(user, topics).await,
            Way::There(there) => self.heard(&there, there.link.authorize(user, topics).await),
        }
    }
}

#[async_trait]
impl Signals for StoreOwner {
    async fn signal(&self, signal: Signal) -> Result<SignalReply, Error> {
        match self.way().await? {
            Way::Here(store) => store.signals.signal(signal).await,
            Way::There(there) => self.heard(&there, Signals::signal(&*there.link, signal).await),
        }
    }
}

#[async_trait]
impl Presence for StoreOwner {
    async fn moved(&self, moves: Vec<Move>) -> Result<(), Error> {
        match self.way().await? {
            Way::Here(store) => store.presence.moved(moves).await,
            Way::There(there) => self.heard(&there, there.link.moved(moves).await),
        }
    }
}

#[async_trait]
impl Mutes for StoreOwner {
    async fn unmuted(&self, missed: Vec<Missed>) -> Result<Vec<Missed>, Error> {
        match self.way().await? {
            Way::Here(store) => store.mutes.unmuted(missed).await,
            Way::There(there) => self.heard(&there, there.link.unmuted(missed).await),
        }
    }
}
