//! What happened when: sends, hint latency and sessions over time, with faults as bands.

use std::fmt::Write as _;

use super::series::Series;
use crate::prove::history::Micros;
use crate::prove::judge::evidence::Evidence;
use crate::prove::progress::phase_name;
use crate::report::chart::{Frame, Scale, axis, clock, line, number, parts};
use crate::words::escaped;

const WIDTH: f64 = 960.0;
/// Room for the numbers at the left.
const LEFT: f64 = 52.0;
/// Height of one chart, and of what stands above the first one.
const CHART: f64 = 110.0;
const TOP: f64 = 42.0;
/// From one chart to the next.
const PITCH: f64 = CHART + 34.0;
/// The lowest latency of a logarithmic scale, in milliseconds.
const LOWEST: f64 = 0.1;

/// The picture, as SVG that takes its colours from the page.
pub fn svg(evidence: &Evidence, series: &Series) -> String {
    let height = PITCH.mul_add(2.0, TOP) + CHART + 24.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Sends, hint latency and sessions over time; faults are shaded\">"
    );
    let end = evidence.end.max(1);
    let frame = |number: f64| Frame {
        left: LEFT,
        right: WIDTH - 4.0,
        top: PITCH.mul_add(number, TOP),
        height: CHART,
    };
    bands(&mut svg, evidence, &frame(0.0), end);
    let some = |values: &[f64]| values.iter().map(|value| Some(*value)).collect::<Vec<_>>();
    for (place, name, lines) in [
        (
            0.0,
            "acknowledged sends a second",
            vec![("a", some(&series.sends)), ("bad", risen(&series.unsure))],
        ),
        (
            1.0,
            "hint latency, ms (median, p99)",
            vec![("soft", series.p99.clone()), ("a", series.median.clone())],
        ),
        (2.0, "sessions", vec![("a", some(&series.sessions))]),
    ] {
        let most = lines.iter().flat_map(|(_, values)| values).flatten().copied().fold(1.0, f64::max);
        let scale = if place == 1.0 { Scale::logarithmic(LOWEST, most) } else { Scale::linear(most) };
        let frame = frame(place);
        axis(&mut svg, &frame, name, &scale, number);
        for (class, values) in lines {
            let at = |step: Micros| part((step * series.step + series.step / 2).min(end), end);
            line(&mut svg, &frame, class, &scale, (0..).map(at).zip(values));
        }
    }
    let begins = evidence.phases.iter().map(|(phase, at)| (phase_name(*phase), part(*at, end)));
    parts(&mut svg, (4.0, &frame(2.0)), begins);
    clock(&mut svg, &frame(2.0), end, 12);
    svg.push_str("</svg>");
    svg
}

#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
fn part(at: Micros, end: Micros) -> f64 {
    at as f64 / end as f64
}

/// Only where there is something, and the way up to it and down again: a line along the bottom says nothing.
fn risen(values: &[f64]) -> Vec<Option<f64>> {
    let above = |at: usize| values.get(at).is_some_and(|value| *value > 0.0);
    let near = |at: usize| above(at) || above(at + 1) || at.checked_sub(1).is_some_and(above);
    values.iter().enumerate().map(|(at, value)| near(at).then_some(*value)).collect()
}

/// Faults, over all charts.
fn bands(svg: &mut String, evidence: &Evidence, first: &Frame, end: Micros) {
    for fault in &evidence.faults {
        let (from, to) = (first.x(part(fault.begin, end)), first.x(part(fault.end, end)));
        let _ = write!(
            svg,
            "<rect class=\"fault\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            (to - from).max(1.5),
            PITCH.mul_add(2.0, CHART),
            escaped(&fault.what)
        );
    }
}
