//! What an idle session costs: user memory of this process, measured from outside the allocator.
//!
//! `cargo bench -p doorbell-gateway --bench idle`. Sessions of as many users as sessions, opened one after the other,
//! welcomed, idle. Resident memory with the system's allocator, so it holds everything of ours: task, session, index,
//! registry entry of the memory back-end, tokio's socket registration. The kernel's own part is not in it.

#[path = "crowd/crowd.rs"]
mod crowd;
#[allow(dead_code, clippy::unwrap_used, reason = "the doubles are the tests' own, and steered there")]
#[path = "../tests/sessions/neighbours.rs"]
mod neighbours;

use crowd::{Crowd, files_max, runtime};
use tokio::runtime::Runtime;

/// Enough to fill what is allocated once: buffers, tables, the runtime's own.
const WARM_UP: usize = 500;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel says it");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).expect("a number") * 1024
}

fn main() {
    let sessions = (files_max().saturating_sub(4 * WARM_UP + 200) / 4).min(9_000);
    let runtime = runtime();
    let mut crowd = Crowd::new(&runtime);
    measure(&mut crowd, &runtime, "plain", sessions);
    crowd.speak_tls();
    measure(&mut crowd, &runtime, "TLS", sessions);
}

fn measure(crowd: &mut Crowd, runtime: &Runtime, how: &str, sessions: usize) {
    crowd.join(runtime, (0..WARM_UP).map(|number| format!("early-{how}-{number}")));
    let before = resident_bytes();
    crowd.join(runtime, (0..sessions).map(|number| format!("{how}-{number}")));
    let each = resident_bytes().saturating_sub(before) / sessions;
    println!("{sessions} idle sessions, {how}: {each} bytes of user memory each");
}
