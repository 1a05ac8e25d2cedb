//! `conversations.list` with `changed_since`: the part of a user's list that changed since a cursor.
//!
//! Shard by shard, the conversations come in the order of the commits that changed them last, and the cursor goes along:
//! after each page, everything up to its positions is known. What changes behind a page takes a later position, and is
//! shown again before `more` is false.

use std::sync::Arc;

use doorbell_protocol::{ConversationId, UserId};

use super::cursor::{Cursor, Decoded};
use super::listing::listed;
use super::size::{self, Budget};
use crate::api::reply::{Conversation, Conversations, Since};
use crate::conversation::{Head, Membership, Position};
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::store::{Store, StoreError, View};

/// Answers up to `limit` conversations of the user that changed since the cursor, those that are gone counted.
///
/// # Errors
/// `invalid` for what is no cursor at all. One that cannot be placed is answered with everything, and `reset`.
pub fn changed(
    store: &dyn Store,
    user: &UserId,
    cursor: &str,
    limit: usize,
) -> Result<Conversations, Refusal> {
    let views = store.shards().all().map(|shard| store.view(shard)).collect::<Result<Vec<_>, _>>()?;
    let (mut known, reset) = Known::from_cursor(store, &views, cursor)?;
    let mut page = Page::new(limit);
    let mut more = false;
    for (shard, view) in store.shards().all().zip(&views) {
        let rows = rows(&**view, user, shard, &known)?;
        let mut shown = None;
        for row in rows {
            if !page.take(&**view, &row)? {
                more = true;
                known.cut(shard, shown, &row);
                break;
            }
            shown = Some(row);
        }
        if more {
            break;
        }
        known.settle(shard, view.position());
    }
    let Page { conversations, gone, .. } = page;
    let since = Some(Since { gone, cursor: known.encode(store), more, reset });
    Ok(Conversations { conversations, next: None, since })
}

/// A conversation that changed, before it is worth reading more of it.
struct Row {
    position: Position,
    conversation: ConversationId,
    tie: Membership,
    /// `None` where the user has left.
    head: Option<Head>,
}

/// What changed in one shard, in the order of change.
fn rows(view: &dyn View, user: &UserId, shard: Shard, known: &Known) -> Result<Vec<Row>, Refusal> {
    if view.position() <= known.positions[shard.index()] {
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for (conversation, tie) in view.ties(user)? {
        let head = match tie.left {
            Some(_) => None,
            None => Some(view.head(&conversation)?.ok_or(StoreError::Damaged { table: "heads" })?),
        };
        let whole = head.map_or(tie.changed, |head| head.position.max(head.members_at));
        let position = whole.max(tie.changed);
        if known.is_news(shard, position, &conversation) {
            rows.push(Row { position, conversation, tie, head });
        }
    }
    rows.sort_unstable_by(|a, b| (a.position, &a.conversation).cmp(&(b.position, &b.conversation)));
    Ok(rows)
}

/// What the client knows.
struct Known {
    /// Everything at or below these.
    positions: Vec<Position>,
    /// A part of the commit after the known one, up to a conversation.
    within: Option<(Shard, ConversationId)>,
}

impl Known {
    fn from_cursor(store: &dyn Store, views: &[Arc<dyn View>], text: &str) -> Result<(Self, bool), Refusal> {
        let placeable = |positions: &[Position]| {
            positions.iter().zip(views).all(|(asked, view)| *asked <= view.position())
        };
        let (positions, within) = match Cursor::decode(text, store.id(), views.len()) {
            Decoded::Garbled => {
                let message = "`changed_since` is no cursor that this server gave: ask without it";
                return Err(Refusal::invalid(message));
            }
            Decoded::Cursor(Cursor::Settled(known)) if placeable(&known) => (known, None),
            // What its pages showed so far is shown once more: they were in another order.
            Decoded::Cursor(Cursor::Paging { target, base, .. }) if placeable(&target) => (base, None),
            Decoded::Cursor(Cursor::Within { known, shard, last }) if placeable(&known) => {
                (known, store.shards().all().nth(shard.into()).map(|shard| (shard, last)))
            }
            Decoded::Cursor(_) | Decoded::Foreign => {
                let positions = vec![Position::default(); views.len()];
                return Ok((Self { positions, within: None }, true));
            }
        };
        Ok((Self { positions, within }, false))
    }

    fn is_news(&self, shard: Shard, position: Position, conversation: &ConversationId) -> bool {
        let known = self.positions[shard.index()];
        let shown = self.within.as_ref().is_some_and(|(within, last)| {
            *within == shard && position == known.next() && conversation <= last
        });
        position > known && !shown
    }

    /// A page ended in a shard, before `next`. Where it ended between two conversations of one commit, a part of another
    /// shard's commit may be forgotten for it, which shows that part again.
    fn cut(&mut self, shard: Shard, shown: Option<Row>, next: &Row) {
        let Some(shown) = shown else { return };
        if shown.position == next.position {
            self.positions[shard.index()] = shown.position.before();
            self.within = Some((shard, shown.conversation));
        } else {
            self.settle(shard, shown.position);
        }
    }

    /// Everything of a shard up to a position was shown.
    fn settle(&mut self, shard: Shard, position: Position) {
        self.positions[shard.index()] = position;
        self.within.take_if(|(within, _)| *within == shard);
    }

    fn encode(self, store: &dyn Store) -> String {
        let Self { positions: known, within } = self;
        let cursor = match within {
            None => Cursor::Settled(known),
            Some((shard, last)) => {
                let shard = u16::from_be_bytes(shard.to_be_bytes());
                Cursor::Within { known, shard, last }
            }
        };
        cursor.encode(store.id())
    }
}

/// What fits one answer.
struct Page {
    conversations: Vec<Conversation>,
    gone: Vec<ConversationId>,
    budget: Budget,
    limit: usize,
}

impl Page {
    fn new(limit: usize) -> Self {
        Self { conversations: Vec::new(), gone: Vec::new(), budget: Budget::default(), limit }
    }

    /// Whether there was room for it.
    fn take(&mut self, view: &dyn View, row: &Row) -> Result<bool, Refusal> {
        if self.conversations.len() + self.gone.len() == self.limit {
            return Ok(false);
        }
        match &row.head {
            None => {
                let fits = self.budget.take(size::conversation_id(&row.conversation));
                if fits {
                    self.gone.push(row.conversation.clone());
                }
                Ok(fits)
            }
            Some(head) => {
                let shown = listed(view, &row.conversation, head, &row.tie)?;
                let fits = self.budget.take(size::conversation(&shown));
                if fits {
                    self.conversations.push(shown);
                }
                Ok(fits)
            }
        }
    }
}
