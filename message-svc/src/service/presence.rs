//! Who is there: statuses set and asked for, and what gateways say of who came and went.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{Payload, Raise, Timestamp, TopicId, UserId};
use doorbell_rpc::{Caller, Error, Move, Presence, Way};
use tokio::time::timeout;

use super::MessageService;
use super::calls::{encode, parse};
use crate::api::{params, reply};
use crate::metrics::MoveOutcome;
use crate::read::statuses;
use crate::refusal::Refusal;
use crate::status::{State, Status, Whereabouts};
use crate::writer::request::{Request, StatusRequest};

/// How long the registry may take to say who is online, to a client that waits for it.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long each step may take of telling who came and went: the store, the registry, then the channel service. All of
/// them end before those who tell give up, after 2 s.
const MOVES_WAIT: Duration = Duration::from_millis(500);

impl MessageService {
    pub(super) async fn set_status(&self, caller: Caller, params: &Payload) -> Result<Payload, Refusal> {
        let (chosen, text) = parse::<params::SetStatus>(params)?.check()?;
        let mut status = Status { chosen, text, seen_before: None };
        let _inflight = self.inflight.enter(&caller.user);
        let _turn = self.status_turns.take(&caller.user).await;
        if !status.is_visible() {
            status.seen_before = self.seen_by_now(&caller.user).await?;
        }
        let home = self.writer(self.tools.store.shards().of_user(&caller.user));
        let request = Box::new(StatusRequest { caller, status });
        let status = home.ask(|reply| Request::Status(request, reply)).await?;
        Ok(encode(params, &self.own(status)))
    }

    pub(super) async fn get_status(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        let users = parse::<params::GetStatus>(params)?.check()?;
        let home = self.tools.store.shards().of_user(&user);
        drop(self.status_turns.take(&user).await);
        self.own_writes_first(&user, [home]).await?;
        let turn = self.turns.take(&user).await;
        let asker = user.clone();
        let known = self.reader.read(move |store| statuses::seen_by(store, &asker, users)).await?;
        drop(turn);
        let others = known.iter().filter(|(other, status)| *other != user && status.is_visible());
        let others: Vec<UserId> = others.map(|(other, _)| other.clone()).collect();
        let online = self.online_among(others, REGISTRY_TIMEOUT).await?;
        let now = (self.tools.clock)();
        let shown = known.into_iter().map(|(other, status)| {
            if other == user {
                return (other, self.own(status));
            }
            let whereabouts = Whereabouts { online: online.contains(&other), seen: self.seen.last(&other) };
            let (state, last_seen_ms) = status.to_others(whereabouts, now);
            (other, reply::Status { state, text: status.text, last_seen_ms })
        });
        Ok(encode(params, &shown.collect::<reply::Statuses>()))
    }

    fn own(&self, status: Status) -> reply::Status {
        let state: State = status.to_oneself();
        reply::Status { state, text: status.text, last_seen_ms: Some((self.tools.clock)()) }
    }

    /// When a user was last seen by anybody, as of now.
    async fn seen_by_now(&self, user: &UserId) -> Result<Option<Timestamp>, Refusal> {
        let online = self.online_among(vec![user.clone()], REGISTRY_TIMEOUT).await?;
        if online.is_empty() { Ok(self.seen.last(user)) } else { Ok(Some((self.tools.clock)())) }
    }

    /// Those of some users who have a session, as far as the registry says so in time.
    async fn online_among(&self, users: Vec<UserId>, wait: Duration) -> Result<HashSet<UserId>, Refusal> {
        if users.is_empty() {
            return Ok(HashSet::new());
        }
        let asked = timeout(wait, self.neighbours.registry.online(users.clone())).await;
        match asked {
            Ok(Ok(online)) => {
                let online = users.into_iter().zip(online).filter(|(_, online)| *online);
                Ok(online.map(|(user, _)| user).collect())
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the registry did not say who is online");
                Err(Refusal::NoRegistry)
            }
            Err(_) => Err(Refusal::NoRegistry),
        }
    }

    /// Whose presence a move changes, for those who may see it.
    async fn shown_moves(&self, moves: Vec<Move>) -> Result<Vec<UserId>, Refusal> {
        let total = moves.len();
        let read = self.moves.read(move |store| {
            let mut visible = Vec::with_capacity(moves.len());
            for moved in moves {
                if statuses::of(store, &moved.user)?.is_visible() {
                    visible.push(moved);
                }
            }
            Ok(visible)
        });
        let visible = timeout(MOVES_WAIT, read).await.unwrap_or(Err(Refusal::ReadsWait))?;
        self.tools.metrics.presence.moved(MoveOutcome::Hidden, total - visible.len());
        let went = |moved: &&Move| moved.way == Way::Went;
        let gone: Vec<UserId> = visible.iter().filter(went).map(|moved| moved.user.clone()).collect();
        // Where the registry does not answer, a hint too many costs a pull.
        let elsewhere = self.online_among(gone, MOVES_WAIT).await.unwrap_or_default();
        let shown = visible.iter().filter(|moved| moved.way == Way::Came || !elsewhere.contains(&moved.user));
        let shown: Vec<UserId> = shown.map(|moved| moved.user.clone()).collect();
        self.tools.metrics.presence.moved(MoveOutcome::Elsewhere, visible.len() - shown.len());
        Ok(shown)
    }
}

#[async_trait]
impl Presence for MessageService {
    async fn moved(&self, moves: Vec<Move>) -> Result<(), Error> {
        let now = (self.tools.clock)();
        moves.iter().for_each(|moved| self.seen.note(&moved.user, now));
        let unavailable = |reason| Error::Unavailable { service: "message-svc", reason };
        let shown = self.shown_moves(moves).await.map_err(|refusal| unavailable(refusal.to_string()))?;
        if shown.is_empty() {
            return Ok(());
        }
        let raises = shown.iter().map(|user| (TopicId::presence(user), Raise::Next)).collect();
        let publishing = timeout(MOVES_WAIT, self.neighbours.channels.publish(raises)).await;
        publishing.map_err(|_| unavailable("the channel service does not answer".to_owned()))??;
        self.tools.metrics.presence.moved(MoveOutcome::Published, shown.len());
        Ok(())
    }
}
