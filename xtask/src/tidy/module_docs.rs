//! Every Rust file under a `src` says in its first line what it is for. A `tests.rs` is its neighbour's.

use super::{Finding, Tree};

/// Checks the first line of each.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let written = tree.files().iter().filter(|file| !file.is_generated());
    let sources = written.filter(|file| file.is_rust_source() && file.name() != "tests.rs");
    let undocumented = sources.filter(|file| !file.text.starts_with("//! "));
    undocumented
        .map(|file| {
            let what = "does not begin with `//! ` and its purpose";
            Finding::new(file, 1, what, "say in one sentence what the file is for")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn a_file_without_its_purpose_is_found() {
        let files = [
            ("a/src/good.rs", "//! Good.\n"),
            ("a/src/bad.rs", "use x;\n"),
            ("a/src/good/tests.rs", "use x;\n"),
        ];
        assert_eq!(places(check, &files), ["a/src/bad.rs:1"]);
    }
}
