//! An invariant such as GW-3 that is mentioned is stated, once, in the `lib.rs` of its crate.

use std::collections::BTreeMap;

use super::{Finding, Tree};

/// Two letters, a dash and digits that are something else.
const OTHER: &[&str] = &[];

/// Checks every mention in code and in documents.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut stated: BTreeMap<&str, String> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.name() == "lib.rs") {
        for (number, line) in file.lines() {
            for id in ids(line).filter(|id| line.contains(&format!("**{id}**"))) {
                if let Some(place) = stated.insert(id, format!("{}:{number}", file.path)) {
                    let what = format!("{id} is stated in {place} already");
                    findings.push(Finding::new(file, number, what, "give it the next free number"));
                }
            }
        }
    }
    let readers = tree.files().iter().filter(|file| file.is_code() || file.extension() == "md");
    for file in readers.filter(|file| !file.is_rule()) {
        for (number, line) in file.lines() {
            for id in ids(line).filter(|id| !stated.contains_key(id)) {
                let what = format!("no lib.rs states {id}");
                findings.push(Finding::new(
                    file,
                    number,
                    what,
                    "state it as `**ID** …` in the crate's lib.rs, or mend the id",
                ));
            }
        }
    }
    findings
}

/// The words of a line that have the shape of an invariant's id.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    words.filter(|word| {
        let parts = word.split_once('-');
        let shape = parts.is_some_and(|(letters, digits)| {
            letters.len() == 2
                && letters.bytes().all(|b| b.is_ascii_uppercase())
                && (1..=2).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit())
        });
        shape && !OTHER.contains(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn an_invariant_is_stated_where_it_is_mentioned_and_once() {
        let files = [
            ("a/src/lib.rs", "//! - **AB-1** One.\n//! - **AB-2** Two.\n//! - **AB-1** Again.\n"),
            ("a/src/b.rs", "//! UTF-8 keeps AB-2.\n// and AB-3\n"),
            ("ARCHITECTURE.md", "(AB-1), (AB-4)\n"),
        ];
        assert_eq!(places(check, &files), ["a/src/lib.rs:3", "a/src/b.rs:2", "ARCHITECTURE.md:1"]);
    }
}
