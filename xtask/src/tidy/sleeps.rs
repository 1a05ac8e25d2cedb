//! Tests wait for a condition, never for a time.
//!
//! Under tokio's paused clock a sleep is a step of that clock and takes no time: a Rust test that starts paused may.

use super::{File, Finding, Tree};

/// Test files that may sleep, each with the reason. The list only shrinks: one that no longer sleeps is a finding.
const MAY_SLEEP: &[(&str, &str)] = &[];

const SLEEPS: &[&str] = &["sleep(", "sleep_until(", "waitForTimeout("];

/// Checks the test part of each code file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    check_with(tree, MAY_SLEEP)
}

fn check_with(tree: &Tree, may_sleep: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_code() && !file.is_rule()) {
        let listed = may_sleep.iter().any(|(path, _)| *path == file.path);
        let sleeps = sleeps(file);
        if listed && sleeps.is_empty() {
            let what = "needs no exception: it does not sleep";
            findings.push(Finding::new(
                file,
                0,
                what,
                "take it out of MAY_SLEEP in xtask/src/tidy/sleeps.rs",
            ));
        }
        for line in sleeps.into_iter().filter(|_| !listed) {
            let remedy = "wait for the condition itself, or pause the clock (`start_paused = true`)";
            findings.push(Finding::new(file, line, "a test that sleeps", remedy));
        }
    }
    findings
}

/// Lines of the file's tests that wait for a real time.
fn sleeps(file: &File) -> Vec<usize> {
    let Some(first) = file.tests_from() else { return Vec::new() };
    let mut paused = false;
    let mut found = Vec::new();
    for (number, line) in file.lines().skip(first - 1) {
        let code = line.trim_start();
        if code.starts_with("#[tokio::test") || code.starts_with("#[test]") {
            paused = code.contains("start_paused = true");
        }
        let comment = code.starts_with("//") || code.starts_with('#');
        if !paused && !comment && SLEEPS.iter().any(|sleep| code.contains(sleep)) {
            found.push(number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const RUST: &str = "fn pace() { sleep(x) }\n#[cfg(test)]\nmod tests {\n\
                        #[tokio::test(start_paused = true)]\nasync fn a() { sleep(x).await }\n\
                        #[tokio::test]\nasync fn b() { sleep(x).await }\n}\n";

    #[test]
    fn a_sleep_is_found_in_tests_alone_and_only_in_real_time() {
        let files =
            [("a/src/b.rs", RUST), ("tests/clients/test_a.py", "await asyncio.sleep(1)\n# sleep(1)\n")];
        assert_eq!(places(check, &files), ["a/src/b.rs:7", "tests/clients/test_a.py:1"]);
    }

    #[test]
    fn an_exception_counts_while_it_is_needed() {
        let tree = Tree::of(&[("a/src/b.rs", RUST), ("a/src/c.rs", "")]);
        let found = check_with(&tree, &[("a/src/b.rs", "why"), ("a/src/c.rs", "why")]);
        assert_eq!(found.iter().map(|found| &*found.path).collect::<Vec<_>>(), ["a/src/c.rs"]);
    }
}
