//! The behaviour that every back-end must show. Each check opens stores in a directory of its own.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use doorbell_backplane::PartitionIdentity;
use doorbell_protocol::{ConversationId, IdempotencyKey, Timestamp, UserId, Version};

use super::disk::DiskStore;
use super::{Answer, AnswerKey, Batch, EntryRange, Event, Inbox, Note, Order, Said, Store, StoreError, View};
use crate::Config;
use crate::conversation::{
    Content, ContentDigest, Conversation, Edits, Entry, EntryKind, Head, Kind, Membership, Position,
    group_id, message_id,
};
use crate::shard::{Shard, Shards};
use crate::status::{Chosen, Status};
use crate::writer::cursor::Trail;

const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Opens the back-end in a directory; a second time, what is there.
type Open = fn(&Path) -> Arc<dyn Store>;

fn disk(dir: &Path) -> Arc<dyn Store> {
    // Small tables, so that some are written out during the checks.
    let shards = const { NonZeroU16::new(2).unwrap() };
    let config = Config { shards, disk_reserve_bytes: 0, memtable_bytes: 1 << 20, ..Config::default() };
    Arc::new(DiskStore::open(dir, config).unwrap())
}

macro_rules! checks {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            let dir = tempfile::tempdir().unwrap();
            check::$name(disk, dir.path());
        }
    )* };
}

