//! How far each conversation of a shard has come, in memory: what a pull begins with.
//!
//! The writer tells each commit here after it is published and before it is answered or announced. So whoever heard of
//! a commit finds it here, and a head that stands here is the newest one, as long as the shard has not come further.

use std::collections::HashMap;

use doorbell_protocol::ConversationId;
use parking_lot::Mutex;

use crate::conversation::{Head, Position};

/// Heads that are kept at most, some 200 bytes each; beyond that all are forgotten, which costs a look-up each.
const HEADS_MAX: usize = 50_000;

/// The heads of one shard.
#[derive(Debug, Default)]
pub struct Heads {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Every commit up to here is in it.
    through: Position,
    /// It was empty here: of what changed before, it knows nothing.
    since: Position,
    known: HashMap<ConversationId, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    head: Head,
    /// Members that were looked up one by one since who they are changed last.
    look_ups: u32,
}

impl Kept {
    fn restart(&mut self, at: Position) {
        *self = Self { through: at, since: at, known: HashMap::new() };
    }
}

impl Heads {
    /// Forgets everything before a position: at the start, and after the store was opened again.
    pub fn restart(&self, at: Position) {
        self.kept.lock().restart(at);
    }

    /// Takes the heads that a commit wrote. It is published by now, and not yet answered.
    pub fn committed(&self, position: Position, heads: &[(ConversationId, Head)]) {
        let mut kept = self.kept.lock();
        // A commit in between was never told here: what it changed is not known.
        if kept.through.next() != position || kept.known.len() + heads.len() > HEADS_MAX {
            kept.restart(position);
        }
        kept.through = position;
        for (conversation, head) in heads {
            let known = kept.known.get(conversation);
            let same_members = known.filter(|known| known.head.members_at == head.members_at);
            let look_ups = same_members.map_or(0, |known| known.look_ups);
            kept.known.insert(conversation.clone(), Known { head: *head, look_ups });
        }
    }

    /// The head as of `newest` or later, where it is known.
    #[must_use]
    pub fn look(&self, conversation: &ConversationId, newest: Position) -> Option<Head> {
        let kept = self.kept.lock();
        if kept.through < newest {
            return None;
        }
        kept.known.get(conversation).map(|known| known.head)
    }

    /// Keeps what was read from a view, unless a commit after it may have changed it.
    pub fn learn(&self, conversation: &ConversationId, head: Head, read_at: Position) {
        let mut kept = self.kept.lock();
        if kept.known.len() >= HEADS_MAX {
            let through = kept.through;
            kept.restart(through);
        }
        if read_at >= kept.since {
            kept.known.entry(conversation.clone()).or_insert(Known { head, look_ups: 0 });
        }
    }

    /// Counts one member to be looked up; answers how many were before.
    pub fn count_look_up(&self, conversation: &ConversationId) -> u32 {
        let mut kept = self.kept.lock();
        let Some(known) = kept.known.get_mut(conversation) else { return 0 };
        let before = known.look_ups;
        known.look_ups = before.saturating_add(1);
        before
    }

    /// All members were read at once: the count begins anew.
    pub fn read_members(&self, conversation: &ConversationId) {
        if let Some(known) = self.kept.lock().known.get_mut(conversation) {
            known.look_ups = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::Version;

    fn id(name: &str) -> ConversationId {
        ConversationId::new(name).unwrap()
    }

    fn head(version: u64) -> Head {
        Head { version: Version::new(version).unwrap(), ..Head::default() }
    }

    fn version(heads: &Heads, newest: u64) -> Option<u64> {
        heads.look(&id("a"), Position(newest)).map(|head| head.version.get())
    }

    #[test]
    fn a_head_is_the_newest_until_the_shard_is_ahead() {
        let heads = Heads::default();
        heads.restart(Position(7));
        assert_eq!(version(&heads, 7), None);

        heads.committed(Position(8), &[(id("a"), head(1))]);
        heads.committed(Position(9), &[(id("b"), head(5))]);

        assert_eq!(version(&heads, 9), Some(1));
        assert_eq!(version(&heads, 10), None, "a commit is published and not told yet");
    }

    #[test]
    fn what_was_read_is_kept_unless_a_commit_may_have_changed_it() {
        let heads = Heads::default();
        heads.restart(Position(7));
        heads.learn(&id("a"), head(1), Position(6));
        assert_eq!(version(&heads, 7), None, "read before anything was told here");

        heads.committed(Position(8), &[(id("a"), head(2))]);
        heads.learn(&id("a"), head(1), Position(7));
        assert_eq!(version(&heads, 8), Some(2), "a commit wrote it meanwhile");

        heads.learn(&id("b"), head(3), Position(7));
        assert_eq!(heads.look(&id("b"), Position(8)), Some(head(3)), "no commit wrote it meanwhile");
    }

    #[test]
    fn a_gap_and_too_many_forget_all() {
        let heads = Heads::default();
        heads.committed(Position(1), &[(id("a"), head(1))]);
        heads.committed(Position(3), &[(id("b"), head(1))]);
        assert_eq!(version(&heads, 3), None, "2 may have changed it");
        heads.learn(&id("a"), head(1), Position(2));
        assert_eq!(version(&heads, 3), None);

        let many: Vec<_> = (0..HEADS_MAX).map(|n| (id(&format!("c{n}")), head(1))).collect();
        heads.committed(Position(4), &many);
        assert_eq!(heads.look(&id("b"), Position(4)), None);
        assert_eq!(heads.kept.lock().known.len(), HEADS_MAX);
    }

    #[test]
    fn look_ups_count_until_the_members_change_or_are_read() {
        let heads = Heads::default();
        let count = || (0..3).map(|_| heads.count_look_up(&id("a"))).collect::<Vec<_>>();
        heads.committed(Position(1), &[(id("a"), head(1))]);
        assert_eq!(count(), [0, 1, 2]);
        heads.committed(Position(2), &[(id("a"), head(2))]);
        assert_eq!(count(), [3, 4, 5], "a message changes no members");
        heads.committed(Position(3), &[(id("a"), Head { members_at: Position(3), ..head(2) })]);
        assert_eq!(count(), [0, 1, 2]);
        heads.read_members(&id("a"));
        assert_eq!(count(), [0, 1, 2]);
    }
}
