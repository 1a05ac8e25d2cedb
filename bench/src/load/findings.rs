//! What is told of a round, or of all rounds of a run together: figures beside those of the bare loop, and what was not as it should be.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fleet::Together;
use super::orders::Tally;
use super::spread::{Spread, Summary};
use super::timeline::Timeline;
use super::tool::{Measured, Spent};
use super::usage::Usage;

/// How the figure ends, for people, that says what half of all took.
pub const HALF_WITHIN: &str = ": half within";

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What it is called in JSON.
    pub name: String,
    /// What it is, for people.
    pub what: String,
    /// What it counts.
    pub unit: Unit,
    /// Of the server; of several rounds their median, here and in the two below.
    pub value: f64,
    /// Of the bare loop in the same run.
    pub reference: Option<f64>,
    /// The one divided by the other.
    pub ratio: Option<f64>,
    /// The least and the greatest value of several rounds.
    pub value_range: Option<[f64; 2]>,
    /// The least and the greatest ratio of several rounds.
    pub ratio_range: Option<[f64; 2]>,
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
    /// One divided by another of the same side.
    Times,
    /// So many.
    Count,
}

/// Of one round, or of all of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
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
    /// Whether the tool was what limited, and not the server.
    pub tool_was_the_limit: bool,
    /// What there was second by second, at the server and at the bare loop; of several rounds only in each of them.
    pub timelines: Vec<Timeline>,
    /// The last lines of the log of a server of the tool's own.
    pub log: Vec<String>,
}

impl Findings {
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
            value_range: None,
            ratio_range: None,
        });
    }

    /// What whoever reads the figures should know, once.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What is said of the sessions of the server in every measurement, and of the tool meanwhile.
    pub fn sessions(&mut self, wanted: u32, seen: &Together) {
        self.held(wanted, seen);
        self.tool(seen);
    }

    /// What is said of the sessions of the server, as they were at the end.
    pub fn held(&mut self, wanted: u32, seen: &Together) {
        let Tally { open, welcomed, failed, ended, pings, .. } = seen.tally;
        self.counts.extend([
            ("sessions open at the end", open),
            ("welcomed", welcomed),
            ("failed", failed),
            ("ended by the server", ended),
            ("pings answered", pings),
        ]);
        self.failures.extend(seen.failures.clone());
        if open < u64::from(wanted) {
            self.wrong.push(format!("{open} of {wanted} sessions were open at the end"));
        }
    }

    /// What the tool used beside the server, and whether it was what limited.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn tool(&mut self, seen: &Together) {
        let spent = &seen.tool;
        let (Some(all), Some(busiest)) = (spent.percent(), spent.busiest_percent()) else { return };
        let each = match spent.of {
            Measured::Sessions => Some((("tool_cpu_per_session", "tool CPU a session"), seen.tally.welcomed)),
            Measured::Returns => {
                let name = ("tool_cpu_per_session", "tool CPU a session that came back");
                Some((name, seen.tally.returns.back))
            }
            Measured::Hints => {
                let name = ("tool_cpu_per_hint", "tool CPU a delivered hint");
                Some((name, seen.tally.hints + seen.rings.hints))
            }
            Measured::Time => None,
        };
        if let Some((name, count)) = each.filter(|(_, count)| *count > 0) {
            self.figure(name, Unit::Micros, spent.cpu_seconds * 1e6 / count as f64, None);
        }
        self.figure(("tool_cpu", "tool CPU, of one core"), Unit::PercentOfACore, all, None);
        let name = ("tool_cpu_busiest", "its busiest process with sockets");
        self.figure(name, Unit::PercentOfACore, busiest, None);
        self.limited(spent, "");
    }

    /// Whether the tool was what limited, beside what.
    pub fn limited(&mut self, spent: &Spent, beside: &str) {
        if let Some(limit) = spent.limit() {
            self.tool_was_the_limit = true;
            self.note(format!("the tool was the limit{beside}: {limit}"));
        }
    }

    /// What is said of the sockets of the bare loop: that is where its figures are worth little.
    pub fn bare(&mut self, wanted: u32, seen: &Together) {
        let Tally { open, failed, ended, .. } = seen.tally;
        self.limited(&seen.tool, " beside the bare loop");
        if open < u64::from(wanted) {
            let why = seen.failures.iter().map(|(why, count)| format!("{count} × {why}")).collect::<Vec<_>>();
            self.note(format!(
                "compare nothing with the bare loop: {open} of {wanted} sockets were open at its end ({failed} failed, {ended} ended: {})",
                why.join("; ")
            ));
        }
    }

    /// Cost of CPU; a note where nobody tells of the server's.
    pub fn cpu(&mut self, name: (&str, &str), unit: Unit, (of, reference): (Option<f64>, Option<f64>)) {
        match of {
            Some(value) => self.figure(name, unit, value, reference),
            None => {
                self.note("no CPU and memory of the server: name its /metrics with --metrics-url".to_owned());
            }
        }
    }

    /// Memory of the machine, where the tool started all that is in it.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a machine's memory")]
    pub fn machine(&mut self, of: Option<u64>, reference: Option<u64>) {
        if let Some(bytes) = of {
            let name = ("machine_bytes", "memory of the machine in all, most");
            self.figure(name, Unit::Bytes, bytes as f64, reference.map(|bytes| bytes as f64));
        }
    }

    /// Three figures of how long something took: what it is called in JSON, and for people.
    pub fn times(&mut self, (key, what): (&str, &str), of: &Spread, reference: Option<&Spread>) {
        let (of, bare) = (of.summary(), reference.map(Spread::summary));
        let names = [("p50", HALF_WITHIN), ("p99", ": 99 of 100 within"), ("max", ": all within")];
        let picks = [|s: &Summary| s.p50_us, |s: &Summary| s.p99_us, |s: &Summary| s.max_us];
        #[expect(clippy::cast_precision_loss, reason = "at most an hour")]
        for ((part, share), pick) in names.into_iter().zip(picks) {
            let (name, what) = (format!("{key}_{part}"), format!("{what}{share}"));
            let bare = bare.as_ref().map(|bare| pick(bare) as f64);
            self.figure((&name, &what), Unit::Micros, pick(&of) as f64, bare);
        }
        self.spreads.insert(key.to_owned(), of);
        self.spreads.extend(bare.map(|bare| (format!("bare.{key}"), bare)));
    }
}

/// CPU between two looks in microseconds, for each of so many.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub fn cpu_each(before: Option<Usage>, after: Option<Usage>, of: u64) -> Option<f64> {
    let spent = after?.cpu_seconds - before?.cpu_seconds;
    Some(spent * 1e6 / of.max(1) as f64)
}

/// How many there are in a second, of so many within so many microseconds.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub fn rate(of: u64, micros: u64) -> f64 {
    of as f64 * 1e6 / micros.max(1) as f64
}
