//! The truth that clients pull: conversations, messages, read marks.

pub mod config;
pub mod error;
pub mod metrics;
pub mod service;

pub use config::Config;
pub use error::{BadRelation, Error};
pub use metrics::Metrics;
pub use service::MessageService;
