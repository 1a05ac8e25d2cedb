//! What a call carries, and the limits that it must keep. What passes here is good.

use doorbell_protocol::{ConversationId, IdempotencyKey, UserId, Version};
use doorbell_rpc::Caller;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::conversation::{Content, ContentDigest, direct_id};
use crate::read::listing::MembersPage;
use crate::read::pull::Slice;
use crate::refusal::Refusal;
use crate::status::Chosen;
use crate::writer::request::{
    Amend, Create, CreateRequest, DeleteRequest, EditRequest, MarkRequest, MembersRequest, SendRequest,
    UpdateRequest,
};

/// Longest text, in Unicode scalar values (protocol, "Methods").
const TEXT_CHARS_MAX: usize = 10_000;
/// Most links of one message.
const MEDIA_MAX: usize = 10;
/// Longest link, in bytes.
const LINK_BYTES_MAX: usize = 2_048;
/// Largest `meta`, in bytes of JSON.
const META_BYTES_MAX: usize = 4 * 1_024;
/// Deepest `meta`, counting the object itself.
const META_DEPTH_MAX: usize = 16;
/// Longest title, in Unicode scalar values.
const TITLE_CHARS_MAX: usize = 200;
/// Longest label, in Unicode scalar values.
const LABEL_CHARS_MAX: usize = 64;
/// Longest words of a status, in Unicode scalar values.
const STATUS_CHARS_MAX: usize = 200;
/// Users of one `status.get` at most: each is some reads of the store.
const STATUSES_MAX: usize = 100;
/// Users of one call at most: each is three rows of one commit.
const USERS_MAX: usize = 1_000;
/// Members that `conversations.get` shows, by default and at most.
const MEMBERS: (u32, u32) = (200, 1_000);

/// `topics.changes`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Changes {
    /// What an earlier answer brought.
    pub cursor: Option<String>,
    /// Topics of one page.
    #[schemars(range(min = 1))]
    pub limit: Option<u32>,
}

/// `conversations.list`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct List {
    /// Conversations of one page.
    #[schemars(range(min = 1))]
    pub limit: Option<u32>,
    /// What an earlier answer's `next` brought.
    pub before: Option<String>,
    /// A cursor: what changed since; not together with `before`.
    pub changed_since: Option<String>,
}

impl List {
    /// Refuses two ways at once.
    pub fn check(self) -> Result<Self, Refusal> {
        if self.before.is_some() && self.changed_since.is_some() {
            let message = "`before` and `changed_since` exclude each other: go on with `cursor`";
            return Err(Refusal::invalid(message));
        }
        Ok(self)
    }
}

/// `conversations.get`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Get {
    /// Which.
    pub conversation: ConversationId,
    /// The page of members after this one, in the order of their names.
    members_after: Option<UserId>,
    /// Members of one page.
    #[schemars(range(min = 1))]
    members_limit: Option<u32>,
}

impl Get {
    /// Which of its members to show.
    pub fn members(self) -> Result<MembersPage, Refusal> {
        let limit = page_size("members_limit", self.members_limit, MEMBERS)?;
        Ok(MembersPage { after: self.members_after, limit })
    }
}

/// The members that are shown where nothing else is asked.
pub const fn first_members() -> MembersPage {
    MembersPage { after: None, limit: MEMBERS.0 as usize }
}

/// `conversations.update`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Update {
    conversation: ConversationId,
    /// For everybody; a pair has none.
    #[schemars(length(min = 1, max = TITLE_CHARS_MAX))]
    title: Option<String>,
    /// For the caller alone; an empty one takes it away.
    #[schemars(length(max = LABEL_CHARS_MAX))]
    label: Option<String>,
    /// For the caller alone: no pushes.
    muted: Option<bool>,
}

impl Update {
    /// What the writer is asked.
    pub fn request(self, caller: Caller) -> Result<UpdateRequest, Refusal> {
        let Self { conversation, title, label, muted } = self;
        if title.is_none() && label.is_none() && muted.is_none() {
            return Err(Refusal::invalid("give what is to be changed: `title`, `label` or `muted`"));
        }
        title.as_deref().map(check_title).transpose()?;
        label.as_deref().map(check_label).transpose()?;
        Ok(UpdateRequest { caller, conversation, title, label, muted })
    }
}

