//! What a read mark counts: how much had been sent, and by whom, up to a version.

use std::ops::ControlFlow;

use doorbell_protocol::{ConversationId, UserId, Version};

use crate::conversation::{EntryKind, Mark};
use crate::store::{EntryRange, Order, StoreError, View};

/// Counts the messages up to `version`, and how many of them are `user`'s own.
///
/// It reads entries from the user's last mark on, or from the head backwards, whichever is shorter. A mark only moves
/// forward, so that reading from the last mark on costs each entry once a member, however often it is asked.
///
/// `None` where that is more than `entries_max` entries, or where the view does not reach that far.
///
/// # Errors
/// As the view's.
pub fn count(
    view: &dyn View,
    user: &UserId,
    conversation: &ConversationId,
    version: Version,
    entries_max: u64,
) -> Result<Option<Mark>, StoreError> {
    let Some((head, member)) = view.head(conversation)?.zip(view.membership(user, conversation)?) else {
        return Ok(None);
    };
    if version > head.version || version < member.mark.version {
        return Ok(None);
    }
    let Some(messages) = messages_at(view, conversation, version)? else {
        return Ok(None);
    };
    if member.last_own <= version {
        return Ok(Some(Mark { version, messages, own: member.own }));
    }
    let since_mark = version.get() - member.mark.version.get();
    let to_head = head.version.get() - version.get();
    if since_mark.min(to_head) > entries_max {
        return Ok(None);
    }
    let range = |first: Version, last| EntryRange {
        conversation,
        first: first.next(),
        last,
        order: Order::Ascending,
    };
    let own = if since_mark <= to_head {
        member.mark.own + own_in(view, user, &range(member.mark.version, version))?
    } else {
        member.own - own_in(view, user, &range(version, head.version))?
    };
    Ok(Some(Mark { version, messages, own }))
}

fn messages_at(
    view: &dyn View,
    conversation: &ConversationId,
    version: Version,
) -> Result<Option<u64>, StoreError> {
    let mut messages = (version == Version::ZERO).then_some(0);
    let range = EntryRange { conversation, first: version, last: version, order: Order::Ascending };
    view.entries(&range, &mut |entry| {
        messages = Some(entry.messages);
        ControlFlow::Break(())
    })?;
    Ok(messages)
}

fn own_in(view: &dyn View, user: &UserId, range: &EntryRange<'_>) -> Result<u64, StoreError> {
    let mut own = 0;
    view.entries(range, &mut |entry| {
        own += u64::from(entry.kind == EntryKind::Message && entry.from == *user);
        ControlFlow::Continue(())
    })?;
    Ok(own)
}
