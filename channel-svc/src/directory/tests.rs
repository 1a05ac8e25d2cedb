//! The directory and its lines against plain maps: random words, publishes, ends and lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{GatewayId, Generation, Hint, TopicId, Version};
use doorbell_rpc::{ChannelLife, Subscription};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Directory, Taken, Told};
use crate::line::{Ended, Line};

const GATEWAYS: usize = 3;
const TOPICS: usize = 4;
/// Fewer than there are topics.
const TOPICS_MAX: usize = 3;
/// How long ends are remembered.
const AGE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
enum Op {
    Say {
        gateway: usize,
        topic: usize,
        generation: u64,
        followers: u32,
        version: u64,
    },
    Tell {
        topic: usize,
        version: u64,
    },
    /// Nobody follows it at the gateway.
    Leave {
        gateway: usize,
        topic: usize,
        up_to: u64,
    },
    /// What waits is taken to be sent.
    Take {
        gateway: usize,
    },
    /// It could not be sent.
    PutBack {
        gateway: usize,
    },
    /// The gateway is forgotten, something is said on its old line, and it comes back.
    Forget {
        gateway: usize,
        topic: usize,
    },
    Pass,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..GATEWAYS, 0..TOPICS, 0..6_u64, 0..3_u32, 0..6_u64).prop_map(
            |(gateway, topic, generation, followers, version)| {
                Op::Say { gateway, topic, generation, followers, version }
            }
        ),
        6 => (0..TOPICS, 1..8_u64).prop_map(|(topic, version)| Op::Tell { topic, version }),
        3 => (0..GATEWAYS, 0..TOPICS, 0..6_u64)
            .prop_map(|(gateway, topic, up_to)| Op::Leave { gateway, topic, up_to }),
        3 => (0..GATEWAYS).prop_map(|gateway| Op::Take { gateway }),
        2 => (0..GATEWAYS).prop_map(|gateway| Op::PutBack { gateway }),
        1 => (0..GATEWAYS, 0..TOPICS).prop_map(|(gateway, topic)| Op::Forget { gateway, topic }),
        2 => Just(Op::Pass),
    ]
}

/// What is held of one gateway for one topic; no followers: it has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PlainHeld {
    generation: u64,
    followers: u32,
    told: u64,
}

/// Keys are (topic, gateway).
#[derive(Default)]
struct Plain {
    held: BTreeMap<(usize, usize), PlainHeld>,
    /// Of topics for which something is held.
    versions: BTreeMap<usize, u64>,
    waiting: BTreeMap<(usize, usize), u64>,
    /// When which subscription ended, as of which generation.
    ended: Vec<(u32, (usize, usize), u64)>,
}

impl Plain {
    fn subscriptions(&self, gateway: usize) -> usize {
        self.held.iter().filter(|((_, own), held)| *own == gateway && held.followers > 0).count()
    }

    fn offer(&mut self, key: (usize, usize), version: u64) -> bool {
        let waits = self.waiting.contains_key(&key);
        let waiting = self.waiting.entry(key).or_default();
        *waiting = version.max(*waiting);
        waits
    }

    fn end(&mut self, key: (usize, usize), generation: u64, now: u32) {
        let before = self.held.insert(key, PlainHeld { generation, followers: 0, told: 0 });
        self.waiting.remove(&key);
        if before.is_some_and(|held| held.followers == 0 && held.generation == generation) {
            return;
        }
        if self.ended.iter().filter(|(_, (_, own), _)| *own == key.1).count() < TOPICS_MAX {
            self.ended.push((now, key, generation));
        } else {
            self.held.remove(&key);
        }
    }

