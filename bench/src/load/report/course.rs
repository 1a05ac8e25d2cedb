//! What happened when: sessions, hints, their lateness and CPU, second by second, of the server and of the bare loop from the beginning of
//! each.

use super::legend;
use super::percentiles::time;
use crate::load::timeline::{Sample, Timeline};
use crate::load::trial::Side;
use crate::report::chart::{Frame, Scale, axis, clock, line, parts};
use crate::words::escaped;

const WIDTH: f64 = 480.0;
const FRAME: Frame = Frame { left: 58.0, right: 474.0, top: 40.0, height: 110.0 };
/// Steps of a picture at most: a pixel each, or more.
const STEPS_MAX: usize = 360;

/// One line: its class, and its values from step to step.
type Line = (&'static str, Vec<Option<f64>>);

/// Whether there is anything to be seen.
pub fn is_told(timelines: &[Timeline]) -> bool {
    timelines.iter().any(|timeline| !timeline.seconds.is_empty())
}

/// Four pictures, each in its figure; two more where users were rung beside.
pub fn figures(timelines: &[Timeline]) -> String {
    let seconds = timelines.iter().map(|timeline| timeline.seconds.len()).max().unwrap_or(0).max(1);
    let step = seconds.div_ceil(STEPS_MAX);
    let course = Course { timelines, seconds, step };
    let hinted = timelines.iter().flat_map(|timeline| &timeline.seconds).any(|second| second.hints > 0);
    let (rate, late): (Chart, Chart) = if hinted {
        (
            Chart { name: "hints a second", of: |step| mean(step, |one| Some(number(one.hints))) },
            Chart { name: "99 of 100 hints within", of: |step| most(step, |one| one.late_p99_us) },
        )
    } else {
        (
            Chart { name: "welcomes a second", of: |step| mean(step, |one| Some(number(one.welcomed))) },
            Chart { name: "99 of 100 sessions within", of: |step| most(step, |one| one.welcome_p99_us) },
        )
    };
    let open = Chart { name: "sessions open", of: |step| step.last().map(|second| number(second.open)) };
    let mut cpu = course.lines(|step| mean(step, |second| second.server_cpu));
    let tool = course.values(Side::Doorbell, |step| mean(step, |second| second.tool_cpu));
    cpu.push(("toolcpu", tool));
    let mut pictures = vec![
        course.svg(open.name, &course.lines(open.of), Kind::Count),
        course.svg(rate.name, &course.lines(rate.of), Kind::Count),
        course.svg(late.name, &course.lines(late.of), Kind::Time),
    ];
    if timelines.iter().flat_map(|timeline| &timeline.seconds).any(|second| second.rings > 0) {
        let rings = course.lines(|step| mean(step, |one| Some(number(one.rings))));
        pictures.push(course.svg("rings a second", &rings, Kind::Count));
        let late = course.lines(|step| most(step, |one| one.late_ring_p99_us));
        pictures.push(course.svg("99 of 100 rings within", &late, Kind::Time));
    }
    pictures.push(course.svg("CPU, % of a core", &cpu, Kind::Count));
    pictures.iter().map(|svg| format!("<figure>{svg}</figure>")).collect()
}

struct Chart {
    name: &'static str,
    of: fn(&[Sample]) -> Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Count,
    Time,
}

struct Course<'a> {
    timelines: &'a [Timeline],
    /// The longer of both.
    seconds: usize,
    /// Seconds of a step.
    step: usize,
}

