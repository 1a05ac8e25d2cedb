//! Back ends of the operator's own, over HTTP: one that answers in place of the message service, and a webhook that hears
//! who was to be rung and had no session.
//!
//! This crate owns what goes out over HTTP and what its answers mean. It keeps nothing that must survive it, and decides
//! nothing about users, topics or messages: that is the upstream's.
//!
//! The way of a call: its name is checked, a free place and the breaker are asked, `POST {url}/{method}` goes out with the
//! user in a header, a bearer secret and the parameters as JSON; the answer is read within its limits, becomes a result or
//! an error object, and the breaker learns how it went.
//!
//! The way of a report: users gather for a window, each once with merged news; what is due, and not muted, goes out in signed
//! batches, each tried until it is taken or too old.
//!
//! Invariants:
//! - **UP-1** A client reaches methods and nothing else: a name is a path's last segment as it stands, and
//!   `topics.authorize` is the gateways' question.
//! - **UP-2** Every request has a deadline, every answer a largest size, and the requests under way are bounded; a call that
//!   finds no place is refused at once. One user holds an eighth of the places, and the gateways' questions have their own.
//! - **UP-3** An upstream that does not answer is spared: after some failures, a few probes at a time go out. While it
//!   answers anything, a method of it that does not spares nobody anything.
//! - **UP-4** No request is sent twice for one call: the upstream's own keys make a client's repeat harmless.
//! - **UP-5** No log and no error shows a secret, a parameter, a result or a user.
//! - **UP-6** Reporting never waits. What the hook has no room for is dropped, the oldest first, and counted.
//! - **UP-7** The hook reports nothing that its user has muted, and nothing older than `age_max`.
//!
//! Map: [`upstream`] who answers calls; `exchange` a call as a request; `answer` statuses and bodies to results; `breaker`
//! when to spare it; `places` how much may be under way; [`hook`] the offline hook; [`http`] one request and its answer, for whoever asks somebody; `address` where it goes; [`secret`];
//! [`config`], [`error`], [`metrics`].

mod address;
mod answer;
mod breaker;
pub mod config;
pub mod error;
mod exchange;
pub mod hook;
pub mod http;
pub mod metrics;
mod places;
pub mod secret;
pub mod upstream;

pub use config::Config;
pub use error::Error;
pub use hook::{Hook, HookHandle};
pub use metrics::Metrics;
pub use secret::Secret;
pub use upstream::{Parts, Upstream};
