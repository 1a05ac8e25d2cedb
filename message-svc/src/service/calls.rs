//! One function a method: parameters in, result out.
//!
//! A write is put into its writer's queue before the first await: that keeps the order in which calls were made. A new
//! status may have to be waited for first: it takes the user's turn instead, which reads of statuses wait for.

use doorbell_protocol::{ConversationId, ErrorBody, ErrorCode, Payload, TopicId, UserId};
use doorbell_rpc::{CallRequest, Caller};
use serde::Serialize;

use super::MessageService;
use crate::api::params::{self, page_size};
use crate::api::{Method, Named, reply};
use crate::marks;
use crate::pulls::Pull;
use crate::read::listing::MembersPage;
use crate::read::{changes, listing, since};
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::writer::WriterHandle;
use crate::writer::request::{MarkRequest, Marked, MembersRequest, PairRequest, Reply, Request};

/// Topics of one page of `topics.changes`, by default and at most: one takes some 100 bytes.
const CHANGES: (u32, u32) = (500, 1_000);
/// Conversations of one page.
const CONVERSATIONS: (u32, u32) = (50, 200);
/// Messages of one page (protocol, "Methods").
const MESSAGES: (u32, u32) = (100, 500);
/// Rounds of counting for one read mark: each finds that another device was faster.
const MARK_ROUNDS: usize = 4;

impl MessageService {
    pub(super) async fn answer(&self, named: Named, request: CallRequest) -> Result<Payload, Refusal> {
        let CallRequest { caller, method: _, params } = request;
        let user = caller.user.clone();
        match named {
            Named::Served(Method::Send) => self.send(caller, &params).await,
            Named::Served(Method::Edit) => self.edit(caller, &params).await,
            Named::Served(Method::Delete) => self.delete(caller, &params).await,
            Named::Served(Method::Messages) => self.messages(user, &params).await,
            Named::Served(Method::Changes) => {
                let _turn = self.turns.take(&user).await;
                self.changes(user, &params).await
            }
            Named::Served(Method::MarkRead) => self.mark_read(user, &params).await,
            Named::Served(Method::List) => {
                let _turn = self.turns.take(&user).await;
                self.list(user, &params).await
            }
            Named::Served(Method::Get) => self.get(user, &params).await,
            Named::Served(Method::Create) => self.create(user, &params).await,
            Named::Served(Method::Update) => self.update(caller, &params).await,
            Named::Served(Method::AddMembers) => self.add_members(user, &params).await,
            Named::Served(Method::RemoveMembers) => self.remove_members(user, &params).await,
            Named::Served(Method::SetStatus) => self.set_status(caller, &params).await,
            Named::Served(Method::GetStatus) => self.get_status(user, &params).await,
            Named::Unknown => {
                let message = "there is no such method: see the protocol's table of methods";
                Err(Refusal::Request(ErrorBody::new(ErrorCode::UnknownMethod, message)))
            }
        }
    }

    async fn send(&self, caller: Caller, params: &Payload) -> Result<Payload, Refusal> {
        let request = parse::<params::Send>(params)?.request(caller)?;
        let _inflight = self.inflight.enter(&request.caller.user);
        let writer = self.writer(self.tools.store.shards().of_conversation(&request.conversation));
        let sent = writer.ask(|reply| Request::Send(Box::new(request), reply)).await?;
        Ok(encode(params, &reply::Sent::from(sent)))
    }

    async fn edit(&self, caller: Caller, params: &Payload) -> Result<Payload, Refusal> {
        let request = parse::<params::Edit>(params)?.request(caller)?;
        let _inflight = self.inflight.enter(&request.what.caller.user);
        let writer = self.writer(self.tools.store.shards().of_conversation(&request.what.conversation));
        let sent = writer.ask(|reply| Request::Edit(Box::new(request), reply)).await?;
        Ok(encode(params, &reply::Sent::from(sent)))
    }

    async fn delete(&self, caller: Caller, params: &Payload) -> Result<Payload, Refusal> {
        let request = parse::<params::Delete>(params)?.request(caller);
        let _inflight = self.inflight.enter(&request.what.caller.user);
        let writer = self.writer(self.tools.store.shards().of_conversation(&request.what.conversation));
        let sent = writer.ask(|reply| Request::Delete(Box::new(request), reply)).await?;
        Ok(encode(params, &reply::Sent::from(sent)))
    }

    async fn create(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        let members_max = self.tools.config.members_max.get();
        let creation = parse::<params::CreateConversation>(params)?.request(user.clone(), members_max)?;
        let _inflight = self.inflight.enter(&user);
        let shards = self.tools.store.shards();
        let (home, request) = (self.writer(shards.of_user(&user)), Box::new(creation.request));
        let mut conversation = home.ask(|reply| Request::Create(request, reply)).await?;
        if let Some(to) = creation.pair_with {
            // The key is noted; the pair's own shard makes the conversation, also for a repeat after a crash between.
            let pair = PairRequest { user, to, conversation };
            let writer = self.writer(shards.of_conversation(&pair.conversation));
            conversation = writer.ask(|reply| Request::Pair(pair, reply)).await?;
        }
        let topic = TopicId::conversation(&conversation);
        Ok(encode(params, &reply::Created { conversation, topic }))
    }

    async fn update(&self, caller: Caller, params: &Payload) -> Result<Payload, Refusal> {
        let request = parse::<params::Update>(params)?.request(caller)?;
        let _inflight = self.inflight.enter(&request.caller.user);
        let (user, conversation) = (request.caller.user.clone(), request.conversation.clone());
        let shard = self.tools.store.shards().of_conversation(&conversation);
        self.writer(shard).ask(|reply| Request::Update(Box::new(request), reply)).await?;
        self.shown(user, conversation, params::first_members(), params).await
    }

