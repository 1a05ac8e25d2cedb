//! Answers that are lost or cut, and servers that are not the one of before: nothing is taken for done that is not, nothing
//! is done twice, and no caller gets what another one asked. The ids are those of `docs/faults.md`.

use std::time::Duration;

use doorbell_backplane::{HintQueue as _, Redis, Settled};
use doorbell_protocol::{Raise, TopicId, Version};
use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::caller::{ack, claim, connect, enter, hint, identity, reason, ring, until, user};
use super::proxy::{Answers, Proxy};
use super::server::{Server, until as until_true};

/// Longer than a call's deadline, short for a test.
const SHORT_LEASE: Duration = Duration::from_secs(3);

async fn behind_a_proxy(words: &[&str]) -> (Server, Proxy, Redis) {
    let server = Server::start(words);
    let proxy = Proxy::start(server.port).await;
    let redis = connect(&[proxy.url()]).await.expect("the server is there");
    (server, proxy, redis)
}

#[tokio::test]
async fn k5_a_hint_whose_answer_is_lost_is_queued_once_however_often_it_is_repeated() {
    let (_server, proxy, redis) = behind_a_proxy(&[]).await;
    let alice = user("alice");
    // The server knows all scripts from here on.
    ring(&redis, &alice).await;

    proxy.set(Answers::Lose);
    assert!(!reason(hint(&redis, &alice).await).is_empty());
    proxy.set(Answers::Pass);
    until("it is answered", async || hint(&redis, &alice).await).await;

    let claims = claim(&redis, &alice).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(ack(&redis, &claims[0]).await.unwrap(), [Settled::Acked { requeued: false, online: true }]);
    assert!(claim(&redis, &alice).await.unwrap().is_empty());
}

/// Nobody knows that they hold the claim: its lease gives it back. A settlement that was heard is not done again.
#[tokio::test]
async fn k5_a_claim_whose_answer_is_lost_is_given_back_by_its_lease() {
    let (_server, proxy, redis) = behind_a_proxy(&[]).await;
    let alice = user("alice");
    let home = redis.partitions().of(&alice);
    // The server knows all scripts from here on.
    ring(&redis, &alice).await;
    hint(&redis, &alice).await.unwrap();

    proxy.set(Answers::Lose);
    assert!(!reason(redis.claim(home, 10, SHORT_LEASE).await).is_empty());
    proxy.set(Answers::Pass);

    let depth = until("it is answered", async || redis.depth().await).await;
    assert_eq!((depth.ready, depth.claimed), (0, 1), "a ghost has it");
    let claims = until("the lease ends", async || match claim(&redis, &alice).await {
        Ok(claims) if !claims.is_empty() => Ok(claims),
        other => Err(other),
    })
    .await;

    proxy.set(Answers::Lose);
    assert!(!reason(ack(&redis, &claims[0]).await).is_empty());
    proxy.set(Answers::Pass);
    let again = until("it is answered", async || ack(&redis, &claims[0]).await).await;
    assert_eq!(again, [Settled::Stale], "it was settled, once");
    ring(&redis, &alice).await;
}

/// Many calls share a connection that breaks in the middle of an answer, at another byte each time. Whoever is answered is
/// answered what they asked.
#[tokio::test]
async fn r10_half_an_answer_ends_the_connection_and_shifts_no_other() {
    use doorbell_backplane::Versions as _;
    let (_server, proxy, redis) = behind_a_proxy(&[]).await;
    let topics: Vec<TopicId> = (1..=6).map(|n| TopicId::new(format!("t:{n}")).unwrap()).collect();
    let versions: Vec<Version> = (1..=6).map(|n| Version::new(n).unwrap()).collect();
    let raises = topics.iter().cloned().zip(versions.iter().map(|version| Raise::To(*version)));
    assert_eq!(redis.raise(raises.collect()).await.unwrap(), versions);

    let read = || async {
        let asked = topics.iter().zip(&versions).cycle().take(24);
        let answers =
            join_all(asked.map(async |(topic, version)| (redis.read(vec![topic.clone()]).await, version)));
        for (answer, version) in answers.await {
            let is_right = answer.as_ref().is_ok_and(|got| *got == [*version]);
            assert!(is_right || answer.is_err(), "{answer:?} for {version}");
        }
    };
    for bytes in 1..40 {
        proxy.set(Answers::CutAfter(bytes));
        read().await;
        proxy.set(Answers::Pass);
        let all = until("it is answered", async || redis.read(topics.clone()).await).await;
        assert_eq!(all, versions);
    }

    assert!(proxy.accepted() >= 40, "{} connections", proxy.accepted());
}

/// What is claimed stays claimed, by the token of before; who announces sees another store and says the last of it again.
#[tokio::test]
async fn r1_a_server_that_keeps_what_it_was_told_has_it_after_a_restart() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let redis = connect(&[server.url()]).await.unwrap();
    let (alice, bob) = (user("alice"), user("bob"));
    let home = redis.partitions().of(&alice);
    for user in [&alice, &bob] {
        enter(&redis, user).await.unwrap();
        hint(&redis, user).await.unwrap();
    }
    let claims = claim(&redis, &alice).await.unwrap();
    let alices = claims.iter().find(|claim| claim.user == alice).unwrap();
    let before = identity(&redis, home).await.unwrap();

    server.restart();

    let settled = until("it is back", async || ack(&redis, alices).await).await;
    assert_eq!(settled, [Settled::Acked { requeued: false, online: true }]);
    assert_ne!(identity(&redis, home).await.unwrap(), before);
    if !claims.iter().any(|claim| claim.user == bob) {
        assert_eq!(claim(&redis, &bob).await.unwrap().len(), 1);
    }
}

