//! What a writer is asked to do.

use doorbell_protocol::{ConversationId, IdempotencyKey, MessageId, Timestamp, UserId, Version};
use doorbell_rpc::Caller;
use tokio::sync::oneshot;

use crate::conversation::{Content, ContentDigest, Mark};
use crate::refusal::Refusal;
use crate::status::Status;

/// Where an answer goes. An asker who is gone is no concern: what was asked may have happened all the same.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// One thing for a shard's writer to do, with the place for its answer. Answers are given after the commit.
#[derive(Debug)]
pub enum Request {
    /// Append a message.
    Send(Box<SendRequest>, Reply<Sent>),
    /// Give a message another text.
    Edit(Box<EditRequest>, Reply<Sent>),
    /// Take a message's content away.
    Delete(Box<DeleteRequest>, Reply<Sent>),
    /// Make a group, in the creator's home shard; or note under the creator's key which pair it stands for.
    Create(Box<CreateRequest>, Reply<ConversationId>),
    /// Make a pair's conversation where there is none, in its own shard.
    Pair(PairRequest, Reply<ConversationId>),
    /// Move a read mark.
    Mark(MarkRequest, Reply<Marked>),
    /// Change a title, or what a member alone sees.
    Update(Box<UpdateRequest>, Reply<()>),
    /// Add members; answers how many there are.
    Add(Box<MembersRequest>, Reply<u64>),
    /// Remove members; answers how many are left.
    Remove(Box<MembersRequest>, Reply<u64>),
    /// Set a status, in the user's home shard.
    Status(Box<StatusRequest>, Reply<Status>),
    /// Raise inboxes, in the users' home shard.
    Raise(Vec<UserId>, Reply<Vec<(UserId, Version)>>),
    /// Nothing: it is answered after everything that was asked before.
    Pass(Reply<()>),
    /// End, after what was asked before.
    Close,
}

/// Append a message.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// Who sends.
    pub caller: Caller,
    /// To where.
    pub conversation: ConversationId,
    /// The other one of the pair, which is made where it does not exist; `None` where it must.
    pub to: Option<UserId>,
    /// The client's key.
    pub key: IdempotencyKey,
    /// What it says.
    pub content: Content,
    /// Of the content.
    pub digest: ContentDigest,
}

/// Give a message another text.
#[derive(Clone, Debug)]
pub struct EditRequest {
    /// Which message, and by whom.
    pub what: Amend,
    /// The new text.
    pub text: String,
}

/// Take a message's content away.
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    /// Which message, and by whom.
    pub what: Amend,
}

/// Who changes which message.
#[derive(Clone, Debug)]
pub struct Amend {
    /// Who.
    pub caller: Caller,
    /// Where.
    pub conversation: ConversationId,
    /// The message's version.
    pub of: Version,
    /// The client's key.
    pub key: IdempotencyKey,
    /// Of what is asked.
    pub digest: ContentDigest,
}

/// The entry has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where.
    pub conversation: ConversationId,
    /// Its version.
    pub version: Version,
    /// Its name.
    pub id: MessageId,
    /// When it was taken.
    pub sent_at: Timestamp,
}

/// Make a conversation, once a key.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Who makes it.
    pub user: UserId,
    /// The client's key.
    pub key: IdempotencyKey,
    /// Of what is asked.
    pub digest: ContentDigest,
    /// What is asked.
    pub what: Create,
}

/// What is to be made.
#[derive(Clone, Debug)]
pub enum Create {
    /// The key stands for this pair; [`Request::Pair`] makes it.
    Pair(ConversationId),
    /// A group.
    Group {
        /// Everybody, the creator as well, each once.
        members: Vec<UserId>,
        /// Its title.
        title: Option<String>,
        /// The owner alone adds members and gives titles.
        closed: bool,
    },
}

/// Make a pair's conversation where there is none.
#[derive(Clone, Debug)]
pub struct PairRequest {
    /// Who asks.
    pub user: UserId,
    /// The other one.
    pub to: UserId,
    /// What follows from the two names.
    pub conversation: ConversationId,
}

/// Move a read mark.
#[derive(Clone, Debug)]
pub struct MarkRequest {
    /// Whose.
    pub user: UserId,
    /// Where.
    pub conversation: ConversationId,
    /// To where; beyond the head means: to the head.
    pub version: Version,
    /// The counts at that version, where they are known.
    pub counted: Option<Mark>,
}

/// Change a title, or what a member alone sees.
#[derive(Clone, Debug)]
pub struct UpdateRequest {
    /// Who.
    pub caller: Caller,
    /// Where.
    pub conversation: ConversationId,
    /// The new title.
    pub title: Option<String>,
    /// The new label; an empty one takes it away.
    pub label: Option<String>,
    /// Whether the member wants no pushes.
    pub muted: Option<bool>,
}

/// Add or remove members.
#[derive(Clone, Debug)]
pub struct MembersRequest {
    /// Who.
    pub user: UserId,
    /// Where.
    pub conversation: ConversationId,
    /// Whom, each once.
    pub users: Vec<UserId>,
    /// Members at most, where some are added.
    pub members_max: u64,
}

/// Set a status.
#[derive(Clone, Debug)]
pub struct StatusRequest {
    /// Whose.
    pub caller: Caller,
    /// To what.
    pub status: Status,
}

/// What became of a read mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It stands here: the greatest so far wins.
    At(Version),
    /// Too much lies between for the writer to count it: count at this version, and ask again with it.
    Uncounted(Version),
}
