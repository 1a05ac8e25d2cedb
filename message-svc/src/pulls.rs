//! Pulls of logs, so that a change in a large group does not cost the store its members.
//!
//! A pull takes four steps. *Head*: how far the conversation has come, from memory where the writer told it, as of a
//! commit that is not older than the pull. *Seat*: whether the caller is a member as of that head, each caller anew,
//! against the list of members as of [`Head::members_at`](crate::conversation::Head). *Range*: what was asked for, closed
//! at the head. *Page*: read once for all equal pulls and kept.
//!
//! Everything that is shared is a fact under a key that names what it follows from, so nothing is ever taken back: a
//! later commit leads to another key. The key of a page holds the version of the conversation's last delete, from a
//! head that was read before the page: whoever pulls after a delete asks for another page than whoever pulled before,
//! and does not even wait for a reading that began before (MS-14).

mod facts;
mod heads;

use std::sync::Arc;

use doorbell_protocol::{ConversationId, Encoding, Payload, UserId, Version};

use self::facts::{Bounds, Facts, Size, Source};
pub use self::heads::Heads;
use crate::api::reply::Messages;
use crate::conversation::{Head, Position};
use crate::metrics::{Cached, Pulled};
use crate::read::pull::{self, Range, Slice};
use crate::reader::Reader;
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::store::Store;
use crate::{Config, Metrics};

/// Members that are looked up one by one before all of them are read: a lone pull from a large conversation does not
/// pay for its size, and of a storm only the first few are lone.
const LONE_LOOK_UPS: u32 = 4;
/// Lists of members that are kept at most; their bytes are configured.
const SEATS_MAX: u64 = 65_536;
/// Heads that are kept beyond the writer's word: only so that those who ask at the same time read once.
const UNTOLD: Bounds = Bounds { bytes_max: 1 << 20, items_max: 1_024 };

/// What `messages.list` asks for.
#[derive(Clone, Debug)]
pub struct Pull {
    /// From which conversation.
    pub conversation: ConversationId,
    /// Which part.
    pub slice: Slice,
    /// Messages at most.
    pub limit: usize,
    /// How the answer is written.
    pub encoding: Encoding,
}

/// Serves pulls.
pub struct Pulls {
    reader: Reader,
    metrics: Arc<Metrics>,
    /// One a shard, told by its writer.
    heads: Arc<[Heads]>,
    /// Heads that no writer told, by the newest commit when they were asked for, each with the commit that it was read at.
    untold: Facts<(ConversationId, Position), Untold>,
    /// Who is a member, in the order of names, by the commit that last changed it.
    seats: Facts<(ConversationId, Position), Seats>,
    /// Answers, each for an encoding.
    pages: Facts<PageKey, Payload>,
}

/// What a page follows from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PageKey {
    conversation: ConversationId,
    range: Range,
    encoding: Encoding,
    last_delete: Version,
}

type Untold = (Option<Head>, Position);
type Seats = Arc<[UserId]>;

impl Size for Untold {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Size for Seats {
    fn bytes(&self) -> usize {
        // A name is counted together with what its own allocation costs.
        self.iter().map(|user| user.as_str().len() + size_of::<UserId>() + 16).sum()
    }
}

impl Size for Payload {
    fn bytes(&self) -> usize {
        self.bytes().len()
    }
}

impl Pulls {
    /// Reads with `reader`, and begins with what writers tell `heads`.
    #[must_use]
    pub fn new(reader: Reader, heads: Arc<[Heads]>, config: &Config, metrics: Arc<Metrics>) -> Self {
        let pages = Bounds { bytes_max: config.page_cache_bytes, items_max: config.page_cache_pages_max };
        let seats = Bounds { bytes_max: config.member_cache_bytes, items_max: SEATS_MAX };
        metrics.reads.cache_capacity(Cached::Pages, pages.bytes_max);
        metrics.reads.cache_capacity(Cached::Members, seats.bytes_max);
        let (untold, seats, pages) = (Facts::new(UNTOLD), Facts::new(seats), Facts::new(pages));
        Self { reader, metrics, heads, untold, seats, pages }
    }

