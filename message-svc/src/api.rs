//! The methods of the client protocol: names, parameters and their limits, results.

pub mod method;
pub mod params;
pub mod reply;

pub use method::{Method, Named};
