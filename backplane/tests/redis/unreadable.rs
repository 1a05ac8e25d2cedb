//! What cannot be read goes to the dead letters, its user is told resync once, and nobody behind it waits.

use std::time::Duration;

use doorbell_backplane::conformance::CHANNEL_TOPICS_MAX;
use doorbell_backplane::versions::ChangeCounter;
use doorbell_backplane::{Buckets as _, HintQueue, Redis, Registry as _, Settled, Versions};
use doorbell_protocol::{Raise, TopicId, UserId};
use redis::Value;

use super::caller::{ack, claim, connect, enter, hint, identity, ring, until, user};
use super::server::Server;

const SINCE: &str = "01767225600000";

const ANSWERS: &str = "the server answers";

async fn put(redis: &Redis, user: &UserId, words: &[&[u8]]) {
    let [verb, name, rest @ ..] = words else { panic!("a command") };
    let key = redis.key_of(user, std::str::from_utf8(name).expect(ANSWERS));
    redis.ask(&[&[*verb, key.as_bytes()], rest].concat()).await.expect(ANSWERS);
}

/// Two users of one partition, both online.
async fn two_online(server: &Server) -> (Redis, UserId, UserId) {
    let redis = connect(&[server.url()]).await.expect(ANSWERS);
    let alice = user("alice");
    let home = HintQueue::partitions(&redis).of(&alice);
    let bob = (0..)
        .map(|n| user(&format!("bob-{n}")))
        .find(|bob| HintQueue::partitions(&redis).of(bob) == home)
        .expect(ANSWERS);
    let entry = enter(&redis, &alice).await.expect(ANSWERS);
    let bobs = doorbell_backplane::Enter { user: bob.clone(), entry };
    redis.enter(vec![bobs]).await.expect(ANSWERS);
    (redis, alice, bob)
}

/// R8.
#[tokio::test]
async fn news_that_cannot_be_read_block_nobody_and_become_a_resync() {
    let server = Server::start(&[]);
    let mega = "x".repeat(1 << 20);
    let states = [
        "nonsense".to_owned(),
        String::new(),
        "Q".to_owned(),
        format!("Q0{SINCE}7"),
        "Q0xxxxxxxxxxxxxx0\nt:1\t1".to_owned(),
        format!("Q0{SINCE}0"),
        format!("Q0{SINCE}0\nt:1"),
        format!("Q0{SINCE}0\nt:1\tmany"),
        format!("Q0{SINCE}0\nt:1\t99999999999999999999"),
        format!("Q0{SINCE}0\nno topic\t1"),
        format!("Q0{SINCE}0\nt:{mega}\t1"),
    ];
    let mut states: Vec<Vec<u8>> = states.into_iter().map(String::into_bytes).collect();
    states.push([format!("Q0{SINCE}0\nt:").as_bytes(), b"\xff\xfe\t1"].concat());
    for state in states {
        let (redis, alice, bob) = two_online(&server).await;
        let shown = String::from_utf8_lossy(&state[..state.len().min(40)]).into_owned();
        put(&redis, &alice, &[b"HSET", b"users", b"alice", &state]).await;
        put(&redis, &alice, &[b"RPUSH", b"ready", b"alice"]).await;
        hint(&redis, &bob).await.unwrap();

        let mut told = Vec::new();
        for _ in 0..2 {
            for one in claim(&redis, &alice).await.unwrap() {
                ack(&redis, &one).await.unwrap();
                told.push((one.user, one.dirty.resync()));
            }
        }

        told.sort();
        assert_eq!(told, [(alice.clone(), true), (bob, false)], "{shown}");
        let depth = redis.depth().await.unwrap();
        assert_eq!(
            (depth.dead_letters, depth.ready + depth.claimed, depth.oldest),
            (1, 0, Duration::ZERO),
            "{shown}"
        );
        ring(&redis, &alice).await;
    }
}

#[tokio::test]
async fn a_hint_for_a_state_that_cannot_be_read_queues_its_user_with_resync() {
    let server = Server::start(&[]);
    let torn = format!("C0{SINCE}{}0\nt:1\t1\rtorn", "a".repeat(16));
    for state in ["nonsense", "C0", "D0", &torn] {
        let (redis, alice, _) = two_online(&server).await;
        put(&redis, &alice, &[b"HSET", b"users", b"alice", state.as_bytes()]).await;

        assert_eq!(hint(&redis, &alice).await.unwrap().queued, 1);

        let claims = claim(&redis, &alice).await.unwrap();
        assert!(claims.len() == 1 && claims[0].dirty.resync(), "{state}: {claims:?}");
        assert_eq!(redis.depth().await.unwrap().dead_letters, 1);
    }
}

