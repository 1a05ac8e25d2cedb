//! The steps of the full check, cheapest first; what needs the built binary comes last.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use super::{Checkout, chromium, node, prometheus, python, redis};
use crate::process::{command, output, run};
use crate::tidy;

/// One step.
pub struct Step {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it checks, for people.
    pub what: &'static str,
    /// Checks it; its output goes to the terminal.
    pub run: fn(&Checkout) -> Result<()>,
}

/// All steps, in their order.
pub const STEPS: &[Step] = &[
    Step { name: "fmt", what: "Rust is formatted", run: fmt },
    Step { name: "tidy", what: "crate edges, sizes, names, habits, documents", run: tidy_up },
    Step { name: "clippy", what: "Rust compiles without a warning", run: clippy },
    Step { name: "build", what: "the binary and the Rust tests", run: build },
    Step { name: "rust", what: "Rust tests: units, models, conformance, end to end", run: rust },
    Step { name: "valkey", what: "the Redis back-end, on a real Valkey", run: valkey },
    Step { name: "doc", what: "examples in Rust documentation", run: doc },
    Step { name: "operations", what: "dashboard and alerts, on a real Prometheus", run: operations },
    Step {
        name: "sabotage",
        what: "promises broken on purpose and found, processes that die in the middle of a step",
        run: sabotage,
    },
    Step { name: "web", what: "the demo page: types, tests, bundle up to date", run: web },
    Step { name: "node", what: "end to end with an independent client: Node and `ws`", run: node_client },
    Step {
        name: "python",
        what: "end to end with an independent client: Python and `websockets`",
        run: python_client,
    },
    Step { name: "deploy", what: "what deploy/ names is what the binary has", run: deploy },
    Step { name: "browser", what: "end to end in headless Chromium", run: browser },
];

const WEB: &str = "web";
const CLIENTS: &str = "tests/clients";
const DEPLOY: &str = "tests/deploy";
const BROWSER: &str = "tests/browser";

/// The binary under test, as [`build`] leaves it. A debug build: it is the one that the Rust tests use as well, and
/// its checks for overflow and for bugs are on.
const BINARY: &str = "target/debug/doorbell";

/// The build that breaks promises on purpose.
const SABOTAGED: &str = "target/sabotaged/doorbell";

/// Tests that nextest cannot list, by package; `.config/nextest.toml` leaves them out.
const WITHOUT_HARNESS: &[(&str, &str)] = &[("doorbell-message-svc", "crash")];

fn fmt(checkout: &Checkout) -> Result<()> {
    cargo(checkout, &["fmt", "--all", "--check"]).context("`cargo fmt --all` mends it")
}

fn tidy_up(checkout: &Checkout) -> Result<()> {
    if tidy::run(checkout.root)? != ExitCode::SUCCESS {
        bail!("each line above says what to do");
    }
    Ok(())
}

