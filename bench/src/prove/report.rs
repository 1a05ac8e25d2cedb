//! How a verdict is told: a page to look at, and lines for the terminal.
//!
//! Map: [`page`] the page; [`timeline`] what happened when, as one picture; [`spread`] how long hints took; [`series`] the numbers
//! behind both; [`terminal`] the lines; [`outcome`] a verdict in few words.

mod outcome;
mod page;
mod series;
mod spread;
mod terminal;
mod timeline;

pub use page::html;
pub use terminal::print;