/// R8. A claimed state whose end somebody else wrote: no news wait since a time that is none.
#[tokio::test]
async fn news_that_came_at_no_time_are_not_the_oldest_of_all() {
    let server = Server::start(&[]);
    for (torn, settled) in [
        ("abc", Settled::Stale),
        ("xxxxxxxxxxxxxx0\nt:1\t1", Settled::Acked { requeued: true, online: true }),
    ] {
        let (redis, alice, _) = two_online(&server).await;
        let home = HintQueue::partitions(&redis).of(&alice);
        let before = identity(&redis, home).await.unwrap();
        hint(&redis, &alice).await.unwrap();
        let held = redis.claim(home, 10, Duration::from_millis(50)).await.unwrap();
        let key = redis.key_of(&alice, "users");
        let state = redis.ask(&[b"HGET", key.as_bytes(), b"alice"]).await.unwrap();
        let Value::BulkString(state) = state else { panic!("a state") };
        put(&redis, &alice, &[b"HSET", b"users", b"alice", &[&state, torn.as_bytes()].concat()]).await;
        put(&redis, &alice, &[b"ZADD", b"ages", b"0", b"", b"0", b"never"]).await;
        put(&redis, &alice, &[b"HSET", b"counts", b"never", b"1"]).await;

        assert_eq!(ack(&redis, &held[0]).await.unwrap(), [settled]);

        assert!(redis.depth().await.unwrap().oldest < Duration::from_secs(60), "{torn:?}");
        let claims = until("it is buried", async || match claim(&redis, &alice).await {
            Ok(claims) if !claims.is_empty() => Ok(claims),
            other => Err(other),
        })
        .await;
        assert!(claims.len() == 1 && claims[0].dirty.resync(), "{claims:?}");
        ack(&redis, &claims[0]).await.unwrap();
        let depth = redis.depth().await.unwrap();
        assert_eq!((depth.dead_letters, depth.oldest), (1, Duration::ZERO), "{torn:?}");
        assert_eq!(identity(&redis, home).await.unwrap(), before, "nothing had to be mended");
    }
}

/// R8.
#[tokio::test]
async fn who_cannot_be_a_user_is_forgotten_and_who_has_no_news_is_skipped() {
    let server = Server::start(&[]);
    let (redis, alice, _) = two_online(&server).await;
    let mega = vec![b'x'; 1 << 20];
    for name in [&b"\xff\xfe"[..], b"", b"a\nb", &mega] {
        put(&redis, &alice, &[b"HSET", b"users", name, format!("Q0{SINCE}0\nt:1\t1").as_bytes()]).await;
        put(&redis, &alice, &[b"RPUSH", b"ready", name]).await;
    }
    put(&redis, &alice, &[b"RPUSH", b"ready", b"deleted"]).await;
    hint(&redis, &alice).await.unwrap();

    let claims = claim(&redis, &alice).await.unwrap();

    assert_eq!(claims.iter().map(|claim| &claim.user).collect::<Vec<_>>(), [&alice]);
    ack(&redis, &claims[0]).await.unwrap();
    let depth = redis.depth().await.unwrap();
    assert_eq!((depth.dead_letters, depth.ready, depth.claimed, depth.oldest), (4, 0, 0, Duration::ZERO));
}

#[tokio::test]
async fn a_user_who_stands_twice_in_the_ready_list_is_claimed_once() {
    let server = Server::start(&[]);
    let (redis, alice, _) = two_online(&server).await;
    hint(&redis, &alice).await.unwrap();
    put(&redis, &alice, &[b"RPUSH", b"ready", b"alice", b"alice"]).await;

    assert_eq!(claim(&redis, &alice).await.unwrap().len(), 1);
}