/// `members.add` and `members.remove`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Members {
    conversation: ConversationId,
    /// Whom; oneself, to leave.
    #[schemars(length(min = 1))]
    users: Vec<UserId>,
}

impl Members {
    /// What the writer is asked.
    pub fn request(self, user: UserId, members_max: usize) -> Result<MembersRequest, Refusal> {
        let Self { conversation, mut users } = self;
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            return Err(Refusal::invalid("`users` must name at least one user"));
        }
        if users.len() > USERS_MAX {
            return Err(Refusal::too_large("`users` has more than 1000 names: call again with the others"));
        }
        let members_max = u64::try_from(members_max).unwrap_or(u64::MAX);
        Ok(MembersRequest { user, conversation, users, members_max })
    }
}

/// `conversations.mark_read`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct MarkRead {
    conversation: ConversationId,
    /// Up to where the caller has read.
    version: Version,
}

impl MarkRead {
    /// What the writer is asked. A version beyond the head means the head.
    pub fn request(self, user: UserId) -> MarkRequest {
        MarkRequest { user, conversation: self.conversation, version: self.version, counted: None }
    }
}

/// `messages.list`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Messages {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Those after this version, in ascending order.
    after: Option<Version>,
    /// With `after`: none beyond this version.
    to: Option<Version>,
    /// The page that ends before this version.
    before: Option<Version>,
    /// Messages of one page.
    #[schemars(range(min = 1))]
    pub limit: Option<u32>,
}

impl Messages {
    /// Which part of the log is meant.
    pub fn slice(&self) -> Result<Slice, Refusal> {
        match (self.after, self.to, self.before) {
            (None, None, None) => Ok(Slice::Newest),
            (None, None, Some(before)) => Ok(Slice::Before(before)),
            (Some(after), to, None) if to.is_none_or(|to| to >= after) => Ok(Slice::After { after, to }),
            (Some(_), _, None) => Err(Refusal::invalid("`to` must not be smaller than `after`")),
            (None, Some(_), _) => {
                Err(Refusal::invalid("`to` needs `after`: it ends the range after a version"))
            }
            (Some(_), _, Some(_)) => {
                Err(Refusal::invalid("`after` and `before` exclude each other: ask for one direction"))
            }
        }
    }
}

/// `messages.send`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Send {
    /// Where to; or else `to`.
    conversation: Option<ConversationId>,
    /// Whom to: the conversation of the two is made where there is none.
    to: Option<UserId>,
    key: IdempotencyKey,
    /// What it says; or `media`, or both.
    #[schemars(length(max = TEXT_CHARS_MAX))]
    text: Option<String>,
    /// Links, http or https.
    #[schemars(length(max = MEDIA_MAX), inner(length(max = LINK_BYTES_MAX)))]
    media: Option<Vec<String>>,
    /// Whatever the client wants to keep beside it, as an object.
    #[schemars(with = "Option<Map<String, Value>>")]
    meta: Option<Value>,
}

impl Send {
    /// What the writer is asked.
    pub fn request(self, caller: Caller) -> Result<SendRequest, Refusal> {
        let user = &caller.user;
        let (conversation, to) = match (self.conversation, self.to) {
            (Some(conversation), None) => (conversation, None),
            (None, Some(to)) if to == *user => {
                return Err(Refusal::invalid(
                    "`to` must be somebody else; for notes of your own, create a conversation without other members",
                ));
            }
            (None, Some(to)) => (direct_id(user, &to), Some(to)),
            _ => return Err(Refusal::invalid("give either `conversation` or `to`")),
        };
        let content = content(self.text.unwrap_or_default(), self.media.unwrap_or_default(), self.meta)?;
        let digest = content.digest();
        Ok(SendRequest { caller, conversation, to, key: self.key, content, digest })
    }
}

