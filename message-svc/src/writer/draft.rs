//! Decides requests one after the other, each on top of what the ones before it will have changed: pure, but for
//! reads of the view.

mod amend;
mod members;
mod status;
#[cfg(test)]
mod tests;
mod title;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use doorbell_protocol::{ConversationId, Timestamp, UserId, Version};
use doorbell_rpc::{Caller, sabotage};

use super::memory::Memory;
use super::request::{Create, CreateRequest, MarkRequest, Marked, PairRequest, SendRequest, Sent};
use crate::conversation::{
    Content, ContentDigest, Conversation, Edits, Entry, EntryKind, Head, Kind, Mark, Membership, Position,
    group_id, message_id,
};
use crate::marks;
use crate::refusal::Refusal;
use crate::shard::{Shard, Shards};
use crate::status::Status;
use crate::store::{Answer, AnswerKey, Batch, Event, Inbox, Reseating, Said, StoreError, View};
use crate::throttle::{Throttle, Throttles};

/// Entries that the writer reads to count a read mark at most; more are counted by the asker, on the side.
const COUNTED_MAX: u64 = 256;

/// A commit that is being put together.
pub struct Draft<'a> {
    view: &'a dyn View,
    memory: &'a mut Memory,
    throttles: &'a Throttles,
    shard: Shard,
    shards: Shards,
    batch: Batch,
    answers: HashMap<AnswerKey, Answer>,
    inboxes: HashMap<UserId, Inbox>,
    statuses: HashMap<UserId, Status>,
    conversations: HashMap<ConversationId, Conversation>,
    /// Who came in and who left, in the order of their names within a conversation.
    audience: BTreeMap<(ConversationId, UserId), Option<Position>>,
    reseated: BTreeMap<ConversationId, Reseating>,
    /// Entries that earlier commits wrote and this one changes.
    rewritten: HashMap<(ConversationId, Version), Entry>,
    appended: HashSet<ConversationId>,
    heads: HashSet<ConversationId>,
    memberships: HashSet<(UserId, ConversationId)>,
    listed: BTreeSet<UserId>,
    repeats: u64,
}

/// What a draft came to.
pub struct Drafted {
    /// What to commit; `None` where nothing changes.
    pub batch: Option<Batch>,
    /// Requests that were answered from their key.
    pub repeats: u64,
}

impl<'a> Draft<'a> {
    /// Begins the commit after the view's.
    pub fn new(
        view: &'a dyn View,
        memory: &'a mut Memory,
        throttles: &'a Throttles,
        (shard, shards): (Shard, Shards),
        at: Timestamp,
    ) -> Self {
        let batch = Batch { position: view.position().next(), at, ..Batch::default() };
        Self {
            view,
            memory,
            throttles,
            shard,
            shards,
            batch,
            answers: HashMap::new(),
            inboxes: HashMap::new(),
            statuses: HashMap::new(),
            conversations: HashMap::new(),
            audience: BTreeMap::new(),
            reseated: BTreeMap::new(),
            rewritten: HashMap::new(),
            appended: HashSet::new(),
            heads: HashSet::new(),
            memberships: HashSet::new(),
            listed: BTreeSet::new(),
            repeats: 0,
        }
    }

    /// Appends a message, making the pair's conversation first where that is asked and needed.
    pub fn send(&mut self, request: SendRequest) -> Result<Sent, Refusal> {
        let SendRequest { caller, conversation, to, key, content, digest } = request;
        let user = caller.user.clone();
        let member = self.membership(&user, &conversation)?;
        if member.is_none() && to.is_none() {
            return Err(Refusal::NoConversation);
        }
        let key = AnswerKey::Log { user: user.clone(), conversation: conversation.clone(), key };
        if let Some(sent) = self.logged(&key, &conversation, digest)? {
            return Ok(sent);
        }
        admit(&self.throttles.messages, &caller, "messages")?;
        let member = match (member, to) {
            (Some(member), _) => member,
            (None, Some(to)) => self.make_pair(&user, to, &conversation)?,
            (None, None) => return Err(Refusal::NoConversation),
        };
        let sent = self.append(&user, &conversation, member, content)?;
        self.keep(key, digest, &sent);
        Ok(sent)
    }

