//! The methods of the client protocol: names, parameters and their limits, results, and all of it described.

pub mod describe;
pub mod method;
pub mod params;
pub mod reply;

pub use method::{Method, Named};
