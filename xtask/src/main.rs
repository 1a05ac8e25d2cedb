//! Doorbell's development commands: `cargo xtask test`, `chaos`, `tidy` and `docs`.
//!
//! It owns what a check of the whole tree is; it is no part of the product, and the product never depends on it.
//!
//! Map: [`test`] the steps of a full check and what they need; [`chaos`] faults for as long as you like; [`tidy`] the rules that a compiler does not know;
//! [`docs`] the parts of documents that are made from code; [`process`] running other programs.

mod chaos;
mod close_codes;
mod docs;
mod process;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const HELP: &str = "\
Doorbell's development commands

  cargo xtask test            install what the tests need, then run every step; stops at the first failure
  cargo xtask test STEP...    run these steps only
  cargo xtask test --list     name the steps
  cargo xtask chaos           a whole installation under faults, 30 minutes, twice (--minutes N, --seed N)
  cargo xtask tidy            check the rules that a compiler does not know
  cargo xtask docs            rewrite the parts of documents that are made from code
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        ["test", "--list"] => {
            test::list();
            Ok(ExitCode::SUCCESS)
        }
        ["test", steps @ ..] => test::run(&root()?, steps),
        ["chaos", words @ ..] => chaos::run_all(&root()?, words),
        ["tidy"] => tidy::run(&root()?),
        ["docs"] => docs::write(&root()?).map(|()| ExitCode::SUCCESS),
        _ => bail!("no such command: `{}`; `cargo xtask help` names them", words.join(" ")),
    }
}

/// The checkout: the nearest folder upwards that holds `xtask/Cargo.toml`.
fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    let found = here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
    found
        .map(PathBuf::from)
        .context("run this inside a checkout of Doorbell: no xtask/Cargo.toml in any folder upwards")
}
