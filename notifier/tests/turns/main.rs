//! Turns from outside: the memory back-end, gateways that do as they are told, and a clock that is paused.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod faults;
mod offline;
mod rig;
mod worker;
