//! What an idle session costs, in bytes that are live on the heap: a property of the product, like any promise (GW-3).
//!
//! Each test opens thousands of sessions over pipes in memory, which are counted alone before, and taken off. What is
//! left is all that a gateway keeps of somebody who is authenticated, registered and silent: the session, its task, the
//! user's name, its places in the index and in the sweep's wheel. Not in it: tokio's registration of a socket, what the
//! allocator adds, and the kernel's part; `docs/performance.md` has those, weighed on real sockets.
//!
//! A test that fails here has found what a change costs with a million sessions. The bounds may be raised for a reason
//! that is worth it, and are lowered with each diet.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the parts are shared with the test `fan_out`")]

#[path = "idle/crowd.rs"]
mod crowd;
#[path = "idle/elsewhere.rs"]
mod elsewhere;

use allocation_counter::{AllocationInfo, measure};
use crowd::{Crowd, Speech};
use doorbell_protocol::Encoding;

/// The session (104 bytes), what its lock guards (128, and 120 in a release build), its task (128) and the user's name (36)
/// are 396; the rest are its places in the index and in the wheel, with the room in which those grow. Some 8 bytes are chance: which shards fill.
const BYTES_MAX: i64 = 496;
/// The session, what its lock guards, its task, the user's name.
const ALLOCATIONS: i64 = 4;

/// The same, and some 2,330 bytes that rustls keeps of a connection. No buffer is among them.
const TLS_BYTES_MAX: i64 = 2_872;
const TLS_ALLOCATIONS: i64 = 10;

/// Enough to fill what is allocated once.
const WARM_UP: usize = 500;

/// Opens so many sessions, and holds what one costs against the bound.
fn weigh(speech: Speech, sessions: usize, bytes_max: i64, allocations: i64) {
    let runtime = crowd::runtime();
    let mut crowd = Crowd::new(speech, &runtime);
    runtime.block_on(crowd.join(WARM_UP));
    let wires = measure(|| runtime.block_on(crowd.connect_only(sessions)));
    let all = measure(|| runtime.block_on(crowd.join(sessions)));

    let each = |of: fn(&AllocationInfo) -> i64| (of(&all) - of(&wires)) / i64::try_from(sessions).unwrap();
    let (bytes, count) = (each(|info| info.bytes_current), each(|info| info.count_current));
    println!("{sessions} idle sessions, {speech:?}: {bytes} bytes in {count} allocations each");
    assert!(
        bytes <= bytes_max,
        "an idle session ({speech:?}) costs {bytes} bytes of heap, and may cost {bytes_max}: look at the fields of \
         `Session` and `SessionTask` (gateway/src/session.rs, session/state.rs, session/task.rs), at what the index \
         (local/shard.rs) and the wheel (sweep.rs) keep of it, and at the table in docs/performance.md, \"Memory\""
    );
    assert_eq!(
        count, allocations,
        "allocations of an idle session ({speech:?}): each costs 8 to 24 bytes more than it asks for. Which of its \
         boxes is not given back when it rests?"
    );
}

#[test]
fn an_idle_session_in_json_costs_few_bytes() {
    weigh(Speech::Plain(Encoding::Json), 10_000, BYTES_MAX, ALLOCATIONS);
}

#[test]
fn an_idle_session_in_messagepack_costs_few_bytes() {
    weigh(Speech::Plain(Encoding::MsgPack), 10_000, BYTES_MAX, ALLOCATIONS);
}

/// A tenth of them: the handshakes take the time. What rustls keeps of a connection is nearly all.
#[test]
fn an_idle_session_in_tls_costs_what_rustls_keeps() {
    weigh(Speech::Tls, 1_000, TLS_BYTES_MAX, TLS_ALLOCATIONS);
}