    async fn add_members(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        self.change_members(user, params, Request::Add).await
    }

    async fn remove_members(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        self.change_members(user, params, Request::Remove).await
    }

    async fn change_members(
        &self,
        user: UserId,
        params: &Payload,
        change: fn(Box<MembersRequest>, Reply<u64>) -> Request,
    ) -> Result<Payload, Refusal> {
        let members_max = self.tools.config.members_max.get();
        let request = Box::new(parse::<params::Members>(params)?.request(user, members_max)?);
        let _inflight = self.inflight.enter(&request.user);
        let writer = self.writer(self.tools.store.shards().of_conversation(&request.conversation));
        let members = writer.ask(|reply| change(request, reply)).await?;
        Ok(encode(params, &reply::Members { members }))
    }

    async fn mark_read(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        let mut request = parse::<params::MarkRead>(params)?.request(user);
        let _inflight = self.inflight.enter(&request.user);
        let shard = self.tools.store.shards().of_conversation(&request.conversation);
        for _ in 0..MARK_ROUNDS {
            let asked = request.clone();
            match self.writer(shard).ask(|reply| Request::Mark(asked, reply)).await? {
                Marked::At(read) => return Ok(encode(params, &reply::Read { read })),
                Marked::Uncounted(version) => {
                    let MarkRequest { user, conversation, .. } = request.clone();
                    let count = self.reader.read(move |store| {
                        let view = store.view(shard)?;
                        Ok(marks::count(&*view, &user, &conversation, version, u64::MAX)?)
                    });
                    request = MarkRequest { version, counted: count.await?, ..request };
                }
            }
        }
        Err(Refusal::Busy)
    }

    async fn messages(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        let asked: params::Messages = parse(params)?;
        let (slice, limit) = (asked.slice()?, page_size("limit", asked.limit, MESSAGES)?);
        let shard = self.tools.store.shards().of_conversation(&asked.conversation);
        self.own_writes_first(&user, [shard]).await?;
        let pull = Pull { conversation: asked.conversation, slice, limit, encoding: params.encoding() };
        self.pulls.pull(shard, &user, pull).await
    }

    async fn get(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        let asked: params::Get = parse(params)?;
        let (conversation, page) = (asked.conversation.clone(), asked.members()?);
        let shard = self.tools.store.shards().of_conversation(&conversation);
        self.own_writes_first(&user, [shard]).await?;
        self.shown(user, conversation, page, params).await
    }

    /// One conversation as one member sees it.
    async fn shown(
        &self,
        user: UserId,
        conversation: ConversationId,
        members: MembersPage,
        params: &Payload,
    ) -> Result<Payload, Refusal> {
        let shard = self.tools.store.shards().of_conversation(&conversation);
        let read =
            self.reader.read(move |store| listing::get(&*store.view(shard)?, &user, &conversation, &members));
        let mut shown = read.await?;
        shown.online = self.online(&shown.conversation, shown.member_count).await;
        Ok(encode(params, &shown))
    }

    async fn list(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        let asked = parse::<params::List>(params)?.check()?;
        let limit = page_size("limit", asked.limit, CONVERSATIONS)?;
        self.own_writes_first(&user, self.tools.store.shards().all()).await?;
        if let Some(cursor) = asked.changed_since {
            let read = self.reader.read(move |store| since::changed(store, &user, &cursor, limit));
            return Ok(encode(params, &read.await?));
        }
        let read = self.reader.read(move |store| listing::list(store, &user, asked.before.as_deref(), limit));
        Ok(encode(params, &read.await?))
    }

    async fn changes(&self, user: UserId, params: &Payload) -> Result<Payload, Refusal> {
        let asked: params::Changes = parse(params)?;
        let limit = page_size("limit", asked.limit, CHANGES)?;
        self.own_writes_first(&user, self.tools.store.shards().all()).await?;
        let read =
            self.reader.read(move |store| changes::changes(store, &user, asked.cursor.as_deref(), limit));
        Ok(encode(params, &read.await?))
    }

    pub(super) fn writer(&self, shard: Shard) -> &WriterHandle {
        &self.writers[shard.index()]
    }

    /// Lets a read wait for the caller's own writes that were made before it.
    pub(super) async fn own_writes_first(
        &self,
        user: &UserId,
        shards: impl IntoIterator<Item = Shard, IntoIter: Send> + Send,
    ) -> Result<(), Refusal> {
        if self.inflight.any(user) {
            for shard in shards {
                self.writer(shard).ask(Request::Pass).await?;
            }
        }
        Ok(())
    }
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(params: &Payload) -> Result<T, Refusal> {
    params.parse().map_err(Refusal::Request)
}

pub(super) fn encode(params: &Payload, result: &impl Serialize) -> Payload {
    Payload::encode(params.encoding(), result)
}

/// An error's code as a metric's label.
pub(super) const fn code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Invalid => "invalid",
        ErrorCode::Unauthorized => "unauthorized",
        ErrorCode::Forbidden => "forbidden",
        ErrorCode::NotFound => "not_found",
        ErrorCode::Conflict => "conflict",
        ErrorCode::TooLarge => "too_large",
        ErrorCode::RateLimited => "rate_limited",
        ErrorCode::Unavailable => "unavailable",
        ErrorCode::UnknownType => "unknown_type",
        ErrorCode::UnknownMethod => "unknown_method",
        ErrorCode::Unsupported => "unsupported",
        ErrorCode::Internal => "internal",
    }
}