    fn append(
        &mut self,
        user: &UserId,
        conversation: &ConversationId,
        mut member: Membership,
        content: Content,
    ) -> Result<Sent, Refusal> {
        let sent = self.log(user, conversation, Words::new(EntryKind::Message, content))?;
        member.own += 1;
        member.last_own = sent.version;
        self.put_membership(user, conversation, member);
        Ok(sent)
    }

    /// Gives an entry its place in a log.
    fn log(&mut self, user: &UserId, conversation: &ConversationId, words: Words) -> Result<Sent, Refusal> {
        let Words { kind, of, edits, mut content } = words;
        if sabotage::strikes("alter-text", 50) {
            content.text.push('!');
        }
        let mut head = self.head(conversation)?;
        head.version = head.version.next();
        match kind {
            EntryKind::Message => {
                head.messages += 1;
                head.last_message = head.version;
            }
            EntryKind::Delete => head.last_delete = head.version,
            EntryKind::Edit | EntryKind::Rename => {}
        }
        head.position = self.batch.position;
        head.updated_at = head.updated_at.max(self.batch.at);
        let id = message_id(self.batch.at);
        let entry = Entry {
            version: head.version,
            kind,
            of,
            id: id.clone(),
            from: user.clone(),
            sent_at: self.batch.at,
            messages: head.messages,
            edits,
            deleted: None,
            content,
        };
        if sabotage::strikes("ack-unwritten", 50) {
            return Ok(Sent {
                conversation: conversation.clone(),
                version: head.version,
                id,
                sent_at: self.batch.at,
            });
        }
        self.batch.entries.push((conversation.clone(), entry));
        self.appended.insert(conversation.clone());
        self.put_head(conversation, head);
        Ok(Sent { conversation: conversation.clone(), version: head.version, id, sent_at: self.batch.at })
    }

    /// Makes a group, or notes which pair a key stands for.
    pub fn create(&mut self, request: CreateRequest) -> Result<ConversationId, Refusal> {
        let CreateRequest { user, key, digest, what } = request;
        let key = AnswerKey::Create { user: user.clone(), key };
        if let Some(said) = self.repeated(&key, digest)? {
            let Said::Created { conversation } = said else { return Err(damaged("answers")) };
            return Ok(conversation);
        }
        admit(&self.throttles.conversations, &user.clone().into(), "new conversations")?;
        let conversation = match what {
            Create::Pair(conversation) => conversation,
            Create::Group { members, title, closed } => {
                let id = group_id(self.batch.at, self.shard, self.shards);
                let created_at = self.batch.at;
                let group = Conversation { kind: Kind::Group, owner: user, title, closed, created_at };
                self.make(&id, group, members);
                id
            }
        };
        let said = Said::Created { conversation: conversation.clone() };
        self.answers.insert(key, Answer { digest, said });
        Ok(conversation)
    }

    /// Makes a pair's conversation where there is none.
    pub fn pair(&mut self, request: PairRequest) -> Result<ConversationId, Refusal> {
        let PairRequest { user, to, conversation } = request;
        if self.membership(&user, &conversation)?.is_none() {
            self.make_pair(&user, to, &conversation)?;
        }
        Ok(conversation)
    }

    fn make_pair(
        &mut self,
        user: &UserId,
        to: UserId,
        conversation: &ConversationId,
    ) -> Result<Membership, Refusal> {
        let pair = Conversation {
            kind: Kind::Direct,
            owner: user.clone(),
            title: None,
            closed: true,
            created_at: self.batch.at,
        };
        self.make(conversation, pair, vec![user.clone(), to]);
        self.membership(user, conversation)?.ok_or(damaged("memberships"))
    }

