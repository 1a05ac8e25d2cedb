//! Whom a conversation's change reaches, and by which way: every member of a small one is rung through the hint queue,
//! a large one is published once, and the gateways ring those who follow it.
//!
//! An audience is read from a view that shows the announced commits or later ones. Whoever was added before a message
//! is in it, whoever was removed before it is not; who was removed after it may be left out as well, and learns so
//! from the own inbox. What is remembered stays true because a commit that changes an audience comes by here, in its
//! turn, before the commits after it are announced: [`Reaches::forget`] first, then look up.
//!
//! A commit may be announced by the way of a later moment: its audience has crossed the threshold since. Then the commit
//! of the crossing, which is announced after it, marks every member to ask for their large topics again, with the head
//! that is read then: nobody misses it (MS-12).
//!
//! After a crash nothing is remembered, and the commits since the announcer's cursor come again: their audiences are
//! read as they are by then.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use doorbell_protocol::{ConversationId, UserId, Version};

use crate::announce::plan::Refollow;
use crate::store::{StoreError, View};

/// Conversations whose audiences are looked up and rung at a time: what is in hand is that many times the largest.
pub const CONVERSATIONS_MAX: usize = 256;
/// Members that are remembered at most, over all conversations: some 50 bytes each.
const MEMBERS_MAX: usize = 400_000;

/// By which way a conversation's change goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Through the hint queue, to each of these.
    Small(Arc<[UserId]>),
    /// To the channel service, once.
    Large,
}

impl Reach {
    /// Who is rung one by one.
    fn members(&self) -> &[UserId] {
        match self {
            Self::Small(members) => members,
            Self::Large => &[],
        }
    }
}

/// The ways of one shard's conversations, as of the commits read so far.
#[derive(Debug, Default)]
pub struct Reaches {
    known: HashMap<ConversationId, Reach>,
    members: usize,
}

impl Reaches {
    /// Forgets an audience that has changed.
    pub fn forget(&mut self, conversation: &ConversationId) {
        if let Some(reach) = self.known.remove(conversation) {
            self.members -= reach.members().len();
        }
    }

    /// Of these conversations, those whose audience has to be looked up; makes room for them.
    pub fn unknown(&mut self, wanted: &[ConversationId]) -> Vec<ConversationId> {
        if self.members + self.known.len() > MEMBERS_MAX {
            *self = Self::default();
        }
        wanted.iter().filter(|id| !self.known.contains_key(*id)).cloned().collect()
    }

    /// Keeps what was looked up.
    pub fn keep(&mut self, conversation: ConversationId, reach: Reach) {
        self.forget(&conversation);
        self.members += reach.members().len();
        self.known.insert(conversation, reach);
    }

    /// Who is rung one by one; nobody where the audience is large, or was not looked up.
    #[must_use]
    pub fn members(&self, conversation: &ConversationId) -> &[UserId] {
        self.known.get(conversation).map_or(&[], Reach::members)
    }

    /// Whether it is published.
    #[must_use]
    pub fn is_large(&self, conversation: &ConversationId) -> bool {
        self.known.get(conversation) == Some(&Reach::Large)
    }
}

/// Reads by which way a conversation's change goes.
///
/// # Errors
/// As the view's.
pub fn look_up(
    view: &dyn View,
    conversation: &ConversationId,
    small_audience_max: u64,
) -> Result<Reach, StoreError> {
    let head = view.head(conversation)?.ok_or(StoreError::Damaged { table: "heads" })?;
    if head.members > small_audience_max {
        return Ok(Reach::Large);
    }
    Ok(Reach::Small(everybody(view, conversation)?.into()))
}

/// Reads who is in a conversation, however large.
///
/// # Errors
/// As the view's.
pub fn everybody(view: &dyn View, conversation: &ConversationId) -> Result<Vec<UserId>, StoreError> {
    let members = view.members(conversation, None, usize::MAX)?;
    Ok(members.into_iter().map(|member| member.user).collect())
}

/// Whom to mark, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// How far the conversation has come.
    pub head: Version,
    /// Members who ask again for their large topics, and are told the head.
    pub members: BTreeSet<UserId>,
    /// Who asks again and is told nothing: they are members no longer.
    pub others: BTreeSet<UserId>,
}

/// Reads whom a refollow concerns. The head goes with each mark, so that whoever changes over from one way to the other
/// misses nothing in between.
///
/// # Errors
/// As the view's.
pub fn marks(
    view: &dyn View,
    conversation: &ConversationId,
    refollow: &Refollow,
) -> Result<Marks, StoreError> {
    let head = view.head(conversation)?.ok_or(StoreError::Damaged { table: "heads" })?.version;
    let (mut members, mut others) = (BTreeSet::new(), BTreeSet::new());
    if refollow.crossed {
        members.extend(everybody(view, conversation)?);
    }
    for user in refollow.joined.iter().chain(&refollow.left) {
        // Who joined may have left since, and the other way round.
        let side = if view.membership(user, conversation)?.is_some() { &mut members } else { &mut others };
        side.insert(user.clone());
    }
    Ok(Marks { head, members, others })
}
