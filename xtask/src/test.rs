//! The full check: installs what the tests need, then runs the steps in order and stops at the first failure.

mod chromium;
mod debian;
mod node;
mod prometheus;
mod python;
mod redis;
mod steps;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use steps::{STEPS, Step};

/// What a step finds where it runs.
pub struct Checkout<'a> {
    /// The root of the tree.
    root: &'a Path,
}

/// Prints the steps.
pub fn list() {
    for step in STEPS {
        println!("{:<10}  {}", step.name, step.what);
    }
}

/// Runs the steps named, or all of them where none is.
///
/// # Errors
/// Where a name is none of a step. A failing step is no error but a failing exit code: it has been reported.
pub fn run(root: &Path, names: &[&str]) -> Result<ExitCode> {
    let chosen = choose(names)?;
    let checkout = Checkout { root };
    let mut passed: Vec<(&str, Duration)> = Vec::new();
    for step in &chosen {
        println!("\n=== {}: {}", step.name, step.what);
        let started = now();
        let outcome = (step.run)(&checkout);
        let took = started.elapsed();
        if let Err(error) = outcome {
            println!("\n=== {} failed after {}: {error:#}", step.name, seconds(took));
            println!("    alone: cargo xtask test {}", step.name);
            let left = chosen.len() - passed.len() - 1;
            println!("\n{} passed, 1 failed, {left} not run", passed.len());
            return Ok(ExitCode::FAILURE);
        }
        println!("=== {} passed in {}", step.name, seconds(took));
        passed.push((step.name, took));
    }
    println!();
    for (name, took) in &passed {
        println!("{name:<10} {:>8}", seconds(*took));
    }
    println!("{} passed, 0 failed", passed.len());
    Ok(ExitCode::SUCCESS)
}

/// The steps by name, in the order asked; all of them where none is named.
fn choose(names: &[&str]) -> Result<Vec<&'static Step>> {
    if names.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let step = |name: &&str| {
        let found = STEPS.iter().find(|step| step.name == *name);
        found.with_context(|| format!("no such step: `{name}`; `cargo xtask test --list` names them"))
    };
    names.iter().map(step).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command line tool without a runtime; the time is only shown"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_name() {
        let names = |chosen: Vec<&Step>| chosen.iter().map(|step| step.name).collect::<Vec<_>>();
        assert_eq!(names(choose(&["tidy", "fmt"]).unwrap()), ["tidy", "fmt"]);
        assert_eq!(choose(&[]).unwrap().len(), STEPS.len());
        let error = choose(&["tidi"]).err().unwrap();
        assert!(error.to_string().contains("`tidi`"), "{error}");
    }
}
