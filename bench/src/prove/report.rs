//! How a verdict is told: a page to look at, and lines for the terminal.
//!
//! Map: [`page`] the page; [`timeline`] what happened when, as one picture; [`spread`] how long hints took; [`series`] the numbers
//! behind both; [`terminal`] the lines; [`words`] figures for people.

mod page;
mod series;
mod spread;
mod terminal;
mod timeline;
mod words;

pub use page::html;
pub use terminal::print;
