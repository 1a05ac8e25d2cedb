//! The binary from outside: its command line, its files, its HTTP, its end.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod command_line;
mod drain;
mod http;
mod metrics_page;
mod rig;
mod secure;
mod starts;
mod tls;
mod tokens;
