//! Holds client sockets.
pub mod auth;
pub mod handshake;
pub mod http;
pub mod listener;
pub mod ws;
