//! What requests come to that share one commit.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::path::Path;

use doorbell_protocol::{ConversationId, IdempotencyKey, Timestamp, UserId, Version};

use super::Draft;
use crate::Config;
use crate::conversation::{Content, ContentDigest};
use crate::shard::Shard;
use crate::store::disk::DiskStore;
use crate::store::{Batch, Store};
use crate::throttle::Throttles;
use crate::writer::memory::Memory;
use crate::writer::request::{
    Amend, Create, CreateRequest, DeleteRequest, EditRequest, MembersRequest, SendRequest,
};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::new(name).unwrap()
}

/// A shard, with one commit after the other.
struct Bench {
    store: DiskStore,
    shard: Shard,
    memory: Memory,
    throttles: Throttles,
}

impl Bench {
    fn new(dir: &Path) -> Self {
        let config = Config {
            shards: NonZeroU16::MIN,
            throttle_messages: 0,
            throttle_conversations: 0,
            disk_reserve_bytes: 0,
            ..Config::default()
        };
        let throttles = Throttles::new(&config);
        let store = DiskStore::open(dir, config).unwrap();
        let shard = store.shards().all().next().unwrap();
        Self { store, shard, memory: Memory::default(), throttles }
    }

    fn commit<T>(&mut self, decide: impl FnOnce(&mut Draft<'_>) -> T) -> (T, Batch) {
        let view = self.store.view(self.shard).unwrap();
        let places = (self.shard, self.store.shards());
        let mut draft = Draft::new(&*view, &mut self.memory, &self.throttles, places, NOW);
        let decided = decide(&mut draft);
        let batch = draft.finish().batch.unwrap();
        drop(view);
        self.store.commit(self.shard, &batch).unwrap();
        (decided, batch)
    }
}

fn group(draft: &mut Draft<'_>) -> ConversationId {
    let what =
        Create::Group { members: vec![user("ada"), user("bob")], title: Some("t".into()), closed: false };
    let digest = ContentDigest([0; 32]);
    draft.create(CreateRequest { user: user("ada"), key: key("group"), digest, what }).unwrap()
}

fn send(draft: &mut Draft<'_>, conversation: &ConversationId, text: &str) -> Version {
    let content = Content { text: text.into(), ..Content::default() };
    let (digest, conversation) = (content.digest(), conversation.clone());
    let (caller, key) = (user("ada").into(), key(text));
    draft.send(SendRequest { caller, conversation, to: None, key, content, digest }).unwrap().version
}

fn amend(conversation: &ConversationId, of: Version, name: &str) -> Amend {
    let digest = ContentDigest::of([Some(name.as_bytes())]);
    Amend { caller: user("ada").into(), conversation: conversation.clone(), of, key: key(name), digest }
}

#[test]
fn no_row_of_a_log_stands_in_a_commit_twice_and_nothing_deleted_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    let ((conversation, old), _) = bench.commit(|draft| {
        let conversation = group(draft);
        let old = send(draft, &conversation, "old");
        (conversation, old)
    });

    let (_, batch) = bench.commit(|draft| {
        let new = send(draft, &conversation, "new");
        for (of, name) in [(new, "new-1"), (old, "old-1"), (new, "new-2"), (old, "old-2")] {
            let what = amend(&conversation, of, name);
            draft.edit(EditRequest { what, text: name.into() }).unwrap();
        }
        for (of, name) in [(new, "new-3"), (old, "old-3")] {
            draft.delete(DeleteRequest { what: amend(&conversation, of, name) }).unwrap();
        }
    });

    let rows = batch.entries.iter().chain(&batch.rewritten);
    let rows: Vec<Version> = rows.map(|(_, entry)| entry.version).collect();
    assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len(), "{rows:?}");
    let view = bench.store.view(bench.shard).unwrap();
    let head = view.head(&conversation).unwrap().unwrap();
    assert_eq!((head.version.get(), head.messages, head.last_delete.get()), (8, 2, 8));
    for version in 1..=8 {
        let entry = view.entry(&conversation, Version::new(version).unwrap()).unwrap().unwrap();
        assert_eq!((entry.content, entry.deleted.is_some()), (Content::default(), version < 7), "{version}");
    }
}

#[test]
fn who_comes_and_goes_within_one_commit_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    let (conversation, _) = bench.commit(group);
    let request = |by: &str, users: &[&str]| MembersRequest {
        user: user(by),
        conversation: conversation.clone(),
        users: users.iter().map(|name| user(name)).collect(),
        members_max: 10,
    };

    bench.commit(|draft| {
        draft.add(request("ada", &["carol", "dave"])).unwrap();
        draft.remove(request("ada", &["carol", "bob"])).unwrap();
        draft.add(request("dave", &["carol", "eve"])).unwrap();
        assert_eq!(draft.remove(request("ada", &["ada", "eve"])).unwrap(), 2);
    });

    let view = bench.store.view(bench.shard).unwrap();
    let members = view.members(&conversation, None, 9).unwrap();
    assert_eq!(members.iter().map(|member| member.user.as_str()).collect::<Vec<_>>(), ["carol", "dave"]);
    assert_eq!(view.head(&conversation).unwrap().unwrap().members, 2);
    assert_eq!(view.conversation(&conversation).unwrap().unwrap().owner, user("carol"));
    for (name, is_member) in [("ada", false), ("bob", false), ("carol", true), ("dave", true), ("eve", false)]
    {
        assert_eq!(view.membership(&user(name), &conversation).unwrap().is_some(), is_member, "{name}");
    }
}
