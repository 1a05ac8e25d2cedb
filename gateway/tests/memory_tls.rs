//! A slow client costs a constant over TLS, too. Alone in its process, for it measures the memory of that process.

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
#[path = "sessions/secure.rs"]
mod secure;
#[path = "slow/slow.rs"]
mod slow;

use crate::rig::Rig;
use crate::secure::Secure;

#[tokio::test]
async fn a_tls_client_that_never_reads_costs_a_constant_and_delays_nobody() {
    let (rig, secure) = (Rig::new(), Secure::new());
    let (slow, quick) = (secure.session(&rig, "ada").await, secure.session(&rig, "ada").await);
    slow::costs_a_constant_and_delays_nobody(rig, slow, quick).await;
}
