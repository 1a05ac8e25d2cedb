//! What dies, stands still or refuses: calls end by their deadline, none is a success, and all comes back by itself.

use std::collections::HashSet;
use std::time::Duration;

use doorbell_backplane::{Error, HintQueue as _, LeaseRenewal, Redis, Registry as _};
use doorbell_protocol::{GatewayId, UserId};
use redis::Value;
use tokio::time::{Instant, interval_at};

use super::caller::{ack, claim, connect, enter, hint, identity, reason, ring, until, user};
use super::proxy::{Answers, Proxy};
use super::server::{Cluster, Server};

/// A deadline of a second, and what a busy machine adds.
const ENDED: Duration = Duration::from_secs(4);

/// Users of all partitions.
fn users(redis: &Redis) -> Vec<UserId> {
    let named = |partition| {
        let mut users = (0..).map(|n| user(&format!("user-{n}")));
        users.find(|user| redis.partitions().of(user) == partition).expect("endless")
    };
    redis.partitions().all().map(named).collect()
}

/// R2.
#[tokio::test]
async fn scripts_that_a_server_forgot_are_loaded_again() {
    let cluster = Cluster::start();
    let redis = connect(&cluster.urls()).await.unwrap();
    for user in users(&redis) {
        enter(&redis, &user).await.unwrap();
        hint(&redis, &user).await.unwrap();

        cluster.servers.iter().for_each(|server| drop(server.say(&["SCRIPT", "FLUSH"])));

        let claims = claim(&redis, &user).await.unwrap();
        ack(&redis, &claims[0]).await.unwrap();
    }
}

/// R2.
#[tokio::test]
async fn a_server_killed_and_started_empty_is_another_store() {
    let mut server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    let alice = user("alice");
    let home = redis.partitions().of(&alice);
    ring(&redis, &alice).await;
    let before = identity(&redis, home).await.unwrap();
    assert_eq!(identity(&redis, home).await.unwrap(), before);

    server.kill();
    let start = Instant::now();
    assert!(!reason(hint(&redis, &alice).await).is_empty());
    assert!(start.elapsed() < ENDED);
    server.restart();

    let after = until("it is back", async || identity(&redis, home).await).await;
    assert_ne!(after, before);
    assert_eq!(hint(&redis, &alice).await.unwrap().offline, std::slice::from_ref(&alice), "it knows nobody");
    ring(&redis, &alice).await;
}

/// R1: with a snapshot.
#[tokio::test]
async fn a_restart_without_loss_of_keys_is_another_store_as_well() {
    let mut server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    let home = redis.partitions().of(&user("alice"));
    let before = identity(&redis, home).await.unwrap();

    server.say(&["SAVE"]);
    server.restart();

    let after = until("it is back", async || identity(&redis, home).await).await;
    let marker = |identity: &str| identity.split('-').next().map(ToOwned::to_owned);
    assert_eq!(marker(&after), marker(&before), "the keys are there");
    assert_ne!(after, before);
}

#[tokio::test]
async fn a_killed_connection_costs_no_call() {
    let server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    ring(&redis, &user("alice")).await;
    for _ in 0..3 {
        server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        ring(&redis, &user("alice")).await;
    }
}

/// R5.
#[tokio::test]
async fn calls_end_by_their_deadline_while_a_server_stands_still() {
    let server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    ring(&redis, &user("alice")).await;

    server.signal("-STOP");
    let start = Instant::now();
    let said = reason(hint(&redis, &user("alice")).await);
    let took = start.elapsed();
    server.signal("-CONT");

    assert!(said.contains("1s") && took < ENDED, "{said} after {took:?}");
    until("it goes on", async || hint(&redis, &user("alice")).await).await;
}

/// R6.
#[tokio::test]
async fn a_full_server_refuses_news_gives_out_claims_and_recovers() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let redis = connect(&[server.url()]).await.unwrap();
    let (alice, bob) = (user("alice"), user("bob"));
    enter(&redis, &alice).await.unwrap();
    enter(&redis, &bob).await.unwrap();
    hint(&redis, &alice).await.unwrap();

    let home = redis.partitions().of(&alice);
    let gateway = GatewayId::new("full").unwrap();
    let lease = redis.take_lease(&gateway, home, Duration::from_secs(5)).await.unwrap();

    server.say(&["CONFIG", "SET", "maxmemory", "1"]);
    let said = reason(hint(&redis, &bob).await);
    let renewed = redis.renew_leases(&gateway, vec![(home, lease.epoch)], Duration::from_secs(5)).await;
    assert!(matches!(renewed.unwrap()[..], [LeaseRenewal::Renewed(_)]), "who is there stays there");
    let claims = claim(&redis, &alice).await.unwrap();
    ack(&redis, &claims[0]).await.unwrap();
    server.say(&["CONFIG", "SET", "maxmemory", "0"]);

    assert!(said.contains("OOM") || said.contains("maxmemory"), "{said}");
    assert_eq!(hint(&redis, &bob).await.unwrap().queued, 1);
}

