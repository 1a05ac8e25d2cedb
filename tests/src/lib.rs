//! Doorbell from outside: a harness that starts the real binary and speaks the protocol to it.
//!
//! This crate owns the end-to-end tests (`tests/e2e`), the test of dashboard and alerts (`tests/operations`) and the load tool (`bin/load.rs`). It knows the command line and
//! the wire, never the services' insides: what passes here would pass for a user. Browser tests live in
//! `tests/browser`, tests with other people's WebSocket libraries in `tests/clients`.
//!
//! Map: [`process`] start, signal and kill a `doorbell`; [`cluster`] a whole installation; [`links`] what can be cut; [`orders`] where one of its processes has to die; [`client`] one session that records what it hears; [`talk`] what people say over one; [`disk`] a
//! small file system that can be filled; [`minter`] tokens with claims; [`absent`] what a test does without something that it needs.

pub mod absent;
pub mod client;
pub mod cluster;
pub mod disk;
pub mod links;
pub mod minter;
pub mod orders;
pub mod process;
pub mod talk;

pub use client::{Client, Ended};
pub use cluster::{Cluster, Shape};
pub use disk::SmallDisk;
pub use minter::Minter;
pub use orders::Orders;
pub use process::{Doorbell, Options, api_key};
