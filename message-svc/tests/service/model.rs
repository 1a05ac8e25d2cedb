//! Random calls against a plain model of conversations: versions are dense, unread is exact, lists are in order, rights
//! follow membership, and a client that follows its cursor never misses a change, also over restarts.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::{ErrorBody, ErrorCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use self::world::{Conversation, Said, User};
use crate::support::{House, config, fresh_key, text_of};

const USERS: [User; 5] = ["ada", "bob", "carol", "dave", "eve"];

#[derive(Clone, Debug)]
enum Op {
    SendTo {
        from: usize,
        to: usize,
    },
    Group {
        from: usize,
        members: Vec<usize>,
        closed: bool,
    },
    /// Something that a user does in a conversation.
    Act {
        user: usize,
        conversation: usize,
        act: Act,
    },
    Repeat {
        nth: usize,
    },
    Changes {
        user: usize,
        limit: u64,
    },
    Since {
        user: usize,
        limit: u64,
    },
    List {
        user: usize,
    },
    Wait {
        millis: u64,
    },
    Restart,
}

#[derive(Clone, Debug)]
enum Act {
    Send,
    Edit { of: u64 },
    Delete { of: u64 },
    Mark { version: u64 },
    Pull { after: u64, limit: u64 },
    Get,
    Add { whom: Vec<usize> },
    Remove { whom: Vec<usize> },
    Leave,
    Rename { title: u8 },
    Own { label: u8, muted: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let users = || prop::collection::vec(0..USERS.len(), 1..4);
    prop_oneof![
        8 => Just(Act::Send),
        3 => (0..12_u64).prop_map(|of| Act::Edit { of }),
        2 => (0..12_u64).prop_map(|of| Act::Delete { of }),
        5 => (0..20_u64).prop_map(|version| Act::Mark { version }),
        3 => (0..15_u64, 1..6_u64).prop_map(|(after, limit)| Act::Pull { after, limit }),
        2 => Just(Act::Get),
        3 => users().prop_map(|whom| Act::Add { whom }),
        2 => users().prop_map(|whom| Act::Remove { whom }),
        2 => Just(Act::Leave),
        2 => (0..3_u8).prop_map(|title| Act::Rename { title }),
        2 => (0..3_u8, any::<bool>()).prop_map(|(label, muted)| Act::Own { label, muted }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let user = || 0..USERS.len();
    let members = || prop::collection::vec(0..USERS.len(), 0..4);
    prop_oneof![
        4 => (user(), user()).prop_map(|(from, to)| Op::SendTo { from, to }),
        3 => (user(), members(), any::<bool>())
            .prop_map(|(from, members, closed)| Op::Group { from, members, closed }),
        24 => (user(), 0..12_usize, act())
            .prop_map(|(user, conversation, act)| Op::Act { user, conversation, act }),
        2 => (0..50_usize).prop_map(|nth| Op::Repeat { nth }),
        5 => (user(), 1..4_u64).prop_map(|(user, limit)| Op::Changes { user, limit }),
        3 => (user(), 1..4_u64).prop_map(|(user, limit)| Op::Since { user, limit }),
        2 => user().prop_map(|user| Op::List { user }),
        2 => (0..3_u64).prop_map(|millis| Op::Wait { millis }),
        1 => Just(Op::Restart),
    ]
}

/// What a client holds: the versions it was told, and its cursor.
#[derive(Default)]
struct Client {
    versions: BTreeMap<String, u64>,
    cursor: Option<String>,
}

/// What a client holds that keeps its list by `changed_since`.
#[derive(Default)]
struct Phone {
    list: BTreeMap<String, Value>,
    cursor: Option<String>,
}

struct Run {
    house: Option<House>,
    conversations: Vec<Conversation>,
    clients: BTreeMap<User, Client>,
    phones: BTreeMap<User, Phone>,
    /// Requests with the answers that they got, and the conversation that they are about.
    sent: Vec<(User, &'static str, Value, Value, usize)>,
    pairs: BTreeMap<(User, User), usize>,
    now: u64,
    steps: u64,
}

/// Whether an answer is what the model says; the answer, where both say yes.
fn agree<T>(answer: Result<Value, ErrorBody>, said: Said<T>) -> Option<(Value, T)> {
    match (answer, said) {
        (Ok(answer), Ok(said)) => Some((answer, said)),
        (Err(answer), Err(said)) => {
            assert_eq!(answer.code, said, "{answer:?}");
            None
        }
        (answer, said) => panic!("answered {answer:?}, but {:?}", said.err()),
    }
}

fn names(users: &[usize]) -> BTreeSet<User> {
    users.iter().map(|i| USERS[*i]).collect()
}

impl Run {
    fn house(&self) -> &House {
        self.house.as_ref().unwrap()
    }

    async fn step(&mut self, op: Op) {
        self.steps += 1;
        match op {
            Op::SendTo { from, to } if from == to => {}
            Op::SendTo { from, to } => self.send_to(USERS[from], USERS[to]).await,
            Op::Group { from, members, closed } => self.group(USERS[from], names(&members), closed).await,
            Op::Act { user, conversation, act } => {
                if conversation < self.conversations.len() {
                    self.act(USERS[user], conversation, act).await;
                }
            }
            Op::Repeat { nth } => self.repeat(nth).await,
            Op::Changes { user, limit } => {
                self.ask(USERS[user], limit).await;
            }
            Op::Since { user, limit } => {
                self.since(USERS[user], limit).await;
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

    async fn send_to(&mut self, from: User, to: User) {
        let text = format!("text {}", self.sent.len());
        let params = json!({"to": to, "key": fresh_key(), "text": text});
        let answer = self.house().ok(from, "messages.send", params.clone()).await;
        let id = text_of(&answer["conversation"]);
        let index = *self.pairs.entry((from.min(to), from.max(to))).or_insert_with(|| {
            let pair = Conversation::new(id.clone(), from, &BTreeSet::from([from, to]), self.steps, self.now);
            self.conversations.push(Conversation { pair: true, ..pair });
            self.conversations.len() - 1
        });
        let conversation = &mut self.conversations[index];
        assert_eq!(id, conversation.id);
        assert_eq!(conversation.append(from, "message", &text, self.now).unwrap(), answer["version"]);
        self.sent.push((from, "messages.send", params, answer, index));
    }

    async fn group(&mut self, from: User, mut members: BTreeSet<User>, closed: bool) {
        let params = json!({"members": members, "title": "a group", "closed": closed, "key": fresh_key()});
        let id = text_of(&self.house().ok(from, "conversations.create", params).await["conversation"]);
        members.insert(from);
        let group = Conversation::new(id, from, &members, self.steps, self.now);
        self.conversations.push(Conversation { closed, title: Some("a group".into()), ..group });
    }

    async fn call(
        &self,
        user: User,
        index: usize,
        method: &str,
        mut params: Value,
    ) -> Result<Value, ErrorBody> {
        params["conversation"] = self.conversations[index].id.as_str().into();
        self.house().call(user, method, params).await
    }

    async fn act(&mut self, user: User, index: usize, act: Act) {
        let (now, step) = (self.now, self.steps);
        match act {
            Act::Send => self.send(user, index).await,
            Act::Edit { of } => {
                let text = format!("text {}", self.sent.len());
                let said = self.conversations[index].edit(user, of, &text, now);
                self.write(user, index, ("messages.edit", json!({"of": of, "text": text})), said).await;
            }
            Act::Delete { of } => {
                let said = self.conversations[index].delete(user, of, now);
                self.write(user, index, ("messages.delete", json!({"of": of})), said).await;
            }
            Act::Mark { version } => {
                let answer =
                    self.call(user, index, "conversations.mark_read", json!({"version": version})).await;
                let said = self.conversations[index].mark(user, version);
                if let Some((answer, read)) = agree(answer, said) {
                    assert_eq!(answer["read"], read);
                }
            }
            Act::Pull { after, limit } => self.pull(user, index, after, limit).await,
            Act::Get => {
                let answer = self.call(user, index, "conversations.get", json!({})).await;
                let conversation = &self.conversations[index];
                let member = conversation.members.get(user).map(|_| ()).ok_or(ErrorCode::NotFound);
                if let Some((answer, ())) = agree(answer, member) {
                    shows(&answer, conversation, user);
                }
            }
            Act::Add { whom } => {
                let whom = names(&whom);
                let answer = self.call(user, index, "members.add", json!({"users": whom})).await;
                let said = self.conversations[index].add(user, &whom, step);
                if let Some((answer, count)) = agree(answer, said) {
                    assert_eq!(answer["members"], count);
                }
            }
            Act::Remove { whom } => self.remove(user, index, names(&whom)).await,
            Act::Leave => self.remove(user, index, BTreeSet::from([user])).await,
            Act::Rename { title } => {
                let title = format!("title {title}");
                let answer = self.call(user, index, "conversations.update", json!({"title": title})).await;
                let said = self.conversations[index].rename(user, &title, now);
                if let Some((answer, ())) = agree(answer, said) {
                    shows(&answer, &self.conversations[index], user);
                }
            }
            Act::Own { label, muted } => {
                let label = if label == 0 { String::new() } else { format!("label {label}") };
                let params = json!({"label": label, "muted": muted});
                let answer = self.call(user, index, "conversations.update", params).await;
                let said = self.conversations[index].own(user, &label, muted);
                if let Some((answer, ())) = agree(answer, said) {
                    shows(&answer, &self.conversations[index], user);
                }
            }
        }
    }

    async fn remove(&mut self, user: User, index: usize, whom: BTreeSet<User>) {
        let answer = self.call(user, index, "members.remove", json!({"users": whom})).await;
        let said = self.conversations[index].remove(user, &whom);
        if let Some((answer, count)) = agree(answer, said) {
            assert_eq!(answer["members"], count);
        }
    }

    async fn send(&mut self, user: User, index: usize) {
        let text = format!("text {}", self.sent.len());
        let said = self.conversations[index].append(user, "message", &text, self.now);
        self.write(user, index, ("messages.send", json!({"text": text})), said).await;
    }

    /// A call with a key, whose answer the model knows.
    async fn write(
        &mut self,
        user: User,
        index: usize,
        (method, mut params): (&'static str, Value),
        said: Said<u64>,
    ) {
        params["conversation"] = self.conversations[index].id.as_str().into();
        params["key"] = fresh_key().into();
        let answer = self.house().call(user, method, params.clone()).await;
        if let Some((answer, version)) = agree(answer, said) {
            assert_eq!(answer["version"], version, "dense");
            self.sent.push((user, method, params, answer, index));
        }
    }

    /// The same key gives the same answer, to whoever is still a member.
    async fn repeat(&self, nth: usize) {
        let Some((user, method, params, answer, index)) = self.sent.get(nth) else { return };
        let again = self.house().call(user, method, params.clone()).await;
        let member = self.conversations[*index].members.get(user).map(|_| ()).ok_or(ErrorCode::NotFound);
        if let Some((again, ())) = agree(again, member) {
            assert_eq!(again, *answer);
        }
    }

    async fn pull(&self, user: User, index: usize, after: u64, limit: u64) {
        let answer = self.call(user, index, "messages.list", json!({"after": after, "limit": limit})).await;
        let conversation = &self.conversations[index];
        let member = conversation.members.get(user).map(|_| ()).ok_or(ErrorCode::NotFound);
        let Some((answer, ())) = agree(answer, member) else { return };
        let seen = answer["messages"].as_array().unwrap();
        let (after, limit) = (usize::try_from(after).unwrap(), usize::try_from(limit).unwrap());
        let expected: Vec<_> = conversation.log.iter().skip(after).take(limit).collect();
        assert_eq!(answer["more"], after + seen.len() < conversation.log.len());
        assert_eq!(seen.len(), expected.len());
        for (seen, expected) in seen.iter().zip(expected) {
            assert_eq!((&seen["kind"], &seen["from"]), (&json!(expected.kind), &json!(expected.from)));
            assert_eq!(
                (&seen["text"], seen["deleted"] == true),
                (&json!(expected.shown()), expected.deleted)
            );
            assert_eq!(seen.get("of").and_then(Value::as_u64), expected.of);
        }
    }

    /// One page; answers whether there are more.
    async fn ask(&mut self, user: User, limit: u64) -> bool {
        let client = self.clients.entry(user).or_default();
        let params = json!({"limit": limit, "cursor": client.cursor});
        let page = self.house.as_ref().unwrap().ok(user, "topics.changes", params).await;
        assert!(page.get("reset").is_none(), "the store is the same all the time");
        let topics = page["topics"].as_object().unwrap();
        let gone = page.get("gone").map_or(&[][..], |gone| gone.as_array().unwrap());
        assert!(topics.len() + gone.len() <= usize::try_from(limit).unwrap());
        for (topic, version) in topics {
            let known = client.versions.entry(topic.clone()).or_insert(0);
            *known = version.as_u64().unwrap().max(*known);
        }
        for topic in gone {
            client.versions.remove(topic.as_str().unwrap());
        }
        client.cursor = Some(text_of(&page["cursor"]));
        page["more"] == true
    }

    /// One page of what changed in the list; answers whether there are more.
    async fn since(&mut self, user: User, limit: u64) -> bool {
        let house = self.house.as_ref().unwrap();
        let phone = self.phones.entry(user).or_default();
        let Some(cursor) = &phone.cursor else {
            // The first time: a position, and then the whole list.
            let page = house.ok(user, "topics.changes", json!({"limit": 1_000})).await;
            phone.cursor = Some(text_of(&page["cursor"]));
            let all = house.ok(user, "conversations.list", json!({"limit": 200})).await;
            let all = all["conversations"].as_array().unwrap();
            phone.list = all.iter().map(|shown| (text_of(&shown["conversation"]), shown.clone())).collect();
            return true;
        };
        let page =
            house.ok(user, "conversations.list", json!({"limit": limit, "changed_since": cursor})).await;
        assert!(page.get("reset").is_none());
        for shown in page["conversations"].as_array().unwrap() {
            phone.list.insert(text_of(&shown["conversation"]), shown.clone());
        }
        for id in page["gone"].as_array().unwrap() {
            phone.list.remove(id.as_str().unwrap());
        }
        phone.cursor = Some(text_of(&page["cursor"]));
        page["more"] == true
    }

    async fn list(&self, user: User) {
        let page = self.house().ok(user, "conversations.list", json!({"limit": 200})).await;
        let shown = page["conversations"].as_array().unwrap();
        let own = self.conversations.iter().filter(|c| c.members.contains_key(user));
        let mut expected: Vec<&Conversation> = own.collect();
        expected.sort_by(|a, b| (b.changed, &b.id).cmp(&(a.changed, &a.id)));
        assert_eq!(shown.len(), expected.len());
        for (shown, expected) in shown.iter().zip(expected) {
            shows(shown, expected, user);
        }
    }

    async fn check(&mut self) {
        for user in USERS {
            while self.ask(user, 2).await {}
            let own = self.conversations.iter().filter(|c| c.members.contains_key(user));
            let truth: BTreeMap<String, u64> =
                own.map(|c| (format!("conversation:{}", c.id), c.log.len() as u64)).collect();
            assert_eq!(self.clients[user].versions, truth, "what {user} knows");
            self.list(user).await;
            while self.since(user, 2).await {}
            let list = &self.phones[user].list;
            let own = self.conversations.iter().filter(|c| c.members.contains_key(user));
            assert_eq!(own.clone().count(), list.len(), "what {user}'s phone shows");
            for conversation in own {
                shows(&list[&conversation.id], conversation, user);
            }
        }
    }
}

/// Whether a conversation is shown to a member as the model has it.
fn shows(shown: &Value, conversation: &Conversation, user: User) {
    let member = &conversation.members[user];
    assert_eq!(shown["conversation"], conversation.id.as_str());
    assert_eq!(shown["version"], conversation.log.len());
    assert_eq!(shown["unread"], conversation.unread(user), "{user} in {conversation:?}");
    assert_eq!(shown["read"], member.read);
    assert_eq!((&shown["title"], &shown["muted"]), (&json!(conversation.title), &json!(member.muted)));
    assert_eq!(shown.get("label").and_then(Value::as_str), member.label.as_deref());
    let owner = (!conversation.pair).then_some(conversation.owner);
    assert_eq!(shown.get("owner").and_then(Value::as_str), owner);
    assert_eq!(shown["member_count"], conversation.members.len());
    assert_eq!(shown["members"], json!(conversation.members.keys().collect::<Vec<_>>()));
    assert_eq!(shown["last"].get("text").cloned().unwrap_or_default(), json!(conversation.last_text()));
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
                phones: BTreeMap::new(),
                sent: Vec::new(),
                pairs: BTreeMap::new(),
                now: 0,
                steps: 0,
            };
            for op in ops {
                run.step(op).await;
            }
            run.check().await;
        });
    }
}
