//! The Redis back-end shows what every back-end must show, on one server and on a Cluster of three primaries.

#[path = "redis/bell.rs"]
mod bell;
#[path = "redis/buckets.rs"]
mod buckets;
#[path = "redis/caller.rs"]
mod caller;
#[path = "redis/connecting.rs"]
mod connecting;
#[path = "redis/faults.rs"]
mod faults;
#[path = "harness/redis.rs"]
mod harness;
#[path = "redis/lost.rs"]
mod lost;
#[path = "harness/proxy.rs"]
mod proxy;
#[path = "harness/server.rs"]
mod server;
#[path = "redis/unreadable.rs"]
mod unreadable;

use std::panic::{AssertUnwindSafe, catch_unwind};

use doorbell_backplane::conformance::{self, CASES};
use server::{Cluster, Server};

/// Runs all cases, each on keys of its own, and names those that failed.
fn every_case(urls: Vec<String>) {
    harness::use_servers(urls);
    let failed: Vec<&str> = CASES
        .iter()
        .copied()
        .filter(|case| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let run = conformance::run::<harness::RedisHarness>(case);
            catch_unwind(AssertUnwindSafe(|| runtime.block_on(run))).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), CASES.len());
}

#[test]
fn every_case_holds_on_one_server() {
    let server = Server::start(&[]);
    every_case(vec![server.url()]);
}

#[test]
fn every_case_holds_on_a_cluster() {
    let cluster = Cluster::start();
    every_case(cluster.urls());
}
