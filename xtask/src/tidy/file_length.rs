//! No code file above 500 lines. Functions are clippy's (`too_many_lines`).

use super::{Finding, Tree};

/// Most lines of a file; aim for 120, think at 300.
const LINES_MAX: usize = 500;

/// Files above it, each with the reason. The list only shrinks: one that no longer needs it is a finding.
const LONG: &[(&str, &str)] = &[];

/// Checks every code file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    check_with(tree, LONG)
}

fn check_with(tree: &Tree, long: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_code()) {
        let lines = file.text.lines().count();
        let listed = long.iter().any(|(path, _)| *path == file.path);
        if lines > LINES_MAX && !listed {
            let what = format!("has {lines} lines; {LINES_MAX} at most");
            findings.push(Finding::new(file, 0, what, "move a noun with its tests to a file of its own"));
        }
        if lines <= LINES_MAX && listed {
            let what = format!("has {lines} lines and needs no exception");
            findings.push(Finding::new(
                file,
                0,
                what,
                "take it out of LONG in xtask/src/tidy/file_length.rs",
            ));
        }
    }
    for (path, _) in long.iter().filter(|(path, _)| tree.file(path).is_none()) {
        findings.push(Finding {
            path: (*path).to_owned(),
            line: 0,
            what: "is listed as long and is not there".to_owned(),
            remedy: "take it out of LONG in xtask/src/tidy/file_length.rs",
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn a_long_file_is_found_unless_it_is_generated() {
        let long = "x\n".repeat(LINES_MAX + 1);
        let fits = "x\n".repeat(LINES_MAX);
        let files = [("a/src/long.rs", &*long), ("a/src/fits.rs", &*fits), ("web/dist/app.js", &*long)];
        assert_eq!(places(check, &files), ["a/src/long.rs:0"]);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_found() {
        let tree = Tree::of(&[("a/src/short.rs", "x\n")]);
        let found = check_with(&tree, &[("a/src/short.rs", "why"), ("a/src/gone.rs", "why")]);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