    fn make(&mut self, id: &ConversationId, conversation: Conversation, members: Vec<UserId>) {
        let position = self.batch.position;
        let (updated_at, count) = (conversation.created_at, members.len() as u64);
        let head = Head { position, updated_at, members: count, members_at: position, ..Head::default() };
        self.put_head(id, head);
        for user in members {
            let member = Membership { joined: position, changed: position, ..Membership::default() };
            self.put_membership(&user, id, member);
            self.audience.insert((id.clone(), user), Some(position));
        }
        self.conversations.insert(id.clone(), conversation);
        self.batch.events.push(Event::Created { conversation: id.clone() });
    }

    /// Moves a read mark forward.
    pub fn mark(&mut self, request: MarkRequest) -> Result<Marked, Refusal> {
        let MarkRequest { user, conversation, version, counted } = request;
        let mut member = self.membership(&user, &conversation)?.ok_or(Refusal::NoConversation)?;
        let head = self.head(&conversation)?;
        let version = version.min(head.version);
        if version <= member.mark.version {
            return Ok(Marked::At(member.mark.version));
        }
        let mark = if version == head.version {
            Some(Mark { version, messages: head.messages, own: member.own })
        } else if let Some(mark) = counted.filter(|mark| mark.version == version) {
            Some(mark)
        } else if self.appended.contains(&conversation) {
            None
        } else {
            marks::count(self.view, &user, &conversation, version, COUNTED_MAX)?
        };
        let Some(mark) = mark else { return Ok(Marked::Uncounted(version)) };
        member.mark = mark;
        member.changed = self.batch.position;
        self.put_membership(&user, &conversation, member);
        self.listed.insert(user);
        Ok(Marked::At(version))
    }

    /// Raises each inbox by one.
    pub fn raise(&mut self, users: Vec<UserId>) -> Result<Vec<(UserId, Version)>, Refusal> {
        users
            .into_iter()
            .map(|user| {
                let inbox = match self.inboxes.get(&user) {
                    Some(inbox) => *inbox,
                    None => self.view.inbox(&user)?,
                };
                let inbox = Inbox { version: inbox.version.next(), position: self.batch.position };
                self.inboxes.insert(user.clone(), inbox);
                Ok((user, inbox.version))
            })
            .collect()
    }

    /// Ends the draft: gathers the last state of every row that changed.
    pub fn finish(mut self) -> Drafted {
        for conversation in &self.heads {
            if let Some(head) = self.memory.heads.get(conversation) {
                self.batch.heads.push((conversation.clone(), *head));
                if self.appended.contains(conversation) {
                    let (conversation, version) = (conversation.clone(), head.version);
                    self.batch.events.push(Event::Appended { conversation, version });
                }
            }
        }
        for key in self.memberships {
            if let Some(member) = self.memory.memberships.get(&key) {
                self.batch.memberships.push((key.0, key.1, member.clone()));
            }
        }
        let reseated = self.reseated.into_iter();
        self.batch
            .events
            .extend(reseated.map(|(conversation, change)| Event::Reseated { conversation, change }));
        self.batch.events.extend(self.listed.into_iter().map(|user| Event::Listed { user }));
        self.batch.conversations.extend(self.conversations);
        self.batch.rewritten.extend(self.rewritten.into_iter().map(|((id, _), entry)| (id, entry)));
        let audience = self.audience.into_iter().map(|((id, user), joined)| (id, user, joined));
        self.batch.audience.extend(audience);
        self.batch.inboxes.extend(self.inboxes);
        self.batch.statuses.extend(self.statuses);
        self.batch.answers.extend(self.answers);
        let changes = !(self.batch.heads.is_empty()
            && self.batch.memberships.is_empty()
            && self.batch.inboxes.is_empty());
        let changes = changes || !self.batch.answers.is_empty() || !self.batch.statuses.is_empty();
        Drafted { batch: changes.then_some(self.batch), repeats: self.repeats }
    }

