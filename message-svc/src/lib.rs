//! The truth that clients pull: conversations, messages, read marks.

mod announce;
mod api;
pub mod config;
mod conversation;
pub mod error;
mod inflight;
mod marks;
pub mod metrics;
mod read;
mod reader;
mod refusal;
pub mod service;
mod shard;
mod store;
mod throttle;
mod writer;

pub use config::Config;
pub use error::{BadRelation, Error};
pub use metrics::Metrics;
pub use service::MessageService;
