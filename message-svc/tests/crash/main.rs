//! Kills a writing process again and again (K1 to K4): every acknowledged message is there, densely, once.
//!
//! It is a program of its own, without the test harness, because it starts itself as the process to be killed. A kill
//! leaves the kernel's memory alone: this proves the recovery, not the fsync.

#![expect(clippy::unwrap_used, reason = "a test, without the harness that tells clippy so")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::Memory;
use doorbell_message_svc::{Config, MessageService, Metrics, Neighbours};
use doorbell_protocol::{Clock, Encoding, Payload, Timestamp, UserId};
use doorbell_rpc::{CallRequest, LocalGateways, Messages, NoChannels};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Senders of one process, each with a conversation that it shares with the next one.
const SENDERS: usize = 16;
/// Times that a process is killed.
const ROUNDS: usize = 6;
const CHILD: &str = "--be-killed";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == CHILD) {
        Some(at) => child(Path::new(&arguments[at + 1]), &arguments[at + 2]),
        None => parent(),
    }
}

fn open(dir: &Path) -> Arc<MessageService> {
    let clock: Clock = Arc::new(|| Timestamp::from_millis(1_700_000_000_000));
    let queue = Arc::new(Memory::new(&doorbell_backplane::Config::default(), clock.clone()));
    // Small tables, so that some are written out while the process is killed.
    let shards = const { NonZeroU16::new(2).unwrap() };
    let config = Config {
        shards,
        throttle_messages: 0,
        throttle_conversations: 0,
        memtable_bytes: 1 << 20,
        ..Config::default()
    };
    let metrics = Arc::new(Metrics::register(&prometheus::Registry::new()).unwrap());
    let neighbours = Neighbours {
        queue: Arc::clone(&queue) as _,
        channels: Arc::new(NoChannels),
        registry: Arc::clone(&queue) as _,
        versions: queue,
        buckets: None,
        gateways: Arc::<LocalGateways>::default(),
        offline: None,
    };
    MessageService::open(config, dir, clock, neighbours, metrics).unwrap()
}

/// Repeats a call while the service says that it may be repeated, as a client does.
async fn call(service: &MessageService, user: &str, method: &str, params: &Value) -> Value {
    let user = UserId::new(user).unwrap();
    let params = Payload::encode(Encoding::Json, params);
    let request = CallRequest { caller: user.into(), method: method.into(), params };
    let mut again = tokio::time::interval(Duration::from_millis(50));
    loop {
        again.tick().await;
        match service.call(request.clone()).await {
            Ok(result) => return result.parse().unwrap(),
            Err(error) => assert!(error.retry_after_ms.is_some(), "{error:?}"),
        }
    }
}

fn user(sender: usize) -> String {
    format!("user-{}", sender % SENDERS)
}

/// The text under a sender's number: long, and its own.
fn text(sender: usize, number: u64) -> String {
    format!("{sender}/{number} ").repeat(300)
}

/// Sends from the given numbers on, and says so on standard output, until it is killed.
fn child(dir: &Path, numbers: &str) {
    let service = open(dir);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let service = service.clone();
            async move { service.run(CancellationToken::new()).await.unwrap() }
        });
        for (sender, number) in numbers.split(',').enumerate() {
            let (service, first) = (service.clone(), number.parse::<u64>().unwrap());
            tasks.spawn(async move {
                for number in first.. {
                    let key = format!("{sender}-{number}");
                    let params = json!({"to": user(sender + 1), "key": key, "text": text(sender, number)});
                    let sent = call(&service, &user(sender), "messages.send", &params).await;
                    let conversation = sent["conversation"].as_str().unwrap();
                    let line = format!("{sender} {number} {conversation} {}\n", sent["version"]);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
}

#[derive(Default)]
struct Seen {
    /// The number that each sender has to send next: the one that was under way is sent again.
    next: Vec<u64>,
    /// What was acknowledged: conversation and version, to sender and number.
    acknowledged: BTreeMap<(String, u64), (usize, u64)>,
}

impl Seen {
    fn read(&mut self, line: &str) {
        let mut fields = line.split(' ');
        let mut field = || fields.next().unwrap();
        let (sender, number): (usize, u64) = (field().parse().unwrap(), field().parse().unwrap());
        let (conversation, version) = (field().to_owned(), field().parse().unwrap());
        self.next[sender] = number + 1;
        let before = self.acknowledged.insert((conversation, version), (sender, number));
        assert!(before.is_none_or(|before| before == (sender, number)), "two messages at one version");
    }

    fn round(&mut self, dir: &Path, acks: usize) {
        let next: Vec<String> = self.next.iter().map(u64::to_string).collect();
        let mut child = start(dir, &next.join(","));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..acks {
            let line = lines.next().expect("the child is alive").unwrap();
            self.read(&line);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it was killed counts; a line cut short does not exist for a client either.
        for line in lines.map_while(Result::ok).filter(|line| line.split(' ').count() == 4) {
            self.read(&line);
        }
    }
}

fn start(dir: &Path, next: &str) -> Child {
    let program: PathBuf = std::env::current_exe().unwrap();
    Command::new(program).arg(CHILD).arg(dir).arg(next).stdout(Stdio::piped()).spawn().unwrap()
}

fn parent() {
    let seed: u64 = rand::random();
    println!("crash: seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Seen { next: vec![0; SENDERS], ..Seen::default() };
    for _ in 0..ROUNDS {
        seen.round(dir.path(), random.random_range(1..600));
    }

    let service = open(dir.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found = runtime.block_on(everything(&service));
    for (place, message) in &seen.acknowledged {
        assert_eq!(found.get(place), Some(message), "{place:?} was acknowledged");
    }
    let mut once: Vec<_> = found.values().collect();
    once.sort_unstable();
    assert!(once.windows(2).all(|two| two[0] != two[1]), "a message is there twice");
    println!("crash: {} acknowledged, {} found, {ROUNDS} kills: ok", seen.acknowledged.len(), found.len());
}

/// Every message of every conversation, by conversation and version.
async fn everything(service: &MessageService) -> BTreeMap<(String, u64), (usize, u64)> {
    let mut found = BTreeMap::new();
    for sender in 0..SENDERS {
        let list = call(service, &user(sender), "conversations.list", &json!({})).await;
        for conversation in list["conversations"].as_array().unwrap() {
            let id = conversation["conversation"].as_str().unwrap();
            let mut after = 0;
            loop {
                let params = json!({"conversation": id, "after": after, "limit": 500});
                let page = call(service, &user(sender), "messages.list", &params).await;
                for message in page["messages"].as_array().unwrap() {
                    after += 1;
                    assert_eq!(message["version"], after, "dense");
                    let text_found = message["text"].as_str().unwrap();
                    let (from, number) = text_found.split(' ').next().unwrap().split_once('/').unwrap();
                    let (from, number): (usize, u64) = (from.parse().unwrap(), number.parse().unwrap());
                    assert_eq!(text_found, text(from, number), "whole");
                    found.insert((id.to_owned(), after), (from, number));
                }
                if page["more"] == false {
                    assert_eq!(conversation["version"], after, "the head is the log's end");
                    break;
                }
            }
        }
    }
    found
}