    /// The entry that a key stands for, if it was used before.
    fn logged(
        &mut self,
        key: &AnswerKey,
        conversation: &ConversationId,
        digest: ContentDigest,
    ) -> Result<Option<Sent>, Refusal> {
        match self.repeated(key, digest)? {
            None => Ok(None),
            Some(Said::Logged { version, id, sent_at }) => {
                Ok(Some(Sent { conversation: conversation.clone(), version, id, sent_at }))
            }
            Some(Said::Created { .. }) => Err(damaged("answers")),
        }
    }

    /// Keeps which entry a key stands for.
    fn keep(&mut self, key: AnswerKey, digest: ContentDigest, sent: &Sent) {
        let said = Said::Logged { version: sent.version, id: sent.id.clone(), sent_at: sent.sent_at };
        self.answers.insert(key, Answer { digest, said });
    }

    /// What was said under a key: durable, or in this very commit, with which it is answered or fails.
    fn repeated(&mut self, key: &AnswerKey, digest: ContentDigest) -> Result<Option<Said>, Refusal> {
        let answer = match self.answers.get(key) {
            Some(answer) => Some(answer.clone()),
            None => self.view.answer(key)?,
        };
        match answer {
            None => Ok(None),
            Some(_) if sabotage::is("forget-keys") => Ok(None),
            Some(answer) if answer.digest == digest => {
                self.repeats += 1;
                Ok(Some(answer.said))
            }
            Some(_) => Err(Refusal::KeyConflict),
        }
    }

    /// One member, and nobody who has left.
    fn membership(
        &mut self,
        user: &UserId,
        conversation: &ConversationId,
    ) -> Result<Option<Membership>, Refusal> {
        Ok(self.tie(user, conversation)?.filter(Membership::is_current))
    }

    fn tie(&mut self, user: &UserId, conversation: &ConversationId) -> Result<Option<Membership>, Refusal> {
        let key = (user.clone(), conversation.clone());
        if let Some(tie) = self.memory.memberships.get(&key) {
            return Ok(Some(tie.clone()));
        }
        let tie = self.view.tie(user, conversation)?;
        if let Some(tie) = &tie {
            self.memory.memberships.insert(key, tie.clone());
        }
        Ok(tie)
    }

    fn conversation(&self, id: &ConversationId) -> Result<Conversation, Refusal> {
        match self.conversations.get(id) {
            Some(conversation) => Ok(conversation.clone()),
            None => Ok(self.view.conversation(id)?.ok_or(damaged("conversations"))?),
        }
    }

    fn head(&mut self, conversation: &ConversationId) -> Result<Head, Refusal> {
        if let Some(head) = self.memory.heads.get(conversation) {
            return Ok(*head);
        }
        let head = self.view.head(conversation)?.ok_or(damaged("heads"))?;
        self.memory.heads.insert(conversation.clone(), head);
        Ok(head)
    }

    fn put_head(&mut self, conversation: &ConversationId, head: Head) {
        self.memory.heads.insert(conversation.clone(), head);
        self.heads.insert(conversation.clone());
    }

    fn put_membership(&mut self, user: &UserId, conversation: &ConversationId, member: Membership) {
        let key = (user.clone(), conversation.clone());
        self.memory.memberships.insert(key.clone(), member);
        self.memberships.insert(key);
    }
}

/// What an entry says, before it has its place.
struct Words {
    kind: EntryKind,
    of: Option<Version>,
    edits: Option<Edits>,
    content: Content,
}

impl Words {
    /// An entry that changes no other one.
    const fn new(kind: EntryKind, content: Content) -> Self {
        Self { kind, of: None, edits: None, content }
    }
}

/// Takes one of what a user may do.
fn admit(throttle: &Throttle, caller: &Caller, what: &'static str) -> Result<(), Refusal> {
    throttle.admit(caller).map_err(|retry_after| Refusal::Throttled { what, retry_after })
}

/// A row that must be there is not: the store is damaged.
fn damaged(table: &'static str) -> Refusal {
    Refusal::Store(StoreError::Damaged { table })
}