impl Course<'_> {
    /// A line for each side; the server's comes last, and lies above.
    fn lines(&self, of: fn(&[Sample]) -> Option<f64>) -> Vec<Line> {
        [Side::Bare, Side::Doorbell].map(|side| (legend::class(side), self.values(side, of))).to_vec()
    }

    fn values(&self, side: Side, of: fn(&[Sample]) -> Option<f64>) -> Vec<Option<f64>> {
        let found = self.timelines.iter().find(|timeline| timeline.side == side);
        found.map_or_else(Vec::new, |timeline| timeline.seconds.chunks(self.step).map(of).collect())
    }

    fn svg(&self, name: &str, lines: &[Line], kind: Kind) -> String {
        let height = FRAME.bottom() + 24.0;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{name}, second by second\">"
        );
        let values = || lines.iter().flat_map(|(_, values)| values).flatten().copied();
        let most = values().fold(1.0, f64::max);
        let scale = match kind {
            Kind::Count => Scale::linear(most),
            Kind::Time => Scale::logarithmic(values().fold(most, f64::min).max(1.0), most),
        };
        axis(&mut svg, &FRAME, name, &scale, if kind == Kind::Time { time } else { short });
        parts(&mut svg, (FRAME.top, &FRAME), self.begins().iter().map(|(name, at)| (name.as_str(), *at)));
        for (class, values) in lines {
            let at = |step: usize| (number(step as u64) + 0.5) * number(self.step as u64) / self.length();
            line(&mut svg, &FRAME, class, &scale, (0..).map(at).zip(values.iter().copied()));
        }
        clock(&mut svg, &FRAME, self.seconds as u64 * 1_000_000, 8);
        svg.push_str("</svg>");
        svg
    }

    fn length(&self) -> f64 {
        number(self.seconds as u64)
    }

    /// Where the parts of the server's measurement begin, as parts of the width.
    fn begins(&self) -> Vec<(String, f64)> {
        let mut begins = Vec::new();
        let server = self.timelines.iter().find(|timeline| timeline.side == Side::Doorbell);
        let mut last = "";
        for second in server.iter().flat_map(|timeline| &timeline.seconds) {
            if second.part != last {
                last = &second.part;
                begins.push((escaped(last), number(second.at) / self.length()));
            }
        }
        begins
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
const fn number(of: u64) -> f64 {
    of as f64
}

/// A mark of a count, short.
fn short(mark: f64) -> String {
    match mark {
        ..1_000.0 if mark.fract() > 0.0 => format!("{mark:.1}"),
        ..10_000.0 => format!("{mark:.0}"),
        ..1e6 => format!("{}k", mark / 1e3),
        _ => format!("{}M", mark / 1e6),
    }
}

/// Of the seconds that tell it.
fn mean(step: &[Sample], of: fn(&Sample) -> Option<f64>) -> Option<f64> {
    let told: Vec<f64> = step.iter().filter_map(of).collect();
    (!told.is_empty()).then(|| told.iter().sum::<f64>() / number(told.len() as u64))
}

fn most(step: &[Sample], of: fn(&Sample) -> Option<u64>) -> Option<f64> {
    step.iter().filter_map(of).max().map(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(side: Side, seconds: u64, part: fn(u64) -> &'static str) -> Timeline {
        let second = |at| Sample {
            at,
            part: part(at).to_owned(),
            open: at * 10,
            hints: if at > 2 { 700 } else { 0 },
            late_p99_us: (at > 2).then_some(2_000),
            server_cpu: Some(50.0),
            tool_cpu: Some(30.0),
            ..Sample::default()
        };
        Timeline { side, seconds: (0..seconds).map(second).collect() }
    }

    #[test]
    fn both_sides_are_in_each_picture_with_the_parts_of_the_servers() {
        let part = |at| if at < 3 { "connecting" } else { "publishing" };
        let both = [timeline(Side::Doorbell, 12, part), timeline(Side::Bare, 9, part)];

        let figures = figures(&both);

        assert_eq!(figures.matches("<svg").count(), 4);
        for (text, count) in [
            ("class=\"a\"", 4),
            ("class=\"bare\"", 4),
            ("class=\"toolcpu\"", 1),
            (">connecting<", 4),
            (">publishing<", 4),
            (">hints a second<", 1),
            (">99 of 100 hints within<", 1),
        ] {
            assert_eq!(figures.matches(text).count(), count, "{text}: {figures}");
        }
        assert!(!figures.contains("NaN") && !figures.contains("inf"), "{figures}");
        assert!(!figures.contains("rings"), "{figures}");
        assert!(is_told(&both) && !is_told(&[]));
    }

    #[test]
    fn rings_beside_hints_have_pictures_of_their_own() {
        let mut rung = timeline(Side::Doorbell, 12, |_| "rings beside fan-outs");
        for second in &mut rung.seconds {
            (second.rings, second.late_ring_p99_us) = (300, Some(4_000));
        }

        let figures = figures(&[rung]);

        for text in ["<svg", ">rings a second<", ">99 of 100 rings within<", ">99 of 100 hints within<"] {
            assert_eq!(
                figures.matches(text).count(),
                if text == "<svg" { 6 } else { 1 },
                "{text}: {figures}"
            );
        }
    }

    #[test]
    fn marks_of_counts_are_short() {
        assert_eq!([0.0, 0.5, 2.5, 500.0, 25_000.0, 1e6].map(short), ["0", "0.5", "2.5", "500", "25k", "1M"]);
    }

    #[test]
    fn a_day_is_drawn_in_a_few_hundred_steps() {
        let figures = figures(&[timeline(Side::Doorbell, 86_400, |_| "at rest")]);

        assert!(figures.len() < 60_000, "{}", figures.len());
        // The last one has all that were open.
        assert!(figures.contains(">1M<"), "{figures}");
    }
}
