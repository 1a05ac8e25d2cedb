//! No file or folder whose name says nothing, and no `mod.rs`.

use super::{Finding, Tree};

const EMPTY_NAMES: &[&str] =
    &["common", "helper", "helpers", "manager", "managers", "misc", "shared", "types", "util", "utils"];

/// Checks each part of each code file's path.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_code()) {
        if file.name() == "mod.rs" {
            let what = "is a `mod.rs`";
            findings.push(Finding::new(file, 0, what, "name it after its module: `foo.rs` beside `foo/`"));
        }
        let parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
        for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
            let what = format!("`{part}` says nothing about what is in it");
            findings.push(Finding::new(file, 0, what, "name it after the noun it holds"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn names_that_say_nothing_are_found() {
        let files = [
            ("a/src/utils.rs", ""),
            ("a/src/session/mod.rs", ""),
            ("web/src/helpers/dom.ts", ""),
            ("a/src/session.rs", ""),
        ];
        let found = places(check, &files);
        assert_eq!(found, ["a/src/utils.rs:0", "a/src/session/mod.rs:0", "web/src/helpers/dom.ts:0"]);
    }
}
