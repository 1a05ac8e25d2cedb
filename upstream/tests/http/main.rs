//! An upstream that does as it is told, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod calls;
mod hook;
mod server;