checks! {
    a_commit_is_seen_whole_and_survives_a_restart
    who_left_is_a_member_no_more_and_is_remembered
    an_entry_that_is_written_again_has_its_new_state_alone
    a_view_stands_still
    a_range_of_entries_is_shown_from_either_end
    a_user_sees_own_memberships_only
    commits_are_read_in_order_and_forgotten_on_request
    answers_live_for_one_to_two_weeks
    no_reader_ever_sees_half_a_commit
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

/// An id that lives in a shard.
fn conversation_in(shards: Shards, shard: Shard) -> ConversationId {
    group_id(Timestamp::from_millis(1), shard, shards)
}

fn entry(number: u64, from: &UserId) -> Entry {
    Entry {
        version: version(number),
        kind: EntryKind::Message,
        of: None,
        id: message_id(Timestamp::from_millis(number)),
        from: from.clone(),
        sent_at: Timestamp::from_millis(number),
        messages: number,
        edits: None,
        deleted: None,
        content: Content {
            text: format!("text {number} ").repeat(100),
            media: vec!["https://x.org".into(); 2],
            meta: Some("{}".into()),
        },
    }
}

/// A commit that makes a conversation, or adds messages to it, as the writer would.
fn append(view: &dyn View, id: &ConversationId, from: &UserId, messages: u64) -> Batch {
    let position = view.position().next();
    let mut batch = Batch { position, at: Timestamp::from_millis(position.0), ..Batch::default() };
    let before = view.head(id).unwrap();
    if before.is_none() {
        let conversation = Conversation {
            kind: Kind::Group,
            owner: from.clone(),
            title: Some("title".into()),
            closed: true,
            created_at: batch.at,
        };
        batch.conversations.push((id.clone(), conversation));
        batch.audience.push((id.clone(), from.clone(), Some(position)));
        batch.audience.push((id.clone(), user("zoe"), Some(position)));
        batch.events.push(Event::Created { conversation: id.clone() });
    }
    let head = before.unwrap_or_default();
    let last = head.version.get() + messages;
    batch.entries = (head.version.get() + 1..=last).map(|number| (id.clone(), entry(number, from))).collect();
    let (version, updated_at) = (version(last), batch.at);
    let head = Head {
        version,
        messages: last,
        last_message: version,
        last_delete: head.version,
        members: 2,
        members_at: Position(1),
        position,
        updated_at,
    };
    batch.heads.push((id.clone(), head));
    let own = Membership {
        joined: Position(1),
        changed: position,
        own: last,
        last_own: version,
        muted: true,
        label: Some("a label".into()),
        ..Membership::default()
    };
    batch.memberships.push((from.clone(), id.clone(), own));
    batch.events.push(Event::Appended { conversation: id.clone(), version });
    batch
}

fn entries(view: &dyn View, range: &EntryRange<'_>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut keep = |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    };
    view.entries(range, &mut keep).unwrap();
    entries
}

mod check {
    use super::*;

    pub fn a_commit_is_seen_whole_and_survives_a_restart(open: Open, dir: &Path) {
        let store = open(dir);
        let shard = store.shards().all().last().unwrap();
        let (id, ada) = (conversation_in(store.shards(), shard), user("ada"));
        let mut batch = append(&*store.view(shard).unwrap(), &id, &ada, 3);
        let answer = Answer {
            digest: ContentDigest([0xab; 32]),
            said: Said::Logged { version: version(3), id: message_id(batch.at), sent_at: batch.at },
        };
        let key = AnswerKey::Log {
            user: ada.clone(),
            conversation: id.clone(),
            key: IdempotencyKey::new("k").unwrap(),
        };
        let inbox = Inbox { version: version(9), position: batch.position };
        batch.answers.push((key.clone(), answer.clone()));
        batch.inboxes.push((ada.clone(), inbox));
        let status = Status {
            chosen: Chosen::Invisible,
            text: Some("on the moon".into()),
            seen_before: Some(Timestamp::from_millis(7)),
        };
        batch.statuses.push((ada.clone(), status.clone()));
        batch.statuses.push((user("bob"), Status::default()));
        batch.events.push(Event::Status { user: ada.clone() });
        store.commit(shard, &batch).unwrap();

        let look = |store: &dyn Store| {
            let view = store.view(shard).unwrap();
            assert_eq!(view.position(), batch.position);
            assert_eq!(view.conversation(&id).unwrap().unwrap(), batch.conversations[0].1);
            let names = |after: Option<&UserId>, max| {
                let members = view.members(&id, after, max).unwrap();
                assert!(members.iter().all(|member| member.joined == batch.position));
                members.into_iter().map(|member| member.user).collect::<Vec<_>>()
            };
            assert_eq!(names(None, 10), [ada.clone(), user("zoe")]);
            assert_eq!(names(None, 1), std::slice::from_ref(&ada));
            assert_eq!(names(Some(&ada), 10), [user("zoe")]);
            assert_eq!(names(Some(&user("b")), 10), [user("zoe")]);
            assert_eq!(names(Some(&user("zoe")), 10), []);
            assert_eq!(view.head(&id).unwrap().unwrap(), batch.heads[0].1);
            assert_eq!(view.membership(&ada, &id).unwrap().unwrap(), batch.memberships[0].2);
            let all = EntryRange {
                conversation: &id,
                first: version(0),
                last: Version::MAX,
                order: Order::Ascending,
            };
            let written: Vec<Entry> = batch.entries.iter().map(|(_, entry)| entry.clone()).collect();
            assert_eq!(entries(&*view, &all), written);
            assert_eq!(view.answer(&key).unwrap(), Some(answer.clone()));
            assert_eq!(view.inbox(&ada).unwrap(), inbox);
            assert_eq!(view.inbox(&user("zoe")).unwrap(), Inbox::default());
            assert_eq!(view.status(&ada).unwrap(), Some(status.clone()));
            assert_eq!(view.status(&user("bob")).unwrap(), Some(Status::default()));
            assert_eq!(view.status(&user("zoe")).unwrap(), None);
            assert_eq!(view.commits(Position(0), 9).unwrap()[0].events, batch.events);
        };
        look(&*store);
        let name = store.id();
        drop(store);
        let store = open(dir);
        assert_eq!(store.id(), name);
        look(&*store);
    }

    pub fn who_left_is_a_member_no_more_and_is_remembered(open: Open, dir: &Path) {
        let store = open(dir);
        let shard = store.shards().all().next().unwrap();
        let (id, other) = (conversation_in(store.shards(), shard), conversation_in(store.shards(), shard));
        let ada = user("ada");
        for id in [&id, &other] {
            let batch = append(&*store.view(shard).unwrap(), id, &ada, 1);
            store.commit(shard, &batch).unwrap();
        }
        let before = store.view(shard).unwrap();
        let member = before.membership(&ada, &id).unwrap().unwrap();
        let gone = Membership { left: Some(Position(3)), changed: Position(3), ..member.clone() };
        let mut batch = Batch { position: Position(3), ..Batch::default() };
        batch.memberships.push((ada.clone(), id.clone(), gone.clone()));
        batch.audience.push((id.clone(), ada.clone(), None));
        store.commit(shard, &batch).unwrap();

        drop(before);
        drop(store);
        let store = open(dir);
        let view = store.view(shard).unwrap();
        assert_eq!(view.membership(&ada, &id).unwrap(), None);
        assert_eq!(view.tie(&ada, &id).unwrap(), Some(gone));
        let listed = view.memberships(&ada).unwrap();
        assert_eq!(listed.iter().map(|(id, _)| id).collect::<Vec<_>>(), [&other]);
        assert_eq!(view.ties(&ada).unwrap().len(), 2);
        let left: Vec<UserId> = view.members(&id, None, 9).unwrap().into_iter().map(|m| m.user).collect();
        assert_eq!(left, [user("zoe")]);
        assert_eq!(view.members(&other, None, 9).unwrap().len(), 2);
    }

    pub fn an_entry_that_is_written_again_has_its_new_state_alone(open: Open, dir: &Path) {
        let store = open(dir);
        let shard = store.shards().all().next().unwrap();
        let id = conversation_in(store.shards(), shard);
        let written = append(&*store.view(shard).unwrap(), &id, &user("ada"), 3);
        store.commit(shard, &written).unwrap();
        let [one, two, three] = [0, 1, 2].map(|at| written.entries[at].1.clone());
        let before = store.view(shard).unwrap();
        let mut second = before.entry(&id, version(2)).unwrap().unwrap();
        assert_eq!(second, two);
        second.edits = Some(Edits { last: version(3), count: 1 });
        let edited = second.clone();
        second.redact(version(4));
        for (position, state) in [(2, &edited), (3, &second)] {
            let mut batch = Batch { position: Position(position), ..Batch::default() };
            batch.rewritten.push((id.clone(), state.clone()));
            store.commit(shard, &batch).unwrap();
            assert_eq!(store.view(shard).unwrap().entry(&id, version(2)).unwrap().as_ref(), Some(state));
        }
        assert_eq!(before.entry(&id, version(2)).unwrap(), Some(two), "a view stands still");
        drop(before);
        drop(store);

        let store = open(dir);
        let view = store.view(shard).unwrap();
        let all =
            EntryRange { conversation: &id, first: version(1), last: version(9), order: Order::Ascending };
        assert_eq!(entries(&*view, &all), [one, second, three]);
        assert_eq!(view.entry(&id, version(4)).unwrap(), None);
    }

    pub fn a_view_stands_still(open: Open, dir: &Path) {
        let store = open(dir);
        let shard = store.shards().all().next().unwrap();
        let (id, ada) = (conversation_in(store.shards(), shard), user("ada"));
        let empty = store.view(shard).unwrap();
        store.commit(shard, &append(&*empty, &id, &ada, 2)).unwrap();
        let two = store.view(shard).unwrap();
        store.commit(shard, &append(&*two, &id, &ada, 5)).unwrap();

        assert_eq!((empty.position(), empty.head(&id).unwrap()), (Position(0), None));
        assert_eq!(two.head(&id).unwrap().unwrap().version, version(2));
        let all =
            EntryRange { conversation: &id, first: version(1), last: Version::MAX, order: Order::Ascending };
        assert_eq!((entries(&*empty, &all).len(), entries(&*two, &all).len()), (0, 2));
        assert_eq!(two.commits(Position(0), 9).unwrap().len(), 1);
    }

    pub fn a_range_of_entries_is_shown_from_either_end(open: Open, dir: &Path) {
        let store = open(dir);
        let shard = store.shards().all().next().unwrap();
        let (id, other) = (conversation_in(store.shards(), shard), conversation_in(store.shards(), shard));
        for id in [&id, &other] {
            let batch = append(&*store.view(shard).unwrap(), id, &user("ada"), 300);
            store.commit(shard, &batch).unwrap();
        }
        let view = store.view(shard).unwrap();
        let shown = |first, last, order| {
            let range = EntryRange { conversation: &id, first: version(first), last: version(last), order };
            entries(&*view, &range).iter().map(|entry| entry.version.get()).collect::<Vec<_>>()
        };
        assert_eq!(shown(254, 258, Order::Ascending), [254, 255, 256, 257, 258]);
        assert_eq!(shown(254, 258, Order::Descending), [258, 257, 256, 255, 254]);
        assert_eq!(shown(299, 400, Order::Ascending), [299, 300], "not the next conversation's");
        assert_eq!(shown(5, 4, Order::Ascending), Vec::<u64>::new());
        let mut first = None;
        let range =
            EntryRange { conversation: &id, first: version(1), last: version(300), order: Order::Descending };
        let mut stop = |entry: Entry| {
            assert!(first.replace(entry.version).is_none(), "it was told to stop");
            ControlFlow::Break(())
        };
        view.entries(&range, &mut stop).unwrap();
        assert_eq!(first, Some(version(300)));
    }

    pub fn a_user_sees_own_memberships_only(open: Open, dir: &Path) {
        let store = open(dir);
        let names = ["a", "ab", "a:b", "b"].map(user);
        let mut expected = BTreeMap::<(usize, usize), Vec<ConversationId>>::new();
        for shard in store.shards().all() {
            for (i, name) in names.iter().enumerate() {
                let id = conversation_in(store.shards(), shard);
                let batch = append(&*store.view(shard).unwrap(), &id, name, 1);
                store.commit(shard, &batch).unwrap();
                expected.entry((shard.index(), i)).or_default().push(id);
            }
        }
        for shard in store.shards().all() {
            let view = store.view(shard).unwrap();
            for (i, name) in names.iter().enumerate() {
                let found: Vec<_> = view.memberships(name).unwrap().into_iter().map(|(id, _)| id).collect();
                assert_eq!(found, expected[&(shard.index(), i)], "{name} in {shard}");
            }
        }
    }

    pub fn commits_are_read_in_order_and_forgotten_on_request(open: Open, dir: &Path) {
        let store = open(dir);
        let [one, other] = store.shards().all().collect::<Vec<_>>()[..] else { panic!("two shards") };
        let ada = user("ada");
        for shard in [one, one, other, one, one] {
            let id = conversation_in(store.shards(), shard);
            let batch = append(&*store.view(shard).unwrap(), &id, &ada, 1);
            store.commit(shard, &batch).unwrap();
        }
        let positions = |store: &dyn Store, after, max| {
            let commits = store.view(one).unwrap().commits(Position(after), max).unwrap();
            commits.iter().map(|commit| commit.position.0).collect::<Vec<_>>()
        };
        assert_eq!(positions(&*store, 0, 9), [1, 2, 3, 4]);
        assert_eq!(positions(&*store, 1, 2), [2, 3]);
        assert_eq!(positions(&*store, 4, 9), Vec::<u64>::new());
        assert_eq!(store.view(other).unwrap().commits(Position(0), 9).unwrap().len(), 1);

        let note = |announced, forget, stores: &[&str]| Note {
            announced: Position(announced),
            forget: Position(forget),
            identities: stores.iter().map(|store| PartitionIdentity((*store).to_owned())).collect(),
            trail: Trail { tick: announced + 5, places: vec![(3, Position(1)), (4, Position(announced))] },
        };
        let noted = |store: &dyn Store| {
            let view = store.view(one).unwrap();
            Note {
                announced: view.announced(),
                forget: view.forgotten(),
                identities: view.identities().unwrap(),
                trail: view.trail().unwrap(),
            }
        };
        for (one_note, expected) in [
            (note(4, 2, &["a", "b"]), note(4, 2, &["a", "b"])),
            (note(3, 1, &["a", "c"]), note(3, 2, &["a", "c"])),
            (note(3, 2, &[]), note(3, 2, &["a", "c"])),
        ] {
            store.note(one, &one_note).unwrap();
            assert_eq!(noted(&*store), expected, "what is forgotten stays so, and the rest is as it says");
        }
        assert_eq!(store.view(one).unwrap().position(), Position(4));
        let id = conversation_in(store.shards(), one);
        let batch = append(&*store.view(one).unwrap(), &id, &ada, 1);
        store.commit(one, &batch).unwrap();
        drop(store);
        let store = open(dir);
        assert_eq!(noted(&*store), note(3, 2, &["a", "c"]));
        assert_eq!(store.view(other).unwrap().announced(), Position(0));
        assert_eq!(positions(&*store, 0, 9), [3, 4, 5]);
    }

    pub fn answers_live_for_one_to_two_weeks(open: Open, dir: &Path) {
        let store = open(dir);
        let shard = store.shards().all().next().unwrap();
        let key =
            |name: &str| AnswerKey::Create { user: user("ada"), key: IdempotencyKey::new(name).unwrap() };
        let commit = |store: &dyn Store, name: &str, at: u64| {
            let conversation = conversation_in(store.shards(), shard);
            let answer = Answer { digest: ContentDigest([1; 32]), said: Said::Created { conversation } };
            let position = store.view(shard).unwrap().position().next();
            let answers = vec![(key(name), answer)];
            let at = Timestamp::from_millis(at);
            store.commit(shard, &Batch { position, at, answers, ..Batch::default() }).unwrap();
        };
        let known =
            |store: &dyn Store, name: &str| store.view(shard).unwrap().answer(&key(name)).unwrap().is_some();
        commit(&*store, "early", 10 * WEEK_MS);
        commit(&*store, "late", 11 * WEEK_MS - 1);
        commit(&*store, "next", 11 * WEEK_MS);
        assert!(["early", "late", "next"].iter().all(|name| known(&*store, name)));
        let old_view = store.view(shard).unwrap();
        commit(&*store, "after", 12 * WEEK_MS);
        assert_eq!(
            ["early", "late", "next", "after"].map(|name| known(&*store, name)),
            [false, false, true, true]
        );
        assert!(old_view.answer(&key("early")).unwrap().is_some(), "a view keeps what it shows");
        drop(old_view);
        commit(&*store, "clock-went-back", 10 * WEEK_MS);
        drop(store);
        let store = open(dir);
        assert_eq!(["late", "next", "clock-went-back"].map(|name| known(&*store, name)), [false, true, true]);
        assert!(!known(&*store, "never"));
    }

    /// Two writers, each with its own shard, while readers look at both: fjall flushes tables meanwhile, and moves its
    /// visible sequence number in the middle of the other writer's batch.
    pub fn no_reader_ever_sees_half_a_commit(open: Open, dir: &Path) {
        let store = open(dir);
        let done = AtomicBool::new(false);
        let ids: Vec<_> =
            store.shards().all().map(|shard| (shard, conversation_in(store.shards(), shard))).collect();
        let ada = user("ada");
        std::thread::scope(|scope| {
            for (shard, id) in &ids {
                let (store, ada, done) = (&store, &ada, &done);
                scope.spawn(move || {
                    for _ in 0..150 {
                        let batch = append(&*store.view(*shard).unwrap(), id, ada, 40);
                        store.commit(*shard, &batch).unwrap();
                        if batch.position.0.is_multiple_of(10) {
                            let (announced, forget) = (batch.position, batch.position);
                            store.note(*shard, &Note { announced, forget, ..Note::default() }).unwrap();
                            store.refresh(*shard);
                        }
                    }
                    done.store(true, Ordering::Release);
                });
            }
            let reader = || {
                while !done.load(Ordering::Acquire) {
                    for (shard, id) in &ids {
                        consistent(&*store.view(*shard).unwrap(), id, &ada).unwrap();
                    }
                }
            };
            scope.spawn(reader);
            scope.spawn(reader);
        });
    }

    fn consistent(view: &dyn View, id: &ConversationId, ada: &UserId) -> Result<(), StoreError> {
        let head = view.head(id)?.unwrap_or_default();
        let own = view.membership(ada, id)?.unwrap_or_default();
        assert_eq!((own.own, own.last_own), (head.messages, head.version));
        assert_eq!((head.position, head.version.get()), (view.position(), view.position().0 * 40));
        let from = version(head.version.get().saturating_sub(3));
        let beyond = version(head.version.get() + 40);
        let range = EntryRange { conversation: id, first: from, last: beyond, order: Order::Descending };
        assert_eq!(entries(view, &range).first().map_or(0, |last| last.version.get()), head.version.get());
        Ok(())
    }
}
