//! What came out: figures beside those of the bare loop, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::findings::{Findings, Unit};
use super::rounds::Round;
use crate::words::{count, length};

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// `connect`, `idle`, `fanout` …
    pub what: &'static str,
    /// The server's version.
    pub build: String,
    /// Whether it is built to be fast.
    pub optimised: bool,
    /// The command as it was given.
    pub command: String,
    /// When it began, in milliseconds since the epoch.
    pub started_ms: u64,
    /// The machine.
    pub machine: BTreeMap<&'static str, String>,
    /// What was asked for.
    pub parameters: BTreeMap<&'static str, String>,
    /// Of all rounds together.
    #[serde(flatten)]
    pub findings: Findings,
    /// One by one, where there are several.
    pub rounds: Vec<Round>,
}

impl Outcome {
    /// As text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let parameters = self.parameters.iter().map(|(name, value)| format!("{name} {value}"));
        let _ = writeln!(text, "{}: {}", self.what, parameters.collect::<Vec<_>>().join(", "));
        let machine = self.machine.iter().map(|(name, value)| format!("{name} {value}"));
        let _ = writeln!(text, "{}\n", machine.collect::<Vec<_>>().join(", "));
        self.figures(&mut text);
        text.push('\n');
        let counts = self.findings.counts.iter().map(|(name, number)| format!("{} {name}", count(*number)));
        let _ = writeln!(text, "{}", counts.collect::<Vec<_>>().join(", "));
        for (why, number) in &self.findings.failures {
            let _ = writeln!(text, "  {:>8} × {}", count(*number), printable(why));
        }
        for note in &self.findings.notes {
            let _ = writeln!(text, "note: {note}");
        }
        for wrong in &self.findings.wrong {
            let _ = writeln!(text, "WRONG: {wrong}");
        }
        let Findings { wrong, log, .. } = &self.findings;
        if !wrong.is_empty() && !log.is_empty() {
            let _ = writeln!(text, "the last lines of the server's log:");
            for line in log {
                let _ = writeln!(text, "  {}", printable(line));
            }
        }
        text
    }

    /// A line for each, with the bare loop's beside it; of several rounds also from where to where they go.
    fn figures(&self, text: &mut String) {
        let figures = &self.findings.figures;
        let referred = figures.iter().any(|figure| figure.reference.is_some());
        let range = if self.rounds.is_empty() { "" } else { "from … to" };
        if referred {
            let head =
                format!("{:<44} {:>14} {:>14} {:>7} {range:>14}", "", "doorbell", "bare loop", "ratio");
            let _ = writeln!(text, "{}", head.trim_end());
        }
        for figure in figures {
            let mut line = format!("{:<44} {:>14}", figure.what, shown(figure.unit, figure.value));
            if let Some(reference) = figure.reference {
                let ratio = figure.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
                let _ = write!(line, " {:>14} {ratio:>7}", shown(figure.unit, reference));
            } else if referred && !range.is_empty() {
                let _ = write!(line, " {:>14} {:>7}", "", "");
            }
            // Where there are ratios, it is them that are to be trusted.
            let range = match (figure.ratio_range, figure.value_range) {
                (Some([least, most]), _) => format!("{least:.2} … {most:.2}"),
                (None, Some(values)) => values.map(|value| shown(figure.unit, value)).join(" … "),
                (None, None) => String::new(),
            };
            let _ = writeln!(text, "{}", format!("{line} {range:>14}").trim_end());
        }
    }
}

/// What a server said goes to a terminal: without control characters.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A value with its unit, for people.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is shown is rounded, and not below 0"
)]
pub fn shown(unit: Unit, value: f64) -> String {
    let whole = |value: f64| count(value.max(0.0).round() as u64);
    match unit {
        Unit::PerSecond => format!("{}/s", whole(value)),
        Unit::Micros if value < 1_000.0 => format!("{value:.1} µs"),
        Unit::Micros => length(value as u64),
        Unit::Bytes if value < 0.0 => format!("-{} B", whole(-value)),
        Unit::Bytes if value < 102_400.0 => format!("{} B", whole(value)),
        Unit::Bytes => format!("{} KiB", whole(value / 1_024.0)),
        Unit::PercentOfACore => format!("{value:.2} %"),
        Unit::Times => format!("{value:.2} ×"),
        Unit::Count => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_people() {
        let shown = [
            (Unit::PerSecond, 12_345.6),
            (Unit::Micros, 5.04),
            (Unit::Micros, 12_345.0),
            (Unit::Bytes, 1_180.4),
            (Unit::Bytes, -12.0),
            (Unit::Bytes, 1_048_576.0),
            (Unit::PercentOfACore, 1.234),
            (Unit::Times, 1.5),
        ]
        .map(|(unit, value)| shown(unit, value));
        assert_eq!(
            shown,
            ["12,346/s", "5.0 µs", "12 ms", "1,180 B", "-12 B", "1,024 KiB", "1.23 %", "1.50 ×"]
        );
    }
}
