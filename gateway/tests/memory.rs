//! A slow client costs a constant. Alone in its process, for it measures the memory of that process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the parts are shared with the tests in `sessions`")]

#[path = "sessions/client.rs"]
mod client;
#[path = "sessions/doubles.rs"]
mod doubles;
#[path = "sessions/neighbours.rs"]
mod neighbours;
#[path = "sessions/rig.rs"]
mod rig;
#[path = "slow/slow.rs"]
mod slow;

use crate::rig::Rig;

#[tokio::test]
async fn a_client_that_never_reads_costs_a_constant_and_delays_nobody() {
    let rig = Rig::new();
    let (slow, quick) = (rig.session("ada").await, rig.session("ada").await);
    slow::costs_a_constant_and_delays_nobody(rig, slow, quick).await;
}
