//! A measurement as a page to look at: what it came to, each distribution of times, and what happened when. It is drawn from what every
//! measurement tells, so a new one has it as well.
//!
//! Map: [`page`] the page; [`course`] what happened when; [`percentiles`] how long things took; [`legend`] who is who.

mod course;
mod legend;
mod page;
mod percentiles;

pub use page::html;
