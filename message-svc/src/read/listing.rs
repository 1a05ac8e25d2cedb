//! `conversations.list` and `conversations.get`: conversations as one member sees them.

use std::cmp::Reverse;
use std::sync::Arc;

use doorbell_protocol::{ConversationId, TopicId, UserId, Version};
use doorbell_rpc::sabotage;

use super::cursor::Place;
use super::size::{self, Budget};
use crate::api::reply::{Conversation, Conversations, Message};
use crate::conversation::{Head, Kind, Membership};
use crate::refusal::Refusal;
use crate::store::{Store, StoreError, View};

/// Members that a list shows of each conversation.
const LISTED_MEMBERS_MAX: usize = 8;

/// Which members of a conversation to show, in the order of their names.
#[derive(Clone, Debug)]
pub struct MembersPage {
    /// Those after this one.
    pub after: Option<UserId>,
    /// That many at most.
    pub limit: usize,
}

/// One conversation of the user's, before it is worth reading more of it.
struct Row {
    place: Reverse<Place>,
    head: Head,
    member: Membership,
    view: Arc<dyn View>,
}

/// A page of the user's conversations, most recent first.
///
/// # Errors
/// `invalid` for a `before` that no answer brought.
pub fn list(
    store: &dyn Store,
    user: &UserId,
    before: Option<&str>,
    limit: usize,
) -> Result<Conversations, Refusal> {
    let before = match before {
        None => None,
        Some(text) => {
            let place = Place::decode(text);
            Some(place.ok_or_else(|| Refusal::invalid("`before` is none that this server gave as `next`"))?)
        }
    };
    let mut rows = rows(store, user)?;
    rows.retain(|row| before.as_ref().is_none_or(|before| row.place.0 < *before));
    rows.sort_unstable_by(|one, other| one.place.cmp(&other.place));
    let mut page = Conversations { conversations: Vec::new(), next: None, since: None };
    let mut budget = Budget::default();
    let mut last: Option<Place> = None;
    for row in rows {
        let shown = listed(&*row.view, &row.place.0.conversation, &row.head, &row.member)?;
        if page.conversations.len() == limit || !budget.take(size::conversation(&shown)) {
            page.next = last.as_ref().map(Place::encode);
            break;
        }
        page.conversations.push(shown);
        last = Some(row.place.0);
    }
    Ok(page)
}

fn rows(store: &dyn Store, user: &UserId) -> Result<Vec<Row>, Refusal> {
    let mut rows = Vec::new();
    for shard in store.shards().all() {
        let view = store.view(shard)?;
        for (conversation, member) in view.memberships(user)? {
            let head = view.head(&conversation)?.ok_or(StoreError::Damaged { table: "heads" })?;
            let place = Reverse(Place { updated_at: head.updated_at, conversation });
            rows.push(Row { place, head, member, view: Arc::clone(&view) });
        }
    }
    Ok(rows)
}

/// One conversation, with a page of its members.
///
/// # Errors
/// [`Refusal::NoConversation`] where the caller is no member.
pub fn get(
    view: &dyn View,
    user: &UserId,
    conversation: &ConversationId,
    members: &MembersPage,
) -> Result<Conversation, Refusal> {
    let member = view.membership(user, conversation)?.ok_or(Refusal::NoConversation)?;
    let head = view.head(conversation)?.ok_or(StoreError::Damaged { table: "heads" })?;
    // One more than is shown, to know whether there are others.
    let page = MembersPage { after: members.after.clone(), limit: members.limit.saturating_add(1) };
    let mut shown = show(view, conversation, &head, &member, &page)?;
    let found = std::mem::take(&mut shown.members);
    let count = found.len();
    let mut budget = Budget::default();
    budget.take(size::conversation(&shown));
    let fits = found.into_iter().take(members.limit).take_while(|member| budget.take(size::user(member)));
    shown.members = fits.collect();
    shown.members_next = shown.members.last().filter(|_| shown.members.len() < count).cloned();
    Ok(shown)
}

/// One conversation, as lists show it.
///
/// # Errors
/// As the view's.
pub fn listed(
    view: &dyn View,
    id: &ConversationId,
    head: &Head,
    member: &Membership,
) -> Result<Conversation, StoreError> {
    show(view, id, head, member, &MembersPage { after: None, limit: LISTED_MEMBERS_MAX })
}

fn show(
    view: &dyn View,
    id: &ConversationId,
    head: &Head,
    member: &Membership,
    members: &MembersPage,
) -> Result<Conversation, StoreError> {
    let about = view.conversation(id)?.ok_or(StoreError::Damaged { table: "conversations" })?;
    let members = view.members(id, members.after.as_ref(), members.limit)?;
    Ok(Conversation {
        conversation: id.clone(),
        topic: TopicId::conversation(id),
        title: about.title,
        version: head.version,
        read: member.mark.version,
        unread: member.unread(head) + u64::from(sabotage::is("count-wrong")),
        muted: member.muted,
        label: member.label.as_deref().map(Into::into),
        owner: (about.kind == Kind::Group).then_some(about.owner),
        closed: about.kind == Kind::Group && about.closed,
        last: last_message(view, id, head)?,
        updated_at_ms: head.updated_at,
        member_count: head.members,
        online: None,
        members: members.into_iter().map(|member| member.user).collect(),
        members_next: None,
    })
}

/// The last message, with the text of its last edit.
fn last_message(view: &dyn View, id: &ConversationId, head: &Head) -> Result<Option<Message>, StoreError> {
    if head.last_message == Version::ZERO {
        return Ok(None);
    }
    let damaged = || StoreError::Damaged { table: "log" };
    let entry = view.entry(id, head.last_message)?.ok_or_else(damaged)?;
    let edited = entry.edits.map(|edits| edits.last);
    let mut message = Message::from(entry);
    if let Some(version) = edited {
        message.text = view.entry(id, version)?.ok_or_else(damaged)?.content.text;
        message.edited = Some(version);
    }
    Ok(Some(message))
}
