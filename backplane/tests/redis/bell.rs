//! A ring in one process wakes a waiter in another.

use std::time::Duration;

use doorbell_backplane::{HintQueue as _, Redis, redis::Config};
use tokio::time::timeout;

use super::caller::{ack, claim, connect_with, enter, hint, until, user};
use super::harness::section;
use super::server::{Cluster, Server};

const ANSWERS: &str = "the server answers";

/// Rings until the other hears it; each ring anew, since one may be lost while it begins to listen.
async fn is_heard(ringer: &Redis, waiter: &Redis) {
    let alice = user("alice");
    let home = ringer.partitions().of(&alice);
    // Who begins to listen is told to look everywhere.
    for _ in ringer.partitions().all() {
        timeout(Duration::from_secs(10), waiter.bell()).await.expect("it begins to listen");
    }
    enter(ringer, &alice).await.expect(ANSWERS);

    let heard = async || {
        hint(ringer, &alice).await.expect(ANSWERS);
        let rung = timeout(Duration::from_millis(500), waiter.bell()).await;
        let claims = claim(ringer, &alice).await.expect(ANSWERS);
        ack(ringer, &claims[0]).await.expect(ANSWERS);
        rung.map(|partition| assert_eq!(partition, home))
    };
    until("the ring is heard", heard).await;
}

async fn two(section: Config) -> (Redis, Redis) {
    (connect_with(section.clone()).await.expect(ANSWERS), connect_with(section).await.expect(ANSWERS))
}

#[tokio::test]
async fn a_ring_passes_through_one_server_and_through_its_restart() {
    let mut server = Server::start(&[]);
    let (ringer, waiter) = two(section(&[server.url()])).await;
    is_heard(&ringer, &waiter).await;

    server.restart();

    until("it is back", async || ringer.depth().await).await;
    is_heard(&ringer, &waiter).await;
}

#[tokio::test]
async fn a_ring_passes_through_a_cluster() {
    let cluster = Cluster::start();
    let (ringer, waiter) = two(section(&cluster.urls())).await;
    is_heard(&ringer, &waiter).await;

    let (ringer, waiter) = two(section(&cluster.urls()[..1])).await;
    is_heard(&ringer, &waiter).await;
}
