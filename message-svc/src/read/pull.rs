//! `messages.list`: a part of a log.

use std::ops::ControlFlow;

use doorbell_protocol::{ConversationId, UserId, Version};

use super::size::{self, Budget};
use crate::api::reply::{Message, Messages};
use crate::refusal::Refusal;
use crate::store::{EntryRange, Order, StoreError, View};

/// Which part of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// The last page.
    Newest,
    /// What lies after a version, up to and with another.
    After {
        /// What the caller has.
        after: Version,
        /// Where the caller wants to stop.
        to: Option<Version>,
    },
    /// The page before a version.
    Before(Version),
}

/// Reads a page of a log, for one of its members.
///
/// # Errors
/// [`Refusal::NoConversation`] where the caller is no member; membership is looked at before anything else.
pub fn messages(
    view: &dyn View,
    user: &UserId,
    conversation: &ConversationId,
    slice: Slice,
    limit: usize,
) -> Result<Messages, Refusal> {
    view.membership(user, conversation)?.ok_or(Refusal::NoConversation)?;
    let head = view.head(conversation)?.ok_or(StoreError::Damaged { table: "heads" })?;
    let first = Version::ZERO.next();
    let (first, last, order) = match slice {
        Slice::Newest => (first, head.version, Order::Descending),
        Slice::Before(before) => (first, head.version.min(before_one(before)), Order::Descending),
        Slice::After { after, .. } if after >= head.version => {
            return Ok(Messages { messages: Vec::new(), more: false });
        }
        Slice::After { after, to } => {
            let last = to.map_or(head.version, |to| to.min(head.version));
            (after.next(), last, Order::Ascending)
        }
    };
    let mut messages = Vec::new();
    let mut budget = Budget::default();
    view.entries(&EntryRange { conversation, first, last, order }, &mut |entry| {
        let message = Message::from(entry);
        if messages.len() == limit || !budget.take(size::message(&message)) {
            return ControlFlow::Break(());
        }
        messages.push(message);
        ControlFlow::Continue(())
    })?;
    // Versions are dense: what is left over follows from where the page ended.
    let more = messages.last().is_some_and(|end: &Message| match order {
        Order::Ascending => end.version < last,
        Order::Descending => end.version > first,
    });
    if order == Order::Descending {
        messages.reverse();
    }
    Ok(Messages { messages, more })
}

fn before_one(version: Version) -> Version {
    Version::new(version.get().saturating_sub(1)).unwrap_or_default()
}