/// `messages.edit`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Edit {
    conversation: ConversationId,
    /// The version of the message.
    of: Version,
    key: IdempotencyKey,
    /// What it says from now on; links and `meta` stay.
    #[schemars(length(max = TEXT_CHARS_MAX))]
    text: String,
}

impl Edit {
    /// What the writer is asked.
    pub fn request(self, caller: Caller) -> Result<EditRequest, Refusal> {
        let Self { conversation, of, key, text } = self;
        check_text(&text)?;
        let digest = ContentDigest::of(amendment("edit", &of.get().to_be_bytes(), Some(&text)));
        Ok(EditRequest { what: Amend { caller, conversation, of, key, digest }, text })
    }
}

/// `messages.delete`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Delete {
    conversation: ConversationId,
    /// The version of the message.
    of: Version,
    key: IdempotencyKey,
}

impl Delete {
    /// What the writer is asked.
    pub fn request(self, caller: Caller) -> DeleteRequest {
        let Self { conversation, of, key } = self;
        let digest = ContentDigest::of(amendment("delete", &of.get().to_be_bytes(), None));
        DeleteRequest { what: Amend { caller, conversation, of, key, digest } }
    }
}

/// The parts of a digest that no message has: a message's first part is always there.
fn amendment<'a>(
    kind: &'static str,
    of: &'a [u8],
    text: Option<&'a str>,
) -> impl Iterator<Item = Option<&'a [u8]>> {
    [None, Some(kind.as_bytes()), Some(of), text.map(str::as_bytes)].into_iter()
}

fn check_text(text: &str) -> Result<(), Refusal> {
    // A character is at least a byte: most texts need no counting.
    if text.len() > TEXT_CHARS_MAX && text.chars().count() > TEXT_CHARS_MAX {
        return Err(Refusal::too_large("`text` is longer than 10000 characters"));
    }
    Ok(())
}

fn content(text: String, media: Vec<String>, meta: Option<Value>) -> Result<Content, Refusal> {
    if text.is_empty() && media.is_empty() {
        return Err(Refusal::invalid("a message needs `text` or `media`"));
    }
    check_text(&text)?;
    if media.len() > MEDIA_MAX {
        return Err(Refusal::too_large("`media` has more than 10 links"));
    }
    for link in &media {
        check_link(link)?;
    }
    let meta = meta.map(check_meta).transpose()?;
    Ok(Content { text, media, meta })
}

fn check_link(link: &str) -> Result<(), Refusal> {
    if link.len() > LINK_BYTES_MAX {
        return Err(Refusal::too_large("a link in `media` is longer than 2048 bytes"));
    }
    let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !good || link.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Refusal::invalid("each link in `media` must be an http or https address without spaces"));
    }
    Ok(())
}

fn check_meta(meta: Value) -> Result<String, Refusal> {
    if !meta.is_object() {
        return Err(Refusal::invalid("`meta` must be an object"));
    }
    if depth(&meta) > META_DEPTH_MAX {
        return Err(Refusal::too_large("`meta` is nested deeper than 16 levels"));
    }
    let json = meta.to_string();
    if json.len() > META_BYTES_MAX {
        return Err(Refusal::too_large("`meta` is larger than 4096 bytes of JSON"));
    }
    Ok(json)
}

/// Levels of a value. The codec bounds them before anything is parsed, so the recursion is bounded, too.
fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}

/// `conversations.create`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateConversation {
    /// The others; the caller is a member too.
    members: Vec<UserId>,
    /// A pair has none.
    #[schemars(length(min = 1, max = TITLE_CHARS_MAX))]
    title: Option<String>,
    /// The owner alone adds members and gives titles.
    closed: Option<bool>,
    key: IdempotencyKey,
}

/// What `conversations.create` comes to.
#[derive(Debug)]
pub struct Creation {
    /// For the writer of the creator's home shard.
    pub request: CreateRequest,
    /// The other one, where it is a pair.
    pub pair_with: Option<UserId>,
}