    /// Answers a pull by a user.
    ///
    /// *Cancel safety*: dropped, it leaves a reading that others wait for to one of them.
    ///
    /// # Errors
    /// [`Refusal::NoConversation`] where the caller is no member; as the [`Reader`]'s.
    pub async fn pull(&self, shard: Shard, user: &UserId, pull: Pull) -> Result<Payload, Refusal> {
        let Pull { conversation, slice, limit, encoding } = pull;
        let head = self.head(shard, &conversation).await?;
        self.seat(shard, user, &conversation, head.members_at).await?;
        let Some(range) = slice.at(head.version, limit) else {
            self.metrics.reads.pulled(Pulled::Nothing);
            return Ok(Payload::encode(encoding, &Messages { messages: Vec::new(), more: false }));
        };
        let key = PageKey { conversation, range, encoding, last_delete: head.last_delete };
        let id = key.conversation.clone();
        let read = self.reader.read(move |store| {
            let page = pull::page(&*store.view(shard)?, &id, &range)?;
            Ok(Payload::encode(encoding, &page))
        });
        let (page, source) = self.pages.get(&key, read).await?;
        if source == Source::Read {
            let (bytes, pages) = self.pages.size();
            self.metrics.reads.cached(Cached::Pages, bytes, pages);
        }
        self.metrics.reads.pulled(match source {
            Source::Kept => Pulled::Kept,
            Source::Joined => Pulled::Joined,
            Source::Read => Pulled::Read,
        });
        Ok(page)
    }

    /// How far a conversation has come, as of the newest commit or a later one.
    async fn head(&self, shard: Shard, conversation: &ConversationId) -> Result<Head, Refusal> {
        let newest = self.reader.newest(shard)?;
        let heads = &self.heads[shard.index()];
        if let Some(head) = heads.look(conversation, newest) {
            return Ok(head);
        }
        // Whoever shares this key has found the same commit to be the newest: a reading that began for one of them
        // shows it to all.
        let key = (conversation.clone(), newest);
        let id = conversation.clone();
        let read = self.reader.read(move |store| {
            let view = store.view(shard)?;
            Ok((view.head(&id)?, view.position()))
        });
        let ((head, read_at), _) = self.untold.get(&key, read).await?;
        let head = head.ok_or(Refusal::NoConversation)?;
        heads.learn(conversation, head, read_at);
        Ok(head)
    }

    /// Checks that a user is a member as of a head, or was let in since.
    async fn seat(
        &self,
        shard: Shard,
        user: &UserId,
        conversation: &ConversationId,
        members_at: Position,
    ) -> Result<(), Refusal> {
        let is_member = match self.seats(shard, conversation, members_at).await? {
            Some(seats) => seats.binary_search(user).is_ok(),
            None => {
                let (user, id) = (user.clone(), conversation.clone());
                let read = move |store: &dyn Store| Ok(store.view(shard)?.membership(&user, &id)?.is_some());
                self.reader.read(read).await?
            }
        };
        if is_member { Ok(()) } else { Err(Refusal::NoConversation) }
    }

    /// Who the members are, by their names; `None` where it is not worth reading all of them yet.
    async fn seats(
        &self,
        shard: Shard,
        conversation: &ConversationId,
        members_at: Position,
    ) -> Result<Option<Seats>, Refusal> {
        let key = (conversation.clone(), members_at);
        if let Some(seats) = self.seats.kept(&key) {
            return Ok(Some(seats));
        }
        let heads = &self.heads[shard.index()];
        if !self.seats.keeps() {
            return Ok(None);
        }
        if heads.count_look_up(conversation) < LONE_LOOK_UPS {
            // The count begins anew when they were read: then they are here.
            return Ok(self.seats.kept(&key));
        }
        let id = conversation.clone();
        // Read after the key was made: who left by `members_at` is not in it.
        let read = self.reader.read(move |store| {
            let members = store.view(shard)?.members(&id, None, usize::MAX)?;
            Ok(members.into_iter().map(|member| member.user).collect::<Seats>())
        });
        let (seats, source) = self.seats.get(&key, read).await?;
        if source == Source::Read {
            heads.read_members(conversation);
            let (bytes, lists) = self.seats.size();
            self.metrics.reads.cached(Cached::Members, bytes, lists);
        }
        Ok(Some(seats))
    }
}
