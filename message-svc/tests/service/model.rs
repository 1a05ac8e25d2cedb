//! Random calls against a plain model of conversations: versions are dense, unread is exact, lists are in order, and a
//! client that follows its cursor never misses a change, also over restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::ErrorCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{House, config, fresh_key, text_of};

const USERS: [&str; 5] = ["ada", "bob", "carol", "dave", "eve"];

#[derive(Clone, Debug)]
enum Op {
    SendTo { from: usize, to: usize },
    Send { from: usize, conversation: usize },
    Repeat { nth: usize },
    Group { from: usize, members: Vec<usize> },
    Mark { user: usize, conversation: usize, version: u64 },
    Pull { user: usize, conversation: usize, after: u64, limit: u64 },
    Changes { user: usize, limit: u64 },
    List { user: usize },
    Wait { millis: u64 },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let user = || 0..USERS.len();
    let conversation = || 0..12_usize;
    prop_oneof![
        4 => (user(), user()).prop_map(|(from, to)| Op::SendTo { from, to }),
        8 => (user(), conversation()).prop_map(|(from, conversation)| Op::Send { from, conversation }),
        2 => (0..50_usize).prop_map(|nth| Op::Repeat { nth }),
        2 => (user(), prop::collection::vec(user(), 0..4)).prop_map(|(from, members)| Op::Group { from, members }),
        5 => (user(), conversation(), 0..20_u64)
            .prop_map(|(user, conversation, version)| Op::Mark { user, conversation, version }),
        3 => (user(), conversation(), 0..15_u64, 1..6_u64)
            .prop_map(|(user, conversation, after, limit)| Op::Pull { user, conversation, after, limit }),
        5 => (user(), 1..4_u64).prop_map(|(user, limit)| Op::Changes { user, limit }),
        2 => user().prop_map(|user| Op::List { user }),
        2 => (0..3_u64).prop_map(|millis| Op::Wait { millis }),
        1 => Just(Op::Restart),
    ]
}

#[derive(Debug)]
struct Conversation {
    id: String,
    members: BTreeSet<&'static str>,
    log: Vec<(&'static str, String)>,
    read: BTreeMap<&'static str, u64>,
    changed: u64,
}

impl Conversation {
    fn unread(&self, user: &str) -> usize {
        let read = usize::try_from(self.read.get(user).copied().unwrap_or(0)).unwrap();
        self.log.iter().skip(read).filter(|(from, _)| *from != user).count()
    }
}

/// What a client holds: the versions it was told, and its cursor.
#[derive(Default)]
struct Client {
    versions: BTreeMap<String, u64>,
    cursor: Option<String>,
}

struct Run {
    house: Option<House>,
    conversations: Vec<Conversation>,
    clients: BTreeMap<&'static str, Client>,
    /// Requests with the answers that they got.
    sent: Vec<(&'static str, Value, Value)>,
    pairs: BTreeMap<(&'static str, &'static str), usize>,
    now: u64,
}

impl Run {
    fn house(&self) -> &House {
        self.house.as_ref().unwrap()
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::SendTo { from, to } if from == to => {}
            Op::SendTo { from, to } => self.send_to(USERS[from], USERS[to]).await,
            Op::Send { from, conversation } => self.send(USERS[from], conversation).await,
            Op::Repeat { nth } => {
                if let Some((user, params, answer)) = self.sent.get(nth) {
                    assert_eq!(self.house().ok(user, "messages.send", params.clone()).await, *answer);
                }
            }
            Op::Group { from, members } => {
                let mut members: BTreeSet<_> = members.into_iter().map(|i| USERS[i]).collect();
                let names: Vec<_> = members.iter().copied().collect();
                let id = self.house().group(USERS[from], &names).await;
                members.insert(USERS[from]);
                self.made(id, members);
            }
            Op::Mark { user, conversation, version } => self.mark(USERS[user], conversation, version).await,
            Op::Pull { user, conversation, after, limit } => {
                self.pull(USERS[user], conversation, after, limit).await;
            }
            Op::Changes { user, limit } => {
                self.ask(USERS[user], limit).await;
            }
            Op::List { user } => self.list(USERS[user]).await,
            Op::Wait { millis } => {
                self.now += millis;
                self.house().hands.advance(Duration::from_millis(millis));
            }
            Op::Restart => {
                let house = self.house.take().unwrap();
                self.house = Some(house.reopen().await);
            }
        }
    }

    fn made(&mut self, id: String, members: BTreeSet<&'static str>) {
        let (log, read, changed) = (Vec::new(), BTreeMap::new(), self.now);
        self.conversations.push(Conversation { id, members, log, read, changed });
    }

    async fn send_to(&mut self, from: &'static str, to: &'static str) {
        let text = format!("text {}", self.sent.len());
        let params = json!({"to": to, "key": fresh_key(), "text": text});
        let answer = self.house().ok(from, "messages.send", params.clone()).await;
        let index = match self.pairs.get(&(from.min(to), from.max(to))) {
            Some(index) => *index,
            None => {
                self.made(text_of(&answer["conversation"]), BTreeSet::from([from, to]));
                self.pairs.insert((from.min(to), from.max(to)), self.conversations.len() - 1);
                self.conversations.len() - 1
            }
        };
        assert_eq!(answer["conversation"], self.conversations[index].id.as_str());
        self.appended(index, (from, text), params, answer);
    }