    fn say(&mut self, key: (usize, usize), word: PlainHeld, now: u32) -> Taken {
        let before = self.held.get(&key).copied();
        if before.is_some_and(|held| word.generation < held.generation) {
            return Taken::Stale;
        }
        if word.followers == 0 {
            self.end(key, word.generation, now);
            return Taken::Ended;
        }
        let running = before.filter(|held| held.followers > 0);
        if running.is_none() && self.subscriptions(key.1) >= TOPICS_MAX {
            self.held.remove(&key);
            return Taken::Refused;
        }
        let known = self.versions.get(&key.0).copied().unwrap_or(0);
        let told = running.map_or(0, |held| held.told).max(word.told);
        if told < known {
            self.offer(key, known);
        }
        self.held.insert(key, PlainHeld { told: told.max(known), ..word });
        self.versions.insert(key.0, known);
        match running {
            _ if word.told > known => Taken::Newer,
            Some(_) => Taken::Current,
            None => Taken::Began,
        }
    }

    fn tell(&mut self, topic: usize, version: u64) -> Told {
        let mut told = Told::default();
        if let Some(known) = self.versions.get_mut(&topic) {
            *known = version.max(*known);
        }
        let keys: Vec<_> = self.held.keys().filter(|(own, _)| *own == topic).copied().collect();
        for key in keys {
            let held = self.held.get_mut(&key).unwrap();
            if held.followers > 0 && held.told < version {
                held.told = version;
                told.gateways += 1;
                told.conflated += usize::from(self.offer(key, version));
            }
        }
        told
    }

    /// Versions are known of topics for which something is held.
    fn tidy(&mut self) {
        for (topic, _) in self.held.keys() {
            self.versions.entry(*topic).or_insert(0);
        }
        self.versions.retain(|topic, _| self.held.keys().any(|(own, _)| own == topic));
    }
}

struct Play {
    directory: Directory,
    lines: Vec<Arc<Line>>,
    sent: Vec<Vec<Hint>>,
    plain: Plain,
    start: Instant,
    /// Seconds.
    now: u32,
    lives: u128,
}

fn topic(number: usize) -> TopicId {
    TopicId::new(format!("room:{number}")).unwrap()
}

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

impl Play {
    fn new() -> Self {
        let mut play = Self {
            directory: Directory::new(2.try_into().unwrap()),
            lines: Vec::new(),
            sent: vec![Vec::new(); GATEWAYS],
            plain: Plain::default(),
            start: Instant::now(),
            now: 0,
            lives: 0,
        };
        play.lines = (0..GATEWAYS).map(|gateway| play.line(gateway)).collect();
        play
    }

    fn line(&mut self, gateway: usize) -> Arc<Line> {
        let name = GatewayId::new(format!("g{gateway}")).unwrap();
        // Not in the order of their arrival.
        self.lives += 1;
        let life = ChannelLife(self.lives.wrapping_mul(0x9e37_79b9) % 1_000);
        Arc::new(Line::new(name, life, TOPICS_MAX, self.instant()))
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_secs(self.now.into())
    }

