//! What came out: figures beside those of the reference, as a table for people and as JSON for programs and reports to come.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::spread::Summary;
use crate::words::{count, length};

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What it is called in JSON.
    pub name: String,
    /// What it is, for people.
    pub what: String,
    /// What it counts.
    pub unit: Unit,
    /// Of the server.
    pub value: f64,
    /// Of the bare loop in the same run.
    pub reference: Option<f64>,
    /// The one divided by the other.
    pub ratio: Option<f64>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// In a second.
    PerSecond,
    /// Microseconds.
    Micros,
    /// Bytes.
    Bytes,
    /// Hundredths of one core.
    PercentOfACore,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// `connect`, `idle`, `fanout`.
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
    /// In the order in which people read them.
    pub figures: Vec<Figure>,
    /// How long things took, at the server and at the bare loop (`bare.…`).
    pub spreads: BTreeMap<String, Summary>,
    /// What there was.
    pub counts: BTreeMap<&'static str, u64>,
    /// Why sessions failed or ended.
    pub failures: BTreeMap<String, u64>,
    /// What is not as it should be; the exit code is 1 then.
    pub wrong: Vec<String>,
    /// What whoever reads the figures should know.
    pub notes: Vec<String>,
    /// The last lines of the log of a server of the tool's own.
    pub log: Vec<String>,
}

impl Outcome {
    /// One more figure, of both.
    pub fn figure(&mut self, (name, what): (&str, &str), unit: Unit, value: f64, reference: Option<f64>) {
        let ratio = reference.filter(|reference| *reference > 0.0).map(|reference| value / reference);
        self.figures.push(Figure {
            name: name.to_owned(),
            what: what.to_owned(),
            unit,
            value,
            reference,
            ratio,
        });
    }

    /// As text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let parameters = self.parameters.iter().map(|(name, value)| format!("{name} {value}"));
        let _ = writeln!(text, "{}: {}", self.what, parameters.collect::<Vec<_>>().join(", "));
        let machine = self.machine.iter().map(|(name, value)| format!("{name} {value}"));
        let _ = writeln!(text, "{}\n", machine.collect::<Vec<_>>().join(", "));
        let referred = self.figures.iter().any(|figure| figure.reference.is_some());
        if referred {
            let _ = writeln!(text, "{:<44} {:>14} {:>14} {:>7}", "", "doorbell", "bare loop", "ratio");
        }
        for figure in &self.figures {
            let _ = write!(text, "{:<44} {:>14}", figure.what, shown(figure.unit, figure.value));
            if let Some(reference) = figure.reference {
                let ratio = figure.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
                let _ = write!(text, " {:>14} {ratio:>7}", shown(figure.unit, reference));
            }
            text.push('\n');
        }
        text.push('\n');
        let counts = self.counts.iter().map(|(name, number)| format!("{} {name}", count(*number)));
        let _ = writeln!(text, "{}", counts.collect::<Vec<_>>().join(", "));
        for (why, number) in &self.failures {
            let _ = writeln!(text, "  {:>8} × {}", count(*number), printable(why));
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        for wrong in &self.wrong {
            let _ = writeln!(text, "WRONG: {wrong}");
        }
        if !self.wrong.is_empty() && !self.log.is_empty() {
            let _ = writeln!(text, "the last lines of the server's log:");
            for line in &self.log {
                let _ = writeln!(text, "  {}", printable(line));
            }
        }
        text
    }
}

/// What a server said goes to a terminal: without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is shown is rounded, and not below 0"
)]
fn shown(unit: Unit, value: f64) -> String {
    let whole = |value: f64| count(value.max(0.0).round() as u64);
    match unit {
        Unit::PerSecond => format!("{}/s", whole(value)),
        Unit::Micros if value < 1_000.0 => format!("{value:.1} µs"),
        Unit::Micros => length(value as u64),
        Unit::Bytes if value < 0.0 => format!("-{} B", whole(-value)),
        Unit::Bytes if value < 102_400.0 => format!("{} B", whole(value)),
        Unit::Bytes => format!("{} KiB", whole(value / 1_024.0)),
        Unit::PercentOfACore => format!("{value:.2} %"),
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
        ]
        .map(|(unit, value)| shown(unit, value));
        assert_eq!(shown, ["12,346/s", "5.0 µs", "12 ms", "1,180 B", "-12 B", "1,024 KiB", "1.23 %"]);
    }
}