/// The replica has not heard of the claim. It offers the user again, under a token of its own, and refuses that of before.
#[tokio::test]
async fn r3_a_replica_that_lags_refuses_the_tokens_it_has_not_heard_of() {
    let primary = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let proxy = Proxy::start(primary.port).await;
    let redis = connect(&[proxy.url()]).await.unwrap();
    let alice = user("alice");
    enter(&redis, &alice).await.unwrap();
    hint(&redis, &alice).await.unwrap();
    until_true("the replica has heard of it", || {
        let said = |server: &Server| format!("{:?}", server.say(&["INFO", "replication"]));
        let linked = said(&replica).contains("master_link_status:up");
        (linked && primary.say(&["WAIT", "1", "100"]) == redis::Value::Int(1)).then_some(())
    });
    let before = identity(&redis, redis.partitions().of(&alice)).await.unwrap();
    until_true("of that as well", || {
        (primary.say(&["WAIT", "1", "100"]) == redis::Value::Int(1)).then_some(())
    });

    replica.say(&["REPLICAOF", "NO", "ONE"]);
    let lost = claim(&redis, &alice).await.unwrap();
    proxy.aim(replica.port);

    let after =
        until("the other one answers", async || identity(&redis, redis.partitions().of(&alice)).await).await;
    assert_ne!(after, before, "whoever announces says the last of it again");
    assert_eq!(ack(&redis, &lost[0]).await.unwrap(), [Settled::Stale]);
    let claims = claim(&redis, &alice).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(ack(&redis, &lost[0]).await.unwrap(), [Settled::Stale], "nor under the claim of now");
    assert_eq!(ack(&redis, &claims[0]).await.unwrap(), [Settled::Acked { requeued: false, online: true }]);
}

/// A primary that is cut off from its replicas takes nothing any more that a failover would lose.
#[tokio::test]
async fn r4_a_primary_without_its_replica_is_no_success() {
    let words = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"];
    let primary = Server::start(&words);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let redis = connect(&[primary.url()]).await.unwrap();
    until("the replica follows", async || enter(&redis, &user("alice")).await).await;

    replica.signal("-STOP");
    let said = refused(&redis).await;
    replica.signal("-CONT");

    assert!(said.contains("NOREPLICAS") || said.contains("replicas"), "{said}");
    until("it follows again", async || hint(&redis, &user("alice")).await).await;
}

/// Hints until that is refused.
async fn refused(redis: &Redis) -> String {
    let refusal = until("it refuses", async || match hint(redis, &user("alice")).await {
        Ok(report) => Err(report),
        Err(error) => Ok(error),
    });
    refusal.await.to_string()
}

#[tokio::test]
async fn r7_a_server_that_loads_is_no_success_until_it_has() {
    let server = Server::start(&["--loading-process-events-interval-bytes", "1024"]);
    let redis = connect(&[server.url()]).await.unwrap();
    ring(&redis, &user("alice")).await;
    server.say(&["DEBUG", "POPULATE", "4000"]);
    server.say(&["CONFIG", "SET", "key-load-delay", "500"]);
    let mut connection = server.connect().unwrap();
    let reload = std::thread::spawn(move || redis::cmd("DEBUG").arg("RELOAD").query::<()>(&mut connection));

    let said = refused(&redis).await;

    assert!(said.contains("loading") || said.contains("LOADING"), "{said}");
    until("it has loaded", async || hint(&redis, &user("alice")).await).await;
    assert!(reload.join().expect("no panic").is_ok());
}

#[tokio::test]
async fn r7_a_replica_whose_primary_is_down_is_no_success() {
    let server = Server::start(&["--replica-serve-stale-data", "no", "--replica-read-only", "no"]);
    let redis = connect(&[server.url()]).await.unwrap();
    ring(&redis, &user("alice")).await;

    server.say(&["REPLICAOF", "127.0.0.1", &super::server::free_port().to_string()]);
    let said = refused(&redis).await;
    server.say(&["REPLICAOF", "NO", "ONE"]);

    assert!(said.contains("MASTERDOWN") || said.contains("MASTER"), "{said}");
    until("it is a primary", async || hint(&redis, &user("alice")).await).await;
}

/// Workers whose clocks are apart are no matter: no time of theirs goes to the server, which asks its own.
#[tokio::test]
async fn k11_a_lease_goes_by_the_clock_of_the_server_alone() {
    let server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    // The server knows all scripts from here on.
    ring(&redis, &user("alice")).await;
    let mut monitor = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    monitor.write_all(b"MONITOR\r\n").await.unwrap();
    let mut lines = BufReader::new(monitor).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("+OK"));

    ring(&redis, &user("alice")).await;
    server.say(&["ECHO", "all-was-said"]);

    let (mut asked, mut scripts) = (0, 0);
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if line.contains("all-was-said") {
            break;
        }
        // +1700000000.123456 [0 127.0.0.1:1234] "EVALSHA" "..." "2" ...
        let (head, words) = line.split_once("] ").unwrap();
        let seconds: f64 = head.trim_start_matches('+').split('.').next().unwrap().parse().unwrap();
        if head.ends_with("lua") {
            asked += usize::from(words.to_lowercase().starts_with("\"time\""));
            continue;
        }
        scripts += usize::from(words.to_lowercase().starts_with("\"eval"));
        for word in words.split('"').filter_map(|word| word.parse::<f64>().ok()) {
            let near = [1.0, 1e3, 1e6].map(|unit| (word / unit - seconds).abs() < 86_400.0);
            assert!(!near.contains(&true), "a time of ours goes to the server: {line}");
        }
    }
    assert!(scripts >= 4 && asked == scripts, "{scripts} scripts asked the time {asked} times");
}
