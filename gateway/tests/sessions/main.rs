//! What clients and notifiers see of a gateway, over real loopback sockets and the memory back-end.
//!
//! Silence, deadlines and expiry go by clocks that the tests move; nothing here waits for time to pass.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod canary;
mod client;
mod doubles;
mod drain;
mod eras;
mod eviction;
mod fanout;
mod follow;
mod leases;
mod limits;
mod neighbours;
mod presence;
mod refollow;
mod rig;
mod secure;
mod session;
mod signals;
mod start_order;
mod subscribe;
mod tls;
