//! Scales, axes and lines of a chart, as SVG that takes its colours from the page.

use std::fmt::Write as _;

/// Where the lines of a chart go, within its picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// The numbers of the vertical scale stand left of it.
    pub left: f64,
    /// Where it ends.
    pub right: f64,
    /// Its name stands above it.
    pub top: f64,
    /// From its top to its bottom.
    pub height: f64,
}

impl Frame {
    /// Where a part of the width is, from 0 at the left to 1.
    pub fn x(&self, part: f64) -> f64 {
        (self.right - self.left).mul_add(part, self.left)
    }

    /// Where a part of the height is, from 0 at the bottom to 1.
    pub fn y(&self, part: f64) -> f64 {
        (1.0 - part).mul_add(self.height, self.top)
    }

    /// Where it ends.
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// A scale: from a value to a part of the height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    top: f64,
    logarithmic: bool,
}

impl Scale {
    /// From nothing to a round number that is not below `most`.
    pub fn linear(most: f64) -> Self {
        let most = most.max(1.0);
        let decade = 10_f64.powf(most.log10().floor());
        let top = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|part| part * decade).find(|top| *top >= most);
        Self { low: 0.0, top: top.unwrap_or(most), logarithmic: false }
    }

    /// In powers of ten, from one that is not above `least` to one that is not below `most`; at least one of them.
    pub fn logarithmic(least: f64, most: f64) -> Self {
        // What is a power of ten is one also where its logarithm is hardly more.
        let (low, top) = ((least.log10() + 1e-9).floor(), (most.log10() - 1e-9).ceil());
        Self { low: 10_f64.powf(low), top: 10_f64.powf(top.max(low + 1.0)), logarithmic: true }
    }

    /// The part of the height.
    pub fn part(&self, value: f64) -> f64 {
        if self.logarithmic {
            ((value.max(self.low) / self.low).log10() / (self.top / self.low).log10()).clamp(0.0, 1.0)
        } else {
            (value / self.top).clamp(0.0, 1.0)
        }
    }

    /// What is written beside it.
    pub fn marks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return vec![0.0, self.top / 2.0, self.top];
        }
        let mut marks = vec![self.low];
        while marks.last().is_some_and(|last| last * 9.9 < self.top) {
            marks.push(marks[marks.len() - 1] * 10.0);
        }
        marks
    }
}

/// A chart's name, its vertical scale, and a line across for each mark.
pub fn axis(svg: &mut String, frame: &Frame, name: &str, scale: &Scale, label: impl Fn(f64) -> String) {
    let _ = write!(
        svg,
        "<text class=\"name\" x=\"{:.0}\" y=\"{:.1}\">{name}</text>",
        frame.left,
        frame.top - 7.0
    );
    for mark in scale.marks() {
        let at = frame.y(scale.part(mark));
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{:.0}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"mark\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
            frame.left,
            frame.right,
            frame.left - 6.0,
            at + 3.5,
            label(mark)
        );
    }
}

/// A number without a unit.
pub fn number(mark: f64) -> String {
    if mark >= 1.0 || mark == 0.0 { format!("{mark:.0}") } else { format!("{mark:.1}") }
}

/// One line through parts of the width with their values; where there is no value it breaks off.
pub fn line(
    svg: &mut String,
    frame: &Frame,
    class: &str,
    scale: &Scale,
    points: impl IntoIterator<Item = (f64, Option<f64>)>,
) {
    let (mut path, mut drawing) = (String::new(), false);
    for (part, value) in points {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let (x, y) = (frame.x(part), frame.y(scale.part(value)));
        // A value without neighbours is a dot: a line of no length with a round end.
        let _ = if drawing { write!(path, "L{x:.1} {y:.1}") } else { write!(path, "M{x:.1} {y:.1}h.01") };
        drawing = true;
    }
    let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
}

/// Where parts of a run begin, from a height on down to the bottom of a chart, with their names at the top of the picture; each is a part of
/// the width.
pub fn parts<'a>(
    svg: &mut String,
    (from_y, frame): (f64, &Frame),
    begins: impl IntoIterator<Item = (&'a str, f64)>,
) {
    let begins: Vec<(&str, f64)> = begins.into_iter().map(|(name, part)| (name, frame.x(part))).collect();
    for (number, (name, from)) in begins.iter().enumerate() {
        let _ = write!(
            svg,
            "<line class=\"phase\" x1=\"{from:.1}\" x2=\"{from:.1}\" y1=\"{from_y:.0}\" y2=\"{:.0}\"/>",
            frame.bottom()
        );
        // A short part's name would stand on the next one's.
        let room = begins.get(number + 1).map_or(frame.right, |(_, next)| *next) - from;
        if room > f64::from(u16::try_from(name.len()).unwrap_or(u16::MAX)).mul_add(6.0, 6.0) {
            let _ = write!(svg, "<text class=\"phase\" x=\"{:.1}\" y=\"12\">{name}</text>", from + 3.0);
        }
    }
}

/// Minutes and seconds below a chart that is so many microseconds long, at most so many of them.
#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
pub fn clock(svg: &mut String, frame: &Frame, end: u64, most: u64) {
    let seconds = end / 1_000_000;
    let every = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600]
        .into_iter()
        .find(|every| seconds / every <= most)
        .unwrap_or(seconds / most + 1);
    // The last one would be cut off at the edge.
    let x = |second: u64| frame.x((second * 1_000_000) as f64 / end.max(1) as f64);
    let whole = |second: &u64| x(*second) < frame.right - 12.0;
    for second in (0..=seconds).step_by(usize::try_from(every).unwrap_or(1)).filter(whole) {
        let _ = write!(
            svg,
            "<text class=\"time\" x=\"{:.1}\" y=\"{:.1}\">{}:{:02}</text>",
            x(second),
            frame.bottom() + 17.0,
            second / 60,
            second % 60
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number_that_holds_everything() {
        for (most, top) in
            [(0.0, 1.0), (1.0, 1.0), (1.2, 2.0), (240.0, 250.0), (260.0, 500.0), (9_999.0, 10_000.0)]
        {
            assert_eq!(Scale::linear(most).marks(), [0.0, top / 2.0, top], "{most}");
        }
        for (least, most, marks) in [
            (0.1, 3.0, &[0.1, 1.0, 10.0][..]),
            (100.0, 1_000.0, &[100.0, 1_000.0]),
            (50.0, 50.0, &[10.0, 100.0]),
        ] {
            let found = Scale::logarithmic(least, most).marks();
            assert!(
                found.iter().zip(marks).all(|(found, mark)| (found - mark).abs() < mark / 1e6),
                "{found:?}"
            );
            assert_eq!(found.len(), marks.len(), "{found:?}");
        }
        let scale = Scale::logarithmic(1.0, 100.0);
        assert_eq!(
            [0.1, 1.0, 10.0, 100.0, 1_000.0].map(|value| scale.part(value)),
            [0.0, 0.0, 0.5, 1.0, 1.0]
        );
    }

    #[test]
    fn a_line_breaks_off_where_there_is_no_value() {
        let frame = Frame { left: 0.0, right: 100.0, top: 0.0, height: 10.0 };
        let mut svg = String::new();

        let points = [(0.0, Some(0.0)), (0.5, Some(10.0)), (0.6, None), (1.0, Some(5.0))];
        line(&mut svg, &frame, "a", &Scale::linear(10.0), points);

        assert_eq!(svg, "<path class=\"a\" d=\"M0.0 10.0h.01L50.0 0.0M100.0 5.0h.01\"/>");
    }
}
