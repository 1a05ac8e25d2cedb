//! Random operations and time: a back-end and an obvious reference answer alike and look alike after each step.
//!
//! A failure prints its shortest form; its seed is kept in `model.proptest-regressions` and tried first from then on.
//! `PROPTEST_CASES=10000` looks for longer.

#[path = "model/channels.rs"]
mod channels;
#[path = "harness/memory.rs"]
mod harness;
#[path = "model/op.rs"]
mod op;
#[path = "model/play.rs"]
mod play;
#[path = "harness/redis.rs"]
mod redis;
#[path = "model/reference.rs"]
mod reference;
#[expect(dead_code, reason = "what torments a server is for the tests of faults")]
#[path = "harness/server.rs"]
mod server;

use std::cell::RefCell;

use doorbell_backplane::conformance::Harness;
use play::Sights;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

const OPS_MAX: usize = 150;

/// proptest's default; a run of fewer, asked for by hand, is not asked what it has seen.
const CASES_WHOLE: u32 = 256;
/// What a run must have seen, each at least so often.
const SIGHTS_MIN: u64 = 25;
const SIGHTS: [&str; 24] = [
    "hint true",
    "hint false",
    "claim with resync, with entries (false, false)",
    "claim with resync, with entries (false, true)",
    "claim with resync, with entries (true, true)",
    "settle Acked { requeued: false, online: false }",
    "settle Acked { requeued: false, online: true }",
    "settle Acked { requeued: true, online: false }",
    "settle Acked { requeued: true, online: true }",
    "settle Delayed",
    "settle Stale",
    "enter Registered",
    "enter LeaseLapsed",
    "renewed true",
    "renewed false",
    "swept true",
    "online true",
    "online false",
    "look with changes, with more (None, false)",
    "look with changes, with more (Some(false), false)",
    "look with changes, with more (Some(true), false)",
    "look with changes, with more (Some(true), true)",
    "delayed, with dead letters (true, false)",
    "delayed, with dead letters (true, true)",
];

/// Plays a fraction of the cases asked for: of all, one in `among`.
fn agrees_with_the_reference<H: Harness>(among: u32) {
    let regressions = FileFailurePersistence::Direct("tests/model.proptest-regressions");
    let config = Config::default();
    let cases = config.cases / among;
    let config = Config { failure_persistence: Some(Box::new(regressions)), cases, ..config };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sights = RefCell::new(Sights::new());
    let outcome = TestRunner::new(config).run(&proptest::collection::vec(op::op(), 1..OPS_MAX), |ops| {
        runtime.block_on(async {
            let mut play = play::Play::<H>::new().await;
            for op in &ops {
                play.step(op).await;
            }
            for (sight, count) in play.sights {
                *sights.borrow_mut().entry(sight).or_default() += count;
            }
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let sights = sights.into_inner();
    let whole_run = cases >= CASES_WHOLE;
    for sight in SIGHTS.into_iter().filter(|_| whole_run) {
        let count = sights.get(sight).copied().unwrap_or(0);
        assert!(count >= SIGHTS_MIN, "the runs proved too little: {sight} came {count} times in {sights:#?}");
    }
}

#[test]
fn memory_agrees_with_the_reference() {
    agrees_with_the_reference::<harness::MemoryHarness>(1);
}

/// A step costs dozens of calls there.
const REDIS_CASES_AMONG: u32 = 8;

#[test]
fn redis_agrees_with_the_reference() {
    let server = server::Server::start(&[]);
    redis::use_servers(vec![server.url()]);
    agrees_with_the_reference::<redis::RedisHarness>(REDIS_CASES_AMONG);
}

#[test]
fn a_redis_cluster_agrees_with_the_reference() {
    let cluster = server::Cluster::start();
    redis::use_servers(cluster.urls());
    agrees_with_the_reference::<redis::RedisHarness>(REDIS_CASES_AMONG);
}
