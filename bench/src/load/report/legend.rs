//! Which line is whose.

use crate::load::trial::Side;

/// The class of a side's lines.
pub const fn class(side: Side) -> &'static str {
    match side {
        Side::Doorbell => "a",
        Side::Bare => "bare",
    }
}

/// What the lines of both sides are, where both are there.
pub fn sides(with_bare: bool) -> &'static str {
    if with_bare {
        "<i class=\"a\"></i> doorbell <i class=\"bare\"></i> bare loop"
    } else {
        "<i class=\"a\"></i> doorbell"
    }
}
