//! How long hints took: how many passed each time, without a fault and around faults.

use std::fmt::Write as _;

use crate::prove::judge::verdict::{Latency, Spread};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 12.0;
const CHART: f64 = 150.0;
/// The bars' bounds in microseconds: ten of them a factor of ten, from 0.1 ms to 100 s.
const BARS: u32 = 60;

/// The picture, as SVG that takes its colours from the page.
pub fn svg(latency: &Latency) -> String {
    let height = TOP + CHART + 24.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"How long hints took, without a fault and around faults\">"
    );
    let all = [("calm", bars(&latency.calm)), ("faulty", bars(&latency.faulty))];
    let most = all.iter().flat_map(|(_, parts)| parts.iter().copied()).fold(0.0, f64::max).max(0.01);
    let width = (WIDTH - LEFT - 4.0) / f64::from(BARS);
    for (number, (class, parts)) in (0_u32..).zip(&all) {
        for (place, part) in (0_u32..).zip(parts).filter(|(_, part)| **part > 0.0) {
            let tall = (part / most * CHART).max(1.0);
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"><title>{:.1} %</title></rect>",
                (f64::from(place) + 0.5 * f64::from(number)).mul_add(width, LEFT) + 0.5,
                TOP + CHART - tall,
                width / 2.0 - 0.6,
                part * 100.0
            );
        }
    }
    for (decade, name) in ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s"].iter().enumerate() {
        let at = f64::from(u32::try_from(decade).unwrap_or(0) * 10).mul_add(width, LEFT);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.0}\"/>\
             <text class=\"time\" x=\"{at:.1}\" y=\"{:.0}\">{name}</text>",
            TOP + CHART,
            height - 6.0
        );
    }
    for (part, shown) in [(1.0, most), (0.5, most / 2.0)] {
        let _ = write!(
            svg,
            "<text class=\"mark\" x=\"{:.0}\" y=\"{:.1}\">{:.0} %</text>",
            LEFT - 6.0,
            CHART.mul_add(1.0 - part, TOP) + 4.0,
            shown * 100.0
        );
    }
    let _ = write!(
        svg,
        "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{:.0}\" y2=\"{:.0}\"/></svg>",
        WIDTH - 4.0,
        TOP + CHART,
        TOP + CHART
    );
    svg
}

/// The part of all hints in each bar.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a picture has a few hundred pixels"
)]
fn bars(spread: &Spread) -> Vec<f64> {
    let mut bars = vec![0.0; BARS as usize];
    let each = 1.0 / spread.sorted.len().max(1) as f64;
    for micros in &spread.sorted {
        let place = (f64::from((*micros).max(100)) / 100.0).log10() * 10.0;
        bars[(place as usize).min(BARS as usize - 1)] += each;
    }
    bars
}
