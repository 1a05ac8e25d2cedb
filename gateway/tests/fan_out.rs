//! A fan-out allocates for the hint and not for each of those whom it tells.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the parts are shared with the test `idle`")]

#[path = "idle/crowd.rs"]
mod crowd;
#[path = "idle/elsewhere.rs"]
mod elsewhere;

use allocation_counter::measure;
use crowd::{Crowd, Speech};
use doorbell_protocol::{Encoding, Hint, TopicId, Version};

const FOLLOWERS: usize = 10_000;
/// A hint's topics and its bytes for each of the 256 classes whose pulls are apart; and some for the walk, whose list of sessions grows by
/// doubling, and for the call.
const ALLOCATIONS_MAX: u64 = 2 * 256 + 100;

fn group(version: u64) -> Hint {
    Hint { topic: TopicId::new("group:everybody").unwrap(), version: Version::new(version).unwrap() }
}

fn allocates_little(encoding: Encoding) {
    let runtime = crowd::runtime();
    let mut crowd = Crowd::following(group(1_000), Speech::Plain(encoding), &runtime);
    runtime.block_on(crowd.join(FOLLOWERS));
    // The pipes grow.
    for version in [2_000, 3_000] {
        runtime.block_on(crowd.publish(&group(version), 1));
    }
    runtime.block_on(crowd.pause());
    let once = measure(|| runtime.block_on(crowd.publish(&group(4_000), 1)));
    runtime.block_on(crowd.pause());
    // While one fan-out runs: those who are reached late hear of the newest.
    let often = measure(|| runtime.block_on(crowd.publish(&group(5_000), 6)));
    let counts = (once.count_total, often.count_total);
    println!(
        "{FOLLOWERS} followers, {encoding:?}: {counts:?} allocations for one publish and for six in a row"
    );
    assert!(
        once.count_total <= ALLOCATIONS_MAX && often.count_total <= ALLOCATIONS_MAX,
        "{counts:?} allocations for one publish to {FOLLOWERS} followers and for six in a row, at most {ALLOCATIONS_MAX} a fan-out: what \
         is made for each session, or anew for each version? See `Notices` in gateway/src/fanout/runner.rs"
    );
}

#[test]
fn a_fan_out_in_json_allocates_for_the_hint_and_not_for_each_follower() {
    allocates_little(Encoding::Json);
}

#[test]
fn a_fan_out_in_messagepack_allocates_for_the_hint_and_not_for_each_follower() {
    allocates_little(Encoding::MsgPack);
}