    async fn send(&mut self, from: &'static str, index: usize) {
        let Some(conversation) = self.conversations.get(index) else { return };
        let text = format!("text {}", self.sent.len());
        let params = json!({"conversation": conversation.id, "key": fresh_key(), "text": text});
        let answer = self.house().call(from, "messages.send", params.clone()).await;
        if conversation.members.contains(from) {
            self.appended(index, (from, text), params, answer.unwrap());
        } else {
            assert_eq!(answer.unwrap_err().code, ErrorCode::NotFound);
        }
    }

    fn appended(&mut self, index: usize, (from, text): (&'static str, String), params: Value, answer: Value) {
        let conversation = &mut self.conversations[index];
        conversation.log.push((from, text));
        conversation.changed = self.now;
        assert_eq!(answer["version"], conversation.log.len(), "dense");
        self.sent.push((from, params, answer));
    }

    async fn mark(&mut self, user: &'static str, index: usize, version: u64) {
        let Some(conversation) = self.conversations.get(index) else { return };
        let params = json!({"conversation": conversation.id, "version": version});
        let answer = self.house().call(user, "conversations.mark_read", params).await;
        if !conversation.members.contains(user) {
            assert_eq!(answer.unwrap_err().code, ErrorCode::NotFound);
            return;
        }
        let conversation = &mut self.conversations[index];
        let read = conversation.read.entry(user).or_insert(0);
        *read = version.min(conversation.log.len() as u64).max(*read);
        assert_eq!(answer.unwrap()["read"], *read);
    }

    async fn pull(&self, user: &'static str, index: usize, after: u64, limit: u64) {
        let Some(conversation) = self.conversations.get(index) else { return };
        let params = json!({"conversation": conversation.id, "after": after, "limit": limit});
        let answer = self.house().call(user, "messages.list", params).await;
        if !conversation.members.contains(user) {
            assert_eq!(answer.unwrap_err().code, ErrorCode::NotFound);
            return;
        }
        let answer = answer.unwrap();
        let seen: Vec<_> =
            answer["messages"].as_array().unwrap().iter().map(|m| text_of(&m["text"])).collect();
        let (after, limit) = (usize::try_from(after).unwrap(), usize::try_from(limit).unwrap());
        let expected: Vec<_> =
            conversation.log.iter().skip(after).take(limit).map(|(_, text)| text.clone()).collect();
        assert_eq!(answer["more"], after + seen.len() < conversation.log.len());
        assert_eq!(seen, expected);
    }

    /// One page; answers whether there are more.
    async fn ask(&mut self, user: &'static str, limit: u64) -> bool {
        let client = self.clients.entry(user).or_default();
        let params = json!({"limit": limit, "cursor": client.cursor});
        let page = self.house.as_ref().unwrap().ok(user, "topics.changes", params).await;
        assert!(page.get("reset").is_none(), "the store is the same all the time");
        for (topic, version) in page["topics"].as_object().unwrap() {
            let known = client.versions.entry(topic.clone()).or_insert(0);
            *known = version.as_u64().unwrap().max(*known);
        }
        client.cursor = Some(text_of(&page["cursor"]));
        page["more"] == true
    }

    async fn list(&self, user: &'static str) {
        let page = self.house().ok(user, "conversations.list", json!({"limit": 200})).await;
        let shown = page["conversations"].as_array().unwrap();
        let own = self.conversations.iter().filter(|c| c.members.contains(user));
        let mut expected: Vec<&Conversation> = own.collect();
        expected.sort_by(|a, b| (b.changed, &b.id).cmp(&(a.changed, &a.id)));
        assert_eq!(shown.len(), expected.len());
        for (shown, expected) in shown.iter().zip(expected) {
            assert_eq!(shown["conversation"], expected.id.as_str());
            assert_eq!(shown["version"], expected.log.len());
            assert_eq!(shown["unread"], expected.unread(user), "{user} in {expected:?}");
            assert_eq!(shown["read"], expected.read.get(user).copied().unwrap_or(0));
            let last = expected.log.last().map_or(Value::Null, |(_, text)| text.as_str().into());
            assert_eq!(shown["last"].get("text").cloned().unwrap_or_default(), last);
        }
    }

    async fn check(&mut self) {
        for user in USERS {
            while self.ask(user, 2).await {}
            let own = self.conversations.iter().filter(|c| c.members.contains(user));
            let truth: BTreeMap<String, u64> =
                own.map(|c| (format!("conversation:{}", c.id), c.log.len() as u64)).collect();
            assert_eq!(self.clients[user].versions, truth, "what {user} knows");
            self.list(user).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn the_service_does_what_the_model_does(ops in prop::collection::vec(op(), 1..120), shards in 1..4_u16) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = Config { shards: NonZeroU16::new(shards).unwrap(), ..config() };
            let mut run = Run {
                house: Some(House::with(config)),
                conversations: Vec::new(),
                clients: BTreeMap::new(),
                sent: Vec::new(),
                pairs: BTreeMap::new(),
                now: 0,
            };
            for op in ops {
                run.step(op).await;
            }
            run.check().await;
        });
    }
}