/// R8.
#[tokio::test]
async fn a_key_of_a_wrong_type_makes_the_partition_a_new_one() {
    let server = Server::start(&[]);
    let names = [
        "meta", "entries", "users", "ready", "leases", "delays", "ages", "counts", "gateways", "index",
        "versions", "changes", "buckets", "dead",
    ];
    for name in names {
        let (redis, alice, _) = two_online(&server).await;
        let home = HintQueue::partitions(&redis).of(&alice);
        hint(&redis, &alice).await.unwrap();
        let before = identity(&redis, home).await.unwrap();
        put(&redis, &alice, &[b"SET", name.as_bytes(), b"x"]).await;

        if name == "dead" {
            // It is met only when something is given up.
            put(&redis, &alice, &[b"HSET", b"users", b"alice", b"nonsense"]).await;
        }
        let topic = (0..).map(|n| TopicId::new(format!("t:{n}")).unwrap());
        let topic =
            topic.into_iter().find(|topic| HintQueue::partitions(&redis).of_topic(topic) == home).unwrap();
        redis.raise(vec![(topic, Raise::Next)]).await.unwrap();
        redis.depth().await.unwrap();
        redis.lapsed(home, 10).await.unwrap();
        redis.recall(home, 0, 10).await.unwrap();
        for one in claim(&redis, &alice).await.unwrap() {
            ack(&redis, &one).await.unwrap();
        }

        ring(&redis, &alice).await;
        assert_ne!(identity(&redis, home).await.unwrap(), before, "{name}");
        assert!(redis.depth().await.unwrap().dead_letters > 0, "{name}");
    }
}

#[tokio::test]
async fn a_count_that_is_none_stops_nobody() {
    let server = Server::start(&[]);
    let fields = [
        ("meta", "now"),
        ("meta", "epoch"),
        ("meta", "expiries"),
        ("meta", "dead"),
        ("meta", "counter"),
        ("meta", "forgotten"),
        ("gateways", "g1"),
        ("counts", ""),
    ];
    for (name, field) in fields {
        let (redis, alice, bob) = two_online(&server).await;
        hint(&redis, &alice).await.unwrap();
        let mut field = field.as_bytes().to_vec();
        if name == "counts" {
            let key = redis.key_of(&alice, name);
            let Value::Array(since) = redis.ask(&[b"HKEYS", key.as_bytes()]).await.unwrap() else {
                panic!("a list")
            };
            let Some(Value::BulkString(first)) = since.into_iter().next() else { panic!("a field") };
            field = first;
        }
        put(&redis, &alice, &[b"HSET", name.as_bytes(), &field, b"many"]).await;
        put(&redis, &alice, &[b"HSET", b"users", bob.as_str().as_bytes(), b"nonsense"]).await;

        // Each meets what is wrong, or does not; nobody is stopped.
        hint(&redis, &bob).await.unwrap();
        let topics: Vec<_> =
            (0..50).map(|n| (TopicId::new(format!("t:{n}")).unwrap(), Raise::Next)).collect();
        redis.raise(topics).await.unwrap();
        for one in claim(&redis, &alice).await.unwrap() {
            ack(&redis, &one).await.unwrap();
        }
        redis.depth().await.unwrap();
        ring(&redis, &alice).await;
    }
}

#[tokio::test]
async fn entries_that_cannot_be_read_make_the_partition_a_new_one() {
    let server = Server::start(&[]);
    for entries in [&b"nonsense"[..], b"\tg1\nshort", b"\xff", b""] {
        let (redis, alice, bob) = two_online(&server).await;
        let home = HintQueue::partitions(&redis).of(&alice);
        let before = identity(&redis, home).await.unwrap();
        put(&redis, &alice, &[b"HSET", b"entries", b"alice", entries]).await;

        let found = redis.look_up(vec![alice.clone(), bob.clone()]).await.unwrap();

        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
        assert_ne!(identity(&redis, home).await.unwrap(), before);
        ring(&redis, &alice).await;
    }
}

/// R8.
#[tokio::test]
async fn dead_letters_are_kept_for_an_operator_and_bounded() {
    let server = Server::start(&[]);
    let (redis, alice, _) = two_online(&server).await;
    for _ in 0..120 {
        put(&redis, &alice, &[b"HSET", b"users", b"alice", b"nonsense"]).await;
        hint(&redis, &alice).await.unwrap();
    }
    let key = redis.key_of(&alice, "dead");
    assert_eq!(redis.ask(&[b"LLEN", key.as_bytes()]).await.unwrap(), Value::Int(100));
    assert_eq!(redis.depth().await.unwrap().dead_letters, 120);
}

