//! The verdict as lines.

use std::io::Write;
use std::path::Path;

use super::outcome::{outcome, overall};
use crate::prove::judge::evidence::Evidence;
use crate::prove::judge::verdict::{Judgement, Outcome, Rule, Spread};
use crate::words::{count, length, moment};

/// Violations that are shown with their events; the page has more.
const SHOWN: usize = 3;

/// Prints it to standard output.
///
/// # Errors
/// Where standard output is gone.
pub fn print(evidence: &Evidence, judgement: &Judgement, history: &Path, page: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out)?;
    for (rule, outcome) in &judgement.rules {
        writeln!(out, "{}", line(*rule, outcome))?;
        for violation in outcome.violations.iter().take(SHOWN) {
            writeln!(out, "       found     {}", violation.found)?;
            writeln!(out, "       expected  {}", violation.expected)?;
            for (at, what) in &violation.events {
                writeln!(out, "         {:>10}  {what}", moment(*at))?;
            }
        }
    }
    let counts = &judgement.counts;
    writeln!(
        out,
        "\n{} sends acknowledged, {} sessions at most, {} came back, {} hints, {} pulls, {} of {} faults took effect, {}",
        count(counts.acked),
        count(counts.sessions_peak),
        count(counts.reconnects),
        count(counts.hints),
        count(counts.pulls),
        counts.effective,
        counts.faults,
        length(counts.length),
    )?;
    writeln!(out, "hints without a fault  {}", spread(&judgement.latency.calm))?;
    writeln!(out, "hints around faults    {}", spread(&judgement.latency.faulty))?;
    writeln!(out, "seed {}  build {}", evidence.run.seed, evidence.run.build)?;
    writeln!(out, "history  {}\nreport   {}\n", history.display(), page.display())?;
    for (rule, why) in judgement.unjudged() {
        writeln!(out, "not judged: {rule} ({}): {why}", rule.what())?;
    }
    for reason in &judgement.invalid {
        writeln!(out, "shows nothing: {reason}")?;
    }
    writeln!(out, "{}", overall(judgement.overall()).to_uppercase())?;
    Ok(())
}

fn line(rule: Rule, found: &Outcome) -> String {
    let notes: Vec<&str> = found.not_judged.iter().chain(&found.note).map(String::as_str).collect();
    let note = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join("; ")) };
    format!(
        "{:<4} {:<13} {:<12} {:>10} checked{note}",
        rule.id(),
        rule.what(),
        outcome(found),
        count(found.checked)
    )
}

fn spread(spread: &Spread) -> String {
    let at =
        |thousandth| spread.quantile(thousandth).map_or_else(|| "-".to_owned(), |took| length(took.into()));
    let hints = count(spread.sorted.len() as u64);
    format!("p50 {}  p99 {}  p99.9 {}  most {}  of {hints}", at(500), at(990), at(999), at(1_000))
}
