//! `topics.changes`: what moved since a cursor.
//!
//! A page is cut from views that were taken together, before any head is read: a change that comes later lies beyond
//! their positions and is shown the next time. While paging, the cursor keeps the first page's positions: a topic that
//! changes after its page was read is shown in another round, which `more` asks for at once.

use std::sync::Arc;

use doorbell_protocol::{TopicId, UserId, Version};

use super::cursor::{Cursor, Decoded};
use crate::api::reply::Changes;
use crate::conversation::Position;
use crate::refusal::Refusal;
use crate::store::{Store, StoreError, View};

/// Answers up to `limit` topics of the user that moved since the cursor, in the order of their names.
///
/// # Errors
/// `invalid` for what is no cursor at all. A cursor of another store, or from beyond this one's end, is no error: it
/// is answered with everything, and `reset`.
pub fn changes(
    store: &dyn Store,
    user: &UserId,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Changes, Refusal> {
    let views = store.shards().all().map(|shard| store.view(shard)).collect::<Result<Vec<_>, _>>()?;
    let (ask, reset) = Ask::of(store, &views, cursor)?;
    let (mut topics, beyond) = moved(store, &views, user, &ask)?;
    topics.retain(|(topic, _)| ask.last.as_ref().is_none_or(|last| topic > last));
    topics.sort_unstable();
    let another_page = topics.len() > limit;
    topics.truncate(limit);
    let cursor = match topics.last() {
        Some((last, _)) if another_page => {
            Cursor::Paging { target: ask.target, base: ask.base, last: last.clone() }
        }
        _ => Cursor::Settled(ask.target),
    };
    let mut page = Changes {
        topics: Vec::new(),
        gone: Vec::new(),
        cursor: cursor.encode(store.id()),
        more: another_page || beyond,
        reset,
    };
    for (topic, version) in topics {
        match version {
            Some(version) => page.topics.push((topic, version)),
            None => page.gone.push(topic),
        }
    }
    Ok(page)
}

/// From where to where.
struct Ask {
    base: Vec<Position>,
    target: Vec<Position>,
    last: Option<TopicId>,
}

impl Ask {
    fn of(store: &dyn Store, views: &[Arc<dyn View>], cursor: Option<&str>) -> Result<(Self, bool), Refusal> {
        let now: Vec<Position> = views.iter().map(|view| view.position()).collect();
        let placeable = |positions: &[Position]| positions.iter().zip(&now).all(|(asked, now)| asked <= now);
        let decoded = cursor.map(|text| Cursor::decode(text, store.id(), views.len()));
        let (base, target, last) = match decoded {
            Some(Decoded::Garbled) => {
                return Err(Refusal::invalid("`cursor` is none that this server gave: ask without one"));
            }
            Some(Decoded::Cursor(Cursor::Settled(base) | Cursor::Within { known: base, .. }))
                if placeable(&base) =>
            {
                (base, now, None)
            }
            Some(Decoded::Cursor(Cursor::Paging { target, base, last })) if placeable(&target) => {
                (base, target, Some(last))
            }
            from_the_start => {
                let reset = from_the_start.is_some();
                let base = vec![Position::default(); now.len()];
                return Ok((Self { base, target: now, last: None }, reset));
            }
        };
        Ok((Self { base, target, last }, false))
    }
}

/// A topic with its version; without one, it is no longer the user's.
type Moved = (TopicId, Option<Version>);

/// Every topic of the user that moved since the base, and whether one of them moved beyond the target, too.
fn moved(
    store: &dyn Store,
    views: &[Arc<dyn View>],
    user: &UserId,
    ask: &Ask,
) -> Result<(Vec<Moved>, bool), Refusal> {
    let home = store.shards().of_user(user);
    let (mut topics, mut beyond) = (Vec::new(), false);
    for (shard, view) in store.shards().all().zip(views) {
        let (base, target) = (ask.base[shard.index()], ask.target[shard.index()]);
        if view.position() <= base {
            continue;
        }
        let mut look = |position: Position, topic: &dyn Fn() -> TopicId, version| {
            if position > base {
                topics.push((topic(), version));
                beyond |= position > target;
            }
        };
        for (conversation, tie) in view.ties(user)? {
            let topic = || TopicId::conversation(&conversation);
            if let Some(left) = tie.left {
                look(left, &topic, None);
                continue;
            }
            let head = view.head(&conversation)?.ok_or(StoreError::Damaged { table: "heads" })?;
            look(head.position.max(tie.joined), &topic, Some(head.version));
        }
        if shard == home {
            let inbox = view.inbox(user)?;
            look(inbox.position, &|| TopicId::inbox(user), Some(inbox.version));
        }
    }
    Ok((topics, beyond))
}