/// BP-7, where the counter of changes is lost: what was shown is a gap once, and then looks go on.
#[tokio::test]
async fn a_lost_counter_of_changes_is_one_gap() {
    let server = Server::start(&[]);
    for lost in [
        &[&b"HDEL"[..], b"meta", b"counter"][..],
        &[b"HSET", b"meta", b"counter", b"many"],
        &[b"DEL", b"meta"],
    ] {
        let (redis, alice, _) = two_online(&server).await;
        let home = HintQueue::partitions(&redis).of(&alice);
        let topics = (0..).map(|n| TopicId::new(format!("t:{n}")).unwrap());
        let mut topics = topics.filter(|topic| HintQueue::partitions(&redis).of_topic(topic) == home);
        let raise = |topic: TopicId| redis.raise(vec![(topic, Raise::Next)]);
        for topic in topics.by_ref().take(10) {
            raise(topic).await.unwrap();
        }
        let look = async |since| redis.look(vec![(home, since)], 100).await.unwrap().pop().unwrap();
        let seen = look(None).await.counter;
        assert_eq!(look(Some(seen)).await.changed, Some(Vec::new()));

        put(&redis, &alice, lost).await;
        let late = topics.next().unwrap();
        raise(late.clone()).await.unwrap();

        // Either it is shown, or a gap says that everything is to be read.
        let first = look(Some(seen)).await;
        assert!(first.changed.is_none_or(|shown| shown.iter().any(|hint| hint.topic == late)));
        let newest = first.counter;
        for _ in 0..3 {
            assert_eq!(look(Some(newest)).await.changed, Some(Vec::new()), "no gap again");
        }
        let last = topics.next().unwrap();
        raise(last.clone()).await.unwrap();
        let shown = look(Some(newest)).await.changed.expect("no gap");
        assert_eq!(shown.into_iter().map(|hint| hint.topic).collect::<Vec<_>>(), [last]);
    }
}

/// BP-7: the gap of a lost counter is one for whoever looks later as well, also where topics make room meanwhile.
#[tokio::test]
async fn the_gap_of_a_lost_counter_stays_while_topics_make_room() {
    let server = Server::start(&[]);
    let (redis, alice, _) = two_online(&server).await;
    let home = HintQueue::partitions(&redis).of(&alice);
    let topics = (0..).map(|n| TopicId::new(format!("t:{n}")).unwrap());
    let mut topics = topics.filter(|topic| HintQueue::partitions(&redis).of_topic(topic) == home);
    for topic in topics.by_ref().take(2 * CHANNEL_TOPICS_MAX.get() as usize) {
        redis.raise(vec![(topic, Raise::Next)]).await.unwrap();
    }
    let look = async |since| redis.look(vec![(home, since)], 100).await.unwrap().pop().unwrap();
    let seen = look(None).await.counter;
    let older = Some(ChangeCounter(seen.0 - 1));
    assert!(look(older).await.changed.is_some());

    put(&redis, &alice, &[b"HDEL", b"meta", b"counter"]).await;
    redis.raise(vec![(topics.next().unwrap(), Raise::Next)]).await.unwrap();

    assert_eq!(look(older).await.changed, None);
}

#[tokio::test]
async fn what_is_no_entry_of_ours_stops_no_sweep() {
    let server = Server::start(&[]);
    let (redis, alice, _) = two_online(&server).await;
    let home = HintQueue::partitions(&redis).of(&alice);
    let key = redis.key_of(&alice, "index");
    let Value::Array(members) = redis.ask(&[b"ZRANGE", key.as_bytes(), b"0", b"0"]).await.unwrap() else {
        panic!("a list")
    };
    let Some(Value::BulkString(member)) = members.into_iter().next() else { panic!("a member") };
    let mut foreign = member[..member.iter().position(|byte| *byte == b'\n').unwrap() + 17].to_vec();
    foreign.extend_from_slice(b"zz");
    put(&redis, &alice, &[b"ZADD", b"index", b"0", &foreign]).await;

    assert_eq!(redis.lapsed(home, 10).await.unwrap(), []);
    ring(&redis, &alice).await;
}
