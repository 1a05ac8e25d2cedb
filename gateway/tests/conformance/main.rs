//! What RFC 6455 and docs/protocol.md ask of a server, asked over raw TCP: listener, handshake and sessions as they
//! run in production, the registry in memory.
//!
//! The families follow the customary numbering: handshake, 1 to 4 frames, 5 and 10 fragments, 6 text, 7 closes,
//! 9 limits, and timers.

mod client;
#[allow(dead_code, clippy::unwrap_used, reason = "the doubles are steered by the tests in `sessions`")]
#[path = "../sessions/neighbours.rs"]
mod neighbours;
mod server;

mod closes;
mod fragments;
mod frames;
mod handshake;
mod limits;
mod text;
mod timers;
