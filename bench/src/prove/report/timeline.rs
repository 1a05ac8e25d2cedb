//! What happened when: sends, hint latency and sessions over time, with faults as bands.

use std::fmt::Write as _;

use super::series::Series;
use crate::prove::history::{Micros, Phase};
use crate::prove::judge::evidence::Evidence;
use crate::prove::progress::phase_name;
use crate::words::escaped;

const WIDTH: f64 = 960.0;
/// Room for the numbers at the left.
const LEFT: f64 = 52.0;
/// Height of one chart, and of what stands above the first one.
const CHART: f64 = 110.0;
const TOP: f64 = 42.0;
/// From one chart to the next.
const PITCH: f64 = CHART + 34.0;
const CHARTS: [&str; 3] = ["acknowledged sends a second", "hint latency, ms (median, p99)", "sessions"];

/// The picture, as SVG that takes its colours from the page.
pub fn svg(evidence: &Evidence, series: &Series) -> String {
    let height = TOP + PITCH * 3.0 + 4.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Sends, hint latency and sessions over time; faults are shaded\">"
    );
    let end = evidence.end.max(1);
    bands(&mut svg, evidence, end);
    let chart = |number: usize| PITCH.mul_add(number_of(number), TOP);
    let some = |values: &[f64]| values.iter().map(|value| Some(*value)).collect::<Vec<_>>();
    for (number, lines) in [
        (0, vec![("a", some(&series.sends)), ("bad", risen(&series.unsure))]),
        (1, vec![("soft", series.p99.clone()), ("a", series.median.clone())]),
        (2, vec![("a", some(&series.sessions))]),
    ] {
        let scale = if number == 1 { Scale::logarithmic(&lines) } else { Scale::linear(&lines) };
        axis(&mut svg, chart(number), CHARTS[number], &scale);
        for (class, values) in &lines {
            line(&mut svg, chart(number), (class, values), &scale, (series.step, end));
        }
    }
    times(&mut svg, evidence, end, height);
    svg.push_str("</svg>");
    svg
}

#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
const fn number_of(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
fn x(at: Micros, end: Micros) -> f64 {
    LEFT + (WIDTH - LEFT - 4.0) * (at as f64 / end as f64)
}

/// Only where there is something, and the way up to it and down again: a line along the bottom says nothing.
fn risen(values: &[f64]) -> Vec<Option<f64>> {
    let above = |at: usize| values.get(at).is_some_and(|value| *value > 0.0);
    let near = |at: usize| above(at) || above(at + 1) || at.checked_sub(1).is_some_and(above);
    values.iter().enumerate().map(|(at, value)| near(at).then_some(*value)).collect()
}

fn bands(svg: &mut String, evidence: &Evidence, end: Micros) {
    let bottom = PITCH.mul_add(2.0, TOP) + CHART;
    for fault in &evidence.faults {
        let (from, to) = (x(fault.begin, end), x(fault.end, end));
        let _ = write!(
            svg,
            "<rect class=\"fault\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            (to - from).max(1.5),
            bottom - TOP,
            escaped(&fault.what)
        );
    }
}

/// A vertical scale: from a value to a part of the height.
struct Scale {
    top: f64,
    logarithmic: bool,
}

/// The lowest latency of a logarithmic scale, in milliseconds.
const LOWEST: f64 = 0.1;

impl Scale {
    fn most(lines: &[(&str, Vec<Option<f64>>)]) -> f64 {
        lines.iter().flat_map(|(_, values)| values).flatten().copied().fold(0.0, f64::max)
    }

    fn linear(lines: &[(&str, Vec<Option<f64>>)]) -> Self {
        let most = Self::most(lines).max(1.0);
        let decade = 10_f64.powf(most.log10().floor());
        let top = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|part| part * decade).find(|top| *top >= most);
        Self { top: top.unwrap_or(most), logarithmic: false }
    }

    fn logarithmic(lines: &[(&str, Vec<Option<f64>>)]) -> Self {
        let top = 10_f64.powf(Self::most(lines).max(1.0).log10().ceil());
        Self { top, logarithmic: true }
    }

    fn part(&self, value: f64) -> f64 {
        if self.logarithmic {
            ((value.max(LOWEST) / LOWEST).log10() / (self.top / LOWEST).log10()).clamp(0.0, 1.0)
        } else {
            (value / self.top).clamp(0.0, 1.0)
        }
    }

    fn marks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return vec![0.0, self.top / 2.0, self.top];
        }
        let mut marks = vec![LOWEST];
        while marks.last().is_some_and(|last| last * 9.9 < self.top) {
            marks.push(marks[marks.len() - 1] * 10.0);
        }
        marks
    }
}

fn axis(svg: &mut String, y: f64, name: &str, scale: &Scale) {
    let _ = write!(svg, "<text class=\"name\" x=\"{LEFT}\" y=\"{:.1}\">{name}</text>", y - 7.0);
    for mark in scale.marks() {
        let at = (1.0 - scale.part(mark)).mul_add(CHART, y);
        let shown = if mark >= 1.0 || mark == 0.0 { format!("{mark:.0}") } else { format!("{mark:.1}") };
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"mark\" x=\"{:.0}\" y=\"{:.1}\">{shown}</text>",
            WIDTH - 4.0,
            LEFT - 6.0,
            at + 3.5
        );
    }
}

/// One line; where there is no value it breaks off.
fn line(
    svg: &mut String,
    y: f64,
    (class, values): (&str, &[Option<f64>]),
    scale: &Scale,
    (step, end): (Micros, Micros),
) {
    let (mut path, mut drawing) = (String::new(), false);
    for (at, value) in (0..).zip(values) {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let (x, y) = (x((at * step + step / 2).min(end), end), (1.0 - scale.part(*value)).mul_add(CHART, y));
        // A value without neighbours is a dot: a line of no length with a round end.
        let _ = if drawing { write!(path, "L{x:.1} {y:.1}") } else { write!(path, "M{x:.1} {y:.1}h.01") };
        drawing = true;
    }
    let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
}

/// The parts of the run above, and minutes and seconds below.
fn times(svg: &mut String, evidence: &Evidence, end: Micros, height: f64) {
    let begins: Vec<(Phase, f64)> = evidence.phases.iter().map(|(phase, at)| (*phase, x(*at, end))).collect();
    for (number, (phase, from)) in begins.iter().enumerate() {
        let _ = write!(
            svg,
            "<line class=\"phase\" x1=\"{from:.1}\" x2=\"{from:.1}\" y1=\"4\" y2=\"{:.0}\"/>",
            height - 22.0
        );
        // A short part's name would stand on the next one's.
        let name = phase_name(*phase);
        let room = begins.get(number + 1).map_or(WIDTH, |(_, next)| *next) - from;
        if room > 6.0f64.mul_add(number_of(name.len()), 6.0) {
            let _ = write!(svg, "<text class=\"phase\" x=\"{:.1}\" y=\"9\">{name}</text>", from + 3.0);
        }
    }
    let seconds = end / 1_000_000;
    let every = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600]
        .into_iter()
        .find(|every| seconds / every <= 12)
        .unwrap_or(1_800);
    // The last one would be cut off at the edge.
    let whole = |second: &u64| x(second * 1_000_000, end) < WIDTH - 16.0;
    for second in (0..=seconds).step_by(usize::try_from(every).unwrap_or(1)).filter(whole) {
        let _ = write!(
            svg,
            "<text class=\"time\" x=\"{:.1}\" y=\"{:.1}\">{}:{:02}</text>",
            x(second * 1_000_000, end),
            height - 4.0,
            second / 60,
            second % 60
        );
    }
}
