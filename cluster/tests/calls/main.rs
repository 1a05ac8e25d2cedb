//! Calls find their way: owners of topics, gateways by name, whoever has the store.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod channels;
mod membership;
mod rig;
mod ways;
