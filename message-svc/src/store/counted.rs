//! A store that counts what is read of it.
//!
//! One look-up is one question to the tables, whether it brings nothing, a row, or a range of them. Taking a view is
//! none: views are in memory.

use std::sync::Arc;

use doorbell_protocol::{ConversationId, UserId, Version};

use super::{
    Answer, AnswerKey, Batch, Commit, EntryRange, Inbox, Note, Store, StoreError, StoreId, View, Visit,
};
use crate::Metrics;
use crate::conversation::{Conversation, Entry, Head, Member, Membership, Position};
use crate::metrics::ReadFor;
use crate::shard::{Shard, Shards};
use crate::status::Status;
use crate::writer::cursor::{Identities, Trail};

/// Passes everything on, and counts look-ups for one kind of reader.
pub struct Counted {
    store: Arc<dyn Store>,
    count: Count,
}

#[derive(Clone)]
struct Count {
    metrics: Arc<Metrics>,
    reader: ReadFor,
}

struct CountedView {
    view: Arc<dyn View>,
    count: Count,
}

impl Counted {
    /// The same store, read for `reader`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, reader: ReadFor) -> Self {
        Self { store, count: Count { metrics, reader } }
    }
}

impl Store for Counted {
    fn id(&self) -> StoreId {
        self.store.id()
    }
    fn shards(&self) -> Shards {
        self.store.shards()
    }
    fn view(&self, shard: Shard) -> Result<Arc<dyn View>, StoreError> {
        Ok(Arc::new(CountedView { view: self.store.view(shard)?, count: self.count.clone() }))
    }
    fn commit(&self, shard: Shard, batch: &Batch) -> Result<(), StoreError> {
        self.store.commit(shard, batch)
    }
    fn note(&self, shard: Shard, note: &Note) -> Result<(), StoreError> {
        self.store.note(shard, note)
    }
    fn refresh(&self, shard: Shard) {
        self.store.refresh(shard);
    }
    fn recover(&self) -> Result<(), crate::Error> {
        self.store.recover()
    }
    fn is_sound(&self) -> bool {
        self.store.is_sound()
    }
    fn generation(&self) -> u64 {
        self.store.generation()
    }
}

impl CountedView {
    /// The view, for one look-up.
    fn look_up(&self) -> &dyn View {
        self.count.metrics.reads.looked_up(self.count.reader);
        &*self.view
    }
}

impl View for CountedView {
    fn position(&self) -> Position {
        self.view.position()
    }
    fn announced(&self) -> Position {
        self.view.announced()
    }
    fn forgotten(&self) -> Position {
        self.view.forgotten()
    }
    fn identities(&self) -> Result<Identities, StoreError> {
        self.view.identities()
    }
    fn trail(&self) -> Result<Trail, StoreError> {
        self.view.trail()
    }
    fn conversation(&self, conversation: &ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.look_up().conversation(conversation)
    }
    fn head(&self, conversation: &ConversationId) -> Result<Option<Head>, StoreError> {
        self.look_up().head(conversation)
    }
    fn members(
        &self,
        conversation: &ConversationId,
        after: Option<&UserId>,
        members_max: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.look_up().members(conversation, after, members_max)
    }
    fn tie(&self, user: &UserId, conversation: &ConversationId) -> Result<Option<Membership>, StoreError> {
        self.look_up().tie(user, conversation)
    }
    fn ties(&self, user: &UserId) -> Result<Vec<(ConversationId, Membership)>, StoreError> {
        self.look_up().ties(user)
    }
    fn entry(&self, conversation: &ConversationId, version: Version) -> Result<Option<Entry>, StoreError> {
        self.look_up().entry(conversation, version)
    }
    fn entries(&self, range: &EntryRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.look_up().entries(range, visit)
    }
    fn answer(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        self.look_up().answer(key)
    }
    fn inbox(&self, user: &UserId) -> Result<Inbox, StoreError> {
        self.look_up().inbox(user)
    }
    fn status(&self, user: &UserId) -> Result<Option<Status>, StoreError> {
        self.look_up().status(user)
    }
    fn commits(&self, after: Position, commits_max: usize) -> Result<Vec<Commit>, StoreError> {
        self.look_up().commits(after, commits_max)
    }
}
