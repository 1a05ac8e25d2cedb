//! What the reports of this tool have in common: one file that needs nothing else, in light and dark, with pictures that are drawn here.
//!
//! Map: [`page`] the page around everything; [`chart`] scales, axes and lines of a picture.

pub mod chart;
pub mod page;