impl CreateConversation {
    /// What the writer is asked.
    pub fn request(self, user: UserId, members_max: usize) -> Result<Creation, Refusal> {
        let Self { mut members, title, closed, key } = self;
        if let Some(title) = &title {
            check_title(title)?;
        }
        members.push(user.clone());
        members.sort_unstable();
        members.dedup();
        if members.len() > members_max {
            let message = format!("a conversation has at most {members_max} members, with you");
            return Err(Refusal::too_large(message));
        }
        if members.len() > USERS_MAX {
            let message =
                "a conversation begins with at most 1000 members, with you: add the others after that";
            return Err(Refusal::too_large(message));
        }
        let closed = closed.unwrap_or(false);
        let other = match (&members[..], &title) {
            ([one, other], None) => Some(if *one == user { other.clone() } else { one.clone() }),
            _ => None,
        };
        let digest = digest_of(&members, title.as_deref(), closed && other.is_none());
        let what = match &other {
            Some(other) => Create::Pair(direct_id(&user, other)),
            None => Create::Group { members, title, closed },
        };
        Ok(Creation { request: CreateRequest { user, key, digest, what }, pair_with: other })
    }
}

fn digest_of(members: &[UserId], title: Option<&str>, closed: bool) -> ContentDigest {
    let closed: &[u8] = if closed { b"closed" } else { b"open" };
    let fixed = [title.map(str::as_bytes), Some(closed)];
    ContentDigest::of(fixed.into_iter().chain(members.iter().map(|member| Some(member.as_str().as_bytes()))))
}

/// `status.set`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetStatus {
    /// `auto` follows the sockets; `invisible` looks like nobody there.
    state: Chosen,
    /// The caller's own words; none, or an empty text, takes them away.
    #[schemars(length(max = STATUS_CHARS_MAX))]
    text: Option<String>,
}

impl SetStatus {
    /// The choice and the words.
    pub fn check(self) -> Result<(Chosen, Option<String>), Refusal> {
        let text = self.text.filter(|text| !text.is_empty());
        if let Some(text) = &text {
            if text.chars().count() > STATUS_CHARS_MAX {
                return Err(Refusal::too_large("`text` is longer than 200 characters"));
            }
            if text.chars().any(char::is_control) {
                return Err(Refusal::invalid("`text` must hold no control characters"));
            }
        }
        Ok((self.state, text))
    }
}

/// `status.get`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetStatus {
    /// Of whom.
    #[schemars(length(max = STATUSES_MAX))]
    users: Vec<UserId>,
}

impl GetStatus {
    /// Of whom, each once.
    pub fn check(self) -> Result<Vec<UserId>, Refusal> {
        let mut users = self.users;
        users.sort_unstable();
        users.dedup();
        if users.len() > STATUSES_MAX {
            return Err(Refusal::too_large("`users` has more than 100 names: call again with the others"));
        }
        Ok(users)
    }
}

fn check_title(title: &str) -> Result<(), Refusal> {
    if title.chars().count() > TITLE_CHARS_MAX {
        return Err(Refusal::too_large("`title` is longer than 200 characters"));
    }
    if title.trim().is_empty() {
        return Err(Refusal::invalid("`title` must not be empty: leave it out instead"));
    }
    if title.chars().any(char::is_control) {
        return Err(Refusal::invalid("`title` must hold no control characters"));
    }
    Ok(())
}

fn check_label(label: &str) -> Result<(), Refusal> {
    if label.chars().count() > LABEL_CHARS_MAX {
        return Err(Refusal::too_large("`label` is longer than 64 characters"));
    }
    if label.chars().any(char::is_control) {
        return Err(Refusal::invalid("`label` must hold no control characters"));
    }
    Ok(())
}

/// The size of a page: what is asked, within what is allowed.
///
/// # Errors
/// A page of nothing.
pub fn page_size(field: &str, asked: Option<u32>, (default, most): (u32, u32)) -> Result<usize, Refusal> {
    match asked {
        Some(0) => Err(Refusal::invalid(format!("`{field}` must be at least 1"))),
        asked => Ok(asked.unwrap_or(default).min(most) as usize),
    }
}
