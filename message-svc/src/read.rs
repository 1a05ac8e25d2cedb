//! Pulls: what a caller may see of the store, in pages. Everything here blocks and runs on a thread for that.

pub mod audiences;
pub mod changes;
pub mod cursor;
pub mod listing;
pub mod mutes;
pub mod pull;
pub mod since;
pub mod size;
pub mod statuses;