    fn say(&self, line: &Arc<Line>, on: usize, word: PlainHeld) -> Taken {
        let word = Subscription {
            topic: topic(on),
            generation: Generation(word.generation),
            followers: word.followers,
            version: version(word.told),
        };
        self.directory.take(line, &word, self.instant())
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Say { gateway, topic, generation, followers, version } => {
                let word = PlainHeld { generation, followers, told: version };
                let taken = self.say(&self.lines[gateway], topic, word);
                assert_eq!(taken, self.plain.say((topic, gateway), word, self.now));
            }
            Op::Tell { topic: on, version: number } => {
                let told = self.directory.tell(&topic(on), version(number));
                assert_eq!(told, self.plain.tell(on, number));
            }
            Op::Leave { gateway, topic: on, up_to } => {
                let now = self.instant();
                let left = self.directory.leave(&self.lines[gateway], &topic(on), Generation(up_to), now);
                let held = self.plain.held.get(&(on, gateway)).copied();
                let expected = held.is_some_and(|held| held.followers > 0 && held.generation <= up_to);
                if expected {
                    self.plain.end((on, gateway), up_to, self.now);
                }
                assert_eq!(left, expected);
            }
            Op::Take { gateway } => {
                self.sent[gateway] = self.lines[gateway].take_waiting();
                self.plain.waiting.retain(|(_, own), _| *own != gateway);
            }
            Op::PutBack { gateway } => self.put_back(gateway),
            Op::Forget { gateway, topic } => self.forget(gateway, topic),
            Op::Pass => self.pass(),
        }
        self.plain.tidy();
        self.compare();
    }

    fn put_back(&mut self, gateway: usize) {
        let hints = std::mem::take(&mut self.sent[gateway]);
        self.lines[gateway].put_back(&hints);
        for hint in hints {
            let on = (0..TOPICS).find(|number| topic(*number) == hint.topic).unwrap();
            if self.plain.held.get(&(on, gateway)).is_some_and(|held| held.followers > 0) {
                self.plain.offer((on, gateway), hint.version.get());
            }
        }
    }

    fn forget(&mut self, gateway: usize, on: usize) {
        let fresh = self.line(gateway);
        let old = std::mem::replace(&mut self.lines[gateway], fresh);
        self.sent[gateway].clear();
        assert!(old.forget_if_silent(self.instant() + AGE, Duration::ZERO));
        let word = PlainHeld { generation: 9, followers: 1, told: 0 };
        self.say(&old, on, word);
        self.say(&old, (on + 1) % TOPICS, PlainHeld { followers: 0, ..word });
        for topic in old.take_topics(usize::MAX) {
            self.directory.forget(old.life(), &topic);
        }
        for ended in old.take_ended(self.instant(), AGE, usize::MAX) {
            self.directory.bury(old.life(), &ended);
        }
        let other = |(_, own): &(usize, usize)| *own != gateway;
        self.plain.held.retain(|key, _| other(key));
        self.plain.waiting.retain(|key, _| other(key));
        self.plain.ended.retain(|(_, key, _)| other(key));
    }

    /// Some seconds pass, and what ended long ago is forgotten.
    fn pass(&mut self) {
        self.now += 6;
        for line in &self.lines {
            for ended in line.take_ended(self.instant(), AGE, usize::MAX) {
                self.directory.bury(line.life(), &ended);
            }
        }
        let old = |at: u32| u64::from(self.now - at) > AGE.as_secs();
        for (_, key, generation) in self.plain.ended.extract_if(.., |(at, ..)| old(*at)) {
            let over = |held: &PlainHeld| held.followers == 0 && held.generation == generation;
            if self.plain.held.get(&key).is_some_and(over) {
                self.plain.held.remove(&key);
            }
        }
    }

    fn compare(&self) {
        for number in 0..TOPICS {
            let own = self.plain.held.iter().filter(|((on, _), _)| *on == number);
            let followers: u64 = own.map(|(_, held)| u64::from(held.followers)).sum();
            assert_eq!(self.directory.followers(&topic(number)), followers, "followers of {number}");
        }
        assert_eq!(self.directory.topics(), self.plain.versions.len(), "topics held");
        for (gateway, line) in self.lines.iter().enumerate() {
            let own = self.plain.waiting.iter().filter(|((_, own), _)| *own == gateway);
            let waiting: BTreeMap<_, _> =
                own.map(|((on, _), number)| (topic(*on), version(*number))).collect();
            assert_eq!(line.waiting(), waiting, "what waits for {gateway}");
            assert_eq!(line.size(), (self.plain.subscriptions(gateway), waiting.len()));
        }
    }
}

proptest! {
    #[test]
    fn the_directory_agrees_with_plain_maps(ops in prop::collection::vec(op(), 1..120)) {
        let mut play = Play::new();
        for op in &ops {
            play.step(op);
        }
    }
}

#[test]
fn an_end_that_began_again_is_not_buried() {
    let mut play = Play::new();
    let word = |generation, followers| PlainHeld { generation, followers, told: 0 };
    play.say(&play.lines[0], 0, word(1, 0));
    play.say(&play.lines[0], 0, word(2, 3));
    play.now = 100;

    let ended = play.lines[0].take_ended(play.instant(), AGE, 10);
    assert_eq!(ended, [Ended { topic: topic(0), generation: Generation(1) }]);
    play.directory.bury(play.lines[0].life(), &ended[0]);

    assert_eq!(play.directory.followers(&topic(0)), 3);
}
