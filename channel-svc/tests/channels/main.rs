//! What publishers and gateways see of the channel service.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod publish;
mod restore;
mod rig;
mod silence;
mod subscribe;