/// R7: READONLY.
#[tokio::test]
async fn a_replica_is_no_success_until_it_is_a_primary() {
    let (primary, server) = (Server::start(&[]), Server::start(&[]));
    let redis = connect(&[server.url()]).await.unwrap();
    ring(&redis, &user("alice")).await;

    server.say(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    for _ in 0..3 {
        let said = reason(hint(&redis, &user("alice")).await);
        assert!(
            said.contains("read only") || said.contains("READONLY") || said.contains("LOADING"),
            "{said}"
        );
    }
    assert!(!reason(redis.depth().await).is_empty(), "what it reads there may be old");
    server.say(&["REPLICAOF", "NO", "ONE"]);

    until("it takes writes", async || hint(&redis, &user("alice")).await).await;
}

/// R7: BUSY.
#[tokio::test]
async fn a_busy_server_is_no_success() {
    let server = Server::start(&["--busy-reply-threshold", "50"]);
    let redis = connect(&[server.url()]).await.unwrap();
    ring(&redis, &user("alice")).await;
    let mut connection = server.connect().unwrap();
    let endless = std::thread::spawn(move || {
        redis::cmd("EVAL").arg("while true do end").arg(0).query::<()>(&mut connection)
    });

    let start = Instant::now();
    let said = refusal(&redis).await;
    assert!(start.elapsed() < ENDED, "{said}");
    until("the script is killed", async || {
        let mut connection = server.connect().expect("a busy server takes connections");
        redis::cmd("SCRIPT").arg("KILL").query::<String>(&mut connection)
    })
    .await;

    assert!(endless.join().expect("no panic").is_err());
    until("it goes on", async || hint(&redis, &user("alice")).await).await;
}

/// The endless script may begin a moment later than the first calls.
async fn refusal(redis: &Redis) -> Error {
    loop {
        if let Err(error) = hint(redis, &user("alice")).await {
            return error;
        }
    }
}

#[tokio::test]
async fn one_primary_of_a_cluster_takes_only_its_own_partitions_away() {
    let mut cluster = Cluster::start();
    let backend = connect(&cluster.urls()).await.unwrap();
    let redis = &backend;
    let users = users(redis);
    let mut before = Vec::new();
    for partition in redis.partitions().all() {
        before.push(identity(redis, partition).await.unwrap());
    }
    cluster.servers.iter().for_each(|server| {
        server.say(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    });

    cluster.servers[0].kill();
    let mut away = Vec::new();
    for user in &users {
        let start = Instant::now();
        away.push(hint(redis, user).await.is_err());
        assert!(start.elapsed() < ENDED);
    }
    cluster.servers[0].restart();

    let first_third = |user: &UserId| {
        let key = redis.key_of(user, "users");
        matches!(cluster.servers[1].say(&["CLUSTER", "KEYSLOT", &key]), Value::Int(slot) if slot < 16_384 / 3)
    };
    let expected: Vec<bool> = users.iter().map(first_third).collect();
    assert_eq!(away, expected);
    assert!(expected.contains(&true) && expected.contains(&false));
    for (partition, before) in redis.partitions().all().zip(before) {
        let after = until("all are back", async || identity(redis, partition).await).await;
        assert_eq!(after != before, away[partition.index()]);
    }
}

/// A server that stands still confirms what it gets: TCP sees nothing. Callers have deadlines of their own, shorter than
/// that of a call, and still the connection is used no more.
#[tokio::test]
async fn a_connection_that_leaves_callers_without_an_answer_is_given_up() {
    let server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    ring(&redis, &user("alice")).await;
    let before = clients(&server);

    server.signal("-STOP");
    // Less than the deadline of a call in these tests.
    let early = tokio::time::timeout(Duration::from_millis(700), hint(&redis, &user("alice"))).await;
    server.signal("-CONT");

    assert!(early.is_err());
    until("it goes on", async || hint(&redis, &user("alice")).await).await;
    assert!(clients(&server).is_disjoint(&before), "no connection of before is left");
}

/// Somebody was answered while the other one waited: a new connection would be slower still.
#[tokio::test]
async fn a_slow_connection_is_kept() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let redis = connect(&[proxy.url()]).await.unwrap();
    let (alice, bob) = (user("alice"), user("bob"));
    ring(&redis, &alice).await;
    let before = proxy.accepted();

    // The first answer comes after 700 ms. Who asks 300 ms after it waits behind it, and has 600 ms.
    proxy.set(Answers::Delay(Duration::from_millis(700)));
    let late = async {
        let mut begins = interval_at(Instant::now() + Duration::from_millis(300), ENDED);
        begins.tick().await;
        tokio::time::timeout(Duration::from_millis(600), hint(&redis, &bob)).await
    };
    let (first, late) = tokio::join!(hint(&redis, &alice), late);
    proxy.set(Answers::Pass);

    assert!(first.is_ok() && late.is_err());
    until("it goes on", async || hint(&redis, &alice).await).await;
    assert_eq!(proxy.accepted(), before, "no other connection is made");
}

#[tokio::test]
async fn a_caller_with_little_time_ends_no_try_to_connect_that_others_wait_for() {
    let server = Server::start(&[]);
    let redis = connect(&[server.url()]).await.unwrap();
    let alice = user("alice");
    ring(&redis, &alice).await;
    server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);

    // It takes connections and says nothing.
    server.signal("-STOP");
    for _ in 0..3 {
        let hasty = tokio::time::timeout(Duration::from_millis(100), hint(&redis, &alice)).await;
        assert!(hasty.is_err(), "it waits, and is not refused for what became of the one before: {hasty:?}");
    }
    server.signal("-CONT");

    hint(&redis, &alice).await.unwrap();
}

/// The numbers of the connections that calls came by.
fn clients(server: &Server) -> HashSet<String> {
    let redis::Value::BulkString(list) = server.say(&["CLIENT", "LIST"]) else { panic!("a list") };
    let list = String::from_utf8_lossy(&list).into_owned();
    let evals = list.lines().filter(|line| line.contains("cmd=evalsha") || line.contains("cmd=eval"));
    evals.filter_map(|line| line.split(' ').next().map(ToOwned::to_owned)).collect()
}