fn clippy(checkout: &Checkout) -> Result<()> {
    cargo(checkout, &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}

/// One build for all: the same features and profile as the tests, so that nothing is built twice. A step that needs
/// the binary calls it again, so that it can be run alone; where nothing changed this takes no time.
fn build(checkout: &Checkout) -> Result<()> {
    cargo(checkout, &["build", "--workspace", "--bins", "--tests"])
}

fn rust(checkout: &Checkout) -> Result<()> {
    redis::ensure()?;
    build(checkout)?;
    if output("cargo", &["nextest", "--version"]).is_none() {
        println!("cargo-nextest is not here: using `cargo test`");
        let words = ["test", "--workspace", "--lib", "--bins", "--tests"];
        return run(with_binary(command("cargo", &words, checkout.root), checkout));
    }
    run(with_binary(command("cargo", &["nextest", "run", "--workspace"], checkout.root), checkout))?;
    for (package, test) in WITHOUT_HARNESS {
        cargo(checkout, &["test", "--package", package, "--test", test])?;
    }
    Ok(())
}

/// The tests of the rust step that start a Redis, with Valkey in its place. The package's server is built without TLS.
fn valkey(checkout: &Checkout) -> Result<()> {
    build(checkout)?;
    let words = ["test", "--workspace", "--test", "redis", "--", "--skip", "tls_is_spoken"];
    let mut tests = command("cargo", &words, checkout.root);
    tests.env("DOORBELL_REDIS_SERVER", redis::ensure_valkey(checkout.root)?);
    run(tests)
}

fn doc(checkout: &Checkout) -> Result<()> {
    cargo(checkout, &["test", "--workspace", "--doc"])
}

fn operations(checkout: &Checkout) -> Result<()> {
    build(checkout)?;
    redis::ensure()?;
    let words = ["test", "--workspace", "--test", "operations"];
    let mut tests = with_binary(command("cargo", &words, checkout.root), checkout);
    prometheus::ensure()?.give(&mut tests);
    run(tests)
}

/// A build that breaks promises takes the place of the one under test: it is put aside, and the other one back at once.
fn sabotage(checkout: &Checkout) -> Result<()> {
    cargo(checkout, &["build", "--workspace", "--bins", "--features", "doorbell/sabotage"])?;
    let (built, aside) = (checkout.root.join(BINARY), checkout.root.join(SABOTAGED));
    std::fs::create_dir_all(aside.parent().context("it lies in a folder")?)?;
    // One that still runs, of a step that failed, cannot be written to.
    if let Err(error) = std::fs::remove_file(&aside)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("removing {}", aside.display()));
    }
    let copied = std::fs::copy(&built, &aside).with_context(|| format!("putting {} aside", built.display()));
    build(checkout)?;
    copied?;
    // One after the other: the first loads the machine, the second is judged by bounds of time.
    for module in ["checker::", "points::"] {
        let words = ["test", "--workspace", "--test", "sabotage", "--", "--nocapture", module];
        let mut tests = command("cargo", &words, checkout.root);
        tests.env("DOORBELL_SABOTAGED_BIN", &aside);
        run(tests)?;
    }
    Ok(())
}

fn web(checkout: &Checkout) -> Result<()> {
    node::ensure(checkout.root, WEB)?;
    for script in ["check", "test", "check:dist"] {
        run(npm(checkout, WEB, script))?;
    }
    Ok(())
}

fn node_client(checkout: &Checkout) -> Result<()> {
    build(checkout)?;
    node::ensure(checkout.root, CLIENTS)?;
    run(with_binary(npm(checkout, CLIENTS, "test"), checkout))
}

fn python_client(checkout: &Checkout) -> Result<()> {
    build(checkout)?;
    let python = python::ensure(checkout.root, CLIENTS)?;
    let words = ["-m", "unittest", "discover", "-v", "-s", CLIENTS, "-p", "test_*.py"];
    run(with_binary(command(&python, &words, checkout.root), checkout))
}

fn deploy(checkout: &Checkout) -> Result<()> {
    build(checkout)?;
    let python = python::ensure(checkout.root, DEPLOY)?;
    let words = ["-m", "unittest", "discover", "-v", "-s", DEPLOY, "-p", "test_*.py"];
    run(with_binary(command(&python, &words, checkout.root), checkout))
}

fn browser(checkout: &Checkout) -> Result<()> {
    build(checkout)?;
    node::ensure(checkout.root, BROWSER)?;
    let mut tests = with_binary(npm(checkout, BROWSER, "test"), checkout);
    tests.env("CHROMIUM", chromium::ensure()?);
    // The bot that answers in a page is a Python program.
    tests.env("PYTHON", python::ensure(checkout.root, CLIENTS)?);
    run(tests)
}

fn cargo(checkout: &Checkout, words: &[&str]) -> Result<()> {
    run(command("cargo", words, checkout.root))
}

fn npm(checkout: &Checkout, folder: &str, script: &str) -> Command {
    command("npm", &["run", "--silent", script], &checkout.root.join(folder))
}

/// Tells the tests where the binary is.
fn with_binary(mut command: Command, checkout: &Checkout) -> Command {
    command.env("DOORBELL_BIN", checkout.root.join(BINARY));
    command
}
