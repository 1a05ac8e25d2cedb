//! Holds client sockets.
pub mod auth;
pub mod ws;
