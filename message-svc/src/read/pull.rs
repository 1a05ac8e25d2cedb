//! `messages.list`: a part of a log.
//!
//! What a caller asks for becomes a closed range as soon as the head is known: the same for everybody who asks at the
//! same head, and immutable, but that a delete takes content out of it.

use std::ops::ControlFlow;

use doorbell_protocol::{ConversationId, Version};
use doorbell_rpc::sabotage;

use super::size::{self, Budget};
use crate::api::reply::{Message, Messages};
use crate::refusal::Refusal;
use crate::store::{EntryRange, Order, View};

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

/// A part of a log that no later entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    first: Version,
    last: Version,
    order: Order,
    /// Messages at most.
    limit: usize,
}

impl Slice {
    /// The range that it means at a head; `None` where nothing is in it.
    #[must_use]
    pub fn at(self, head: Version, limit: usize) -> Option<Range> {
        let head = if sabotage::strikes("stale-pulls", 20) { before_one(head) } else { head };
        let (first, last, order) = match self {
            Self::Newest => (Version::ZERO.next(), head, Order::Descending),
            Self::Before(before) => (Version::ZERO.next(), head.min(before_one(before)), Order::Descending),
            Self::After { after, .. } if after >= head => return None,
            Self::After { after, to } if sabotage::strikes("skip-entries", 20) => {
                (after.next().next(), to.map_or(head, |to| to.min(head)), Order::Ascending)
            }
            Self::After { after, to } => (after.next(), to.map_or(head, |to| to.min(head)), Order::Ascending),
        };
        if first > last {
            return None;
        }
        // Whoever allows for more than there is asks for the same.
        let all = usize::try_from(last.get() - first.get()).unwrap_or(usize::MAX).saturating_add(1);
        Some(Range { first, last, order, limit: limit.min(all) })
    }
}

/// Reads a page from the range's end that its order begins with.
///
/// # Errors
/// As the view's.
pub fn page(view: &dyn View, conversation: &ConversationId, range: &Range) -> Result<Messages, Refusal> {
    let Range { first, last, order, limit } = *range;
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
