//! How long something took, by percentile: the axis is logarithmic in 1 / (1 - p), so that the few that took longest have room.

use std::fmt::Write as _;

use super::legend;
use crate::load::spread::Summary;
use crate::load::trial::Side;
use crate::report::chart::{Frame, Scale, axis, line};
use crate::words::escaped;

const WIDTH: f64 = 480.0;
const FRAME: Frame = Frame { left: 58.0, right: 450.0, top: 12.0, height: 170.0 };
/// Powers of ten of 1 / (1 - p) at most: one of a million.
const DECADES_MAX: f64 = 6.0;
/// Parts of the width that the eye tells apart.
const APART: f64 = 0.001;

/// The picture of each side's times, as SVG that takes its colours from the page.
pub fn svg(name: &str, sides: &[(Side, &Summary)]) -> String {
    let height = FRAME.bottom() + 24.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}: time by percentile\">",
        escaped(name)
    );
    let all = || sides.iter().map(|(_, times)| times);
    let decades = decades(all().map(|times| times.count).max().unwrap_or(1));
    let least = all().map(|times| times.min_us).min().unwrap_or(1).max(1);
    let most = all().map(|times| times.max_us).max().unwrap_or(1).max(1);
    let scale = Scale::logarithmic(micros(least), micros(most));
    axis(&mut svg, &FRAME, "", &scale, time);
    percents(&mut svg, decades);
    // The server's line lies above the other.
    for (side, times) in sides.iter().rev() {
        let points = points(times, decades).into_iter().map(|(part, value)| (part, Some(value)));
        line(&mut svg, &FRAME, legend::class(*side), &scale, points);
    }
    svg.push_str("</svg>");
    svg
}

#[expect(clippy::cast_precision_loss, reason = "at most an hour")]
const fn micros(value: u64) -> f64 {
    value as f64
}

/// How many powers of ten there are to see.
#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
fn decades(count: u64) -> f64 {
    (count.max(1) as f64).log10().ceil().clamp(1.0, DECADES_MAX)
}

/// Where so many of all are, as a part of the width.
fn part(below: f64, decades: f64) -> f64 {
    (-(1.0 - below).max(1e-12).log10() / decades).clamp(0.0, 1.0)
}

/// Each time at the parts of the width from where it is the longest to where it is no longer that. Some that stand too close are left out.
#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
fn points(times: &Summary, decades: f64) -> Vec<(f64, f64)> {
    let (total, mut below) = (times.count.max(1) as f64, 0_u64);
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (value, count) in &times.values_us.0 {
        let is_last = below + count >= times.count;
        let from = part(below as f64 / total, decades);
        below += count;
        // All of them are within the longest: a line to infinity. It ends where one of a few more would be.
        let to = part(if is_last { 1.0 - 0.8 / total } else { below as f64 / total }, decades);
        for (at, is_needed) in [(from, false), (to, is_last)] {
            if is_needed || points.last().is_none_or(|(last, _)| at - last >= APART) {
                points.push((at, micros(*value)));
            }
        }
    }
    points
}

/// Below the picture: how many of 100, and a line for each.
fn percents(svg: &mut String, decades: f64) {
    // Where there are many, they stand close.
    let unit = if decades > 4.0 { "" } else { " %" };
    let mut left = 1.0;
    while left >= 10_f64.powf(-decades) * 0.9 {
        let (below, x) = (1.0 - left, FRAME.x(part(1.0 - left, decades)));
        // One more digit for each power of ten.
        let digits = (-f64::log10(left)).round().max(2.0) - 2.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some digits")]
        let shown = format!("{:.*}{unit}", digits as usize, below * 100.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{:.0}\"/>\
             <text class=\"time\" x=\"{x:.1}\" y=\"{:.0}\">{shown}</text>",
            FRAME.top,
            FRAME.bottom(),
            FRAME.bottom() + 17.0
        );
        left /= 10.0;
    }
}

/// A power of ten of microseconds, for people.
pub fn time(mark: f64) -> String {
    match mark {
        ..1e3 => format!("{mark:.0} µs"),
        ..1e6 => format!("{:.0} ms", mark / 1e3),
        _ => format!("{:.0} s", mark / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::spread::Spread;

    fn summary(values: impl Iterator<Item = u64>) -> Summary {
        let mut spread = Spread::default();
        values.for_each(|value| spread.record(value));
        spread.summary()
    }

    #[test]
    fn a_percentile_stands_where_the_share_that_is_longer_says() {
        let times = summary((1..=1_000).map(|number| number * 100));

        let points = points(&times, decades(times.count));

        for (share, value) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0), (0.999, 100_000.0)] {
            let at = part(share, 3.0);
            let next = points.iter().find(|(part, _)| *part >= at - 1e-9).unwrap();
            assert!((next.1 - value).abs() <= value / 100.0, "{share}: {next:?}");
        }
        assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "{points:?}");
        assert!(points.len() < 1_100, "{}", points.len());
        assert_eq!([0.9, 0.99, 0.999].map(|share| (part(share, 3.0) * 3.0).round()), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn both_sides_are_in_one_picture_and_one_value_is_a_picture_too() {
        let (slow, quick) = (summary((1..500).map(|number| number * 70)), summary([40].into_iter()));

        let svg = svg("ring to <session>", &[(Side::Doorbell, &slow), (Side::Bare, &quick)]);

        assert!(svg.contains("<path class=\"a\"") && svg.contains("<path class=\"bare\""), "{svg}");
        for text in
            ["ring to &lt;session&gt;", ">0 %<", ">90 %<", ">99 %<", ">99.9 %<", ">10 µs<", ">100 ms<"]
        {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn times_are_named_by_their_unit() {
        assert_eq!([10.0, 1e3, 1e5, 1e6, 1e9].map(time), ["10 µs", "1 ms", "100 ms", "1 s", "1000 s"]);
    }
}
