//! Decides requests one after the other, each on top of what the ones before it will have changed: pure, but for
//! reads of the view.

use std::collections::{BTreeSet, HashMap, HashSet};

use doorbell_protocol::{ConversationId, Timestamp, UserId, Version};

use super::memory::Memory;
use super::request::{Create, CreateRequest, MarkRequest, Marked, PairRequest, SendRequest, Sent};
use crate::conversation::{
    Content, ContentDigest, Conversation, Entry, EntryKind, Head, Kind, Mark, Membership, group_id,
    message_id,
};
use crate::marks;
use crate::refusal::Refusal;
use crate::shard::{Shard, Shards};
use crate::store::{Answer, AnswerKey, Batch, Event, Inbox, Said, StoreError, View};
use crate::throttle::Throttle;

/// Entries that the writer reads to count a read mark at most; more are counted by the asker, on the side.
const COUNTED_MAX: u64 = 256;

/// A commit that is being put together.
pub struct Draft<'a> {
    view: &'a dyn View,
    memory: &'a mut Memory,
    throttle: &'a Throttle,
    shard: Shard,
    shards: Shards,
    batch: Batch,
    answers: HashMap<AnswerKey, Answer>,
    inboxes: HashMap<UserId, Inbox>,
    appended: HashSet<ConversationId>,
    heads: HashSet<ConversationId>,
    memberships: HashSet<(UserId, ConversationId)>,
    marked: BTreeSet<UserId>,
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
        throttle: &'a Throttle,
        (shard, shards): (Shard, Shards),
        at: Timestamp,
    ) -> Self {
        let batch = Batch { position: view.position().next(), at, ..Batch::default() };
        Self {
            view,
            memory,
            throttle,
            shard,
            shards,
            batch,
            answers: HashMap::new(),
            inboxes: HashMap::new(),
            appended: HashSet::new(),
            heads: HashSet::new(),
            memberships: HashSet::new(),
            marked: BTreeSet::new(),
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
        let key = AnswerKey::Send { user: user.clone(), conversation: conversation.clone(), key };
        if let Some(said) = self.repeated(&key, digest)? {
            let Said::Sent { version, id, sent_at } = said else { return Err(damaged("answers")) };
            return Ok(Sent { conversation, version, id, sent_at });
        }
        self.throttle.admit(&caller).map_err(|retry_after| Refusal::Throttled { retry_after })?;
        let member = match (member, to) {
            (Some(member), _) => member,
            (None, Some(to)) => self.make_pair(&user, to, &conversation)?,
            (None, None) => return Err(Refusal::NoConversation),
        };
        let sent = self.append(&user, &conversation, member, content)?;
        let said = Said::Sent { version: sent.version, id: sent.id.clone(), sent_at: sent.sent_at };
        self.answers.insert(key, Answer { digest, said });
        Ok(sent)
    }

    fn append(
        &mut self,
        user: &UserId,
        conversation: &ConversationId,
        mut member: Membership,
        content: Content,
    ) -> Result<Sent, Refusal> {
        let mut head = self.head(conversation)?;
        head.version = head.version.next();
        head.messages += 1;
        head.last_message = head.version;
        head.position = self.batch.position;
        head.updated_at = head.updated_at.max(self.batch.at);
        member.own += 1;
        member.last_own = head.version;
        let id = message_id(self.batch.at);
        let entry = Entry {
            version: head.version,
            kind: EntryKind::Message,
            of: None,
            id: id.clone(),
            from: user.clone(),
            sent_at: self.batch.at,
            messages: head.messages,
            content,
        };
        self.batch.entries.push((conversation.clone(), entry));
        self.appended.insert(conversation.clone());
        self.put_head(conversation, head);
        self.put_membership(user, conversation, member);
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
        self.put_head(id, Head { position, updated_at: conversation.created_at, ..Head::default() });
        for user in &members {
            self.put_membership(user, id, Membership { joined: position, ..Membership::default() });
        }
        self.batch.conversations.push((id.clone(), conversation, members));
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
        self.put_membership(&user, &conversation, member);
        self.marked.insert(user);
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
                self.batch.memberships.push((key.0, key.1, *member));
            }
        }
        self.batch.events.extend(self.marked.into_iter().map(|user| Event::Marked { user }));
        self.batch.inboxes.extend(self.inboxes);
        self.batch.answers.extend(self.answers);
        let changes = !(self.batch.heads.is_empty()
            && self.batch.memberships.is_empty()
            && self.batch.inboxes.is_empty());
        let changes = changes || !self.batch.answers.is_empty();
        Drafted { batch: changes.then_some(self.batch), repeats: self.repeats }
    }

    /// What was said under a key: durable, or in this very commit, with which it is answered or fails.
    fn repeated(&mut self, key: &AnswerKey, digest: ContentDigest) -> Result<Option<Said>, Refusal> {
        let answer = match self.answers.get(key) {
            Some(answer) => Some(answer.clone()),
            None => self.view.answer(key)?,
        };
        match answer {
            None => Ok(None),
            Some(answer) if answer.digest == digest => {
                self.repeats += 1;
                Ok(Some(answer.said))
            }
            Some(_) => Err(Refusal::KeyConflict),
        }
    }

    fn membership(
        &mut self,
        user: &UserId,
        conversation: &ConversationId,
    ) -> Result<Option<Membership>, Refusal> {
        let key = (user.clone(), conversation.clone());
        if let Some(member) = self.memory.memberships.get(&key) {
            return Ok(Some(*member));
        }
        let member = self.view.membership(user, conversation)?;
        if let Some(member) = member {
            self.memory.memberships.insert(key, member);
        }
        Ok(member)
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

/// A row that must be there is not: the store is damaged.
fn damaged(table: &'static str) -> Refusal {
    Refusal::Store(StoreError::Damaged { table })
}
