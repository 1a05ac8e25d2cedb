//! Nothing names a folder of somebody's machine, or a file outside of the checkout.

use super::{Finding, Tree};

/// Beginnings of paths that exist on one machine only.
const HOMES: &[&str] = &["/home/", "/root/", "/work/", "/Users/"];

/// A neighbour of the checkout.
const NEIGHBOURS: &[&str] = &["../shared"];

/// Checks each text file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| !file.is_rule()) {
        for (number, line) in file.lines() {
            let named = HOMES.iter().find(|home| begins_with(line, home));
            let named = named.or_else(|| NEIGHBOURS.iter().find(|path| line.contains(**path)));
            if let Some(named) = named {
                let what = format!("names `{named}…`, which is not there elsewhere");
                findings.push(Finding::new(
                    file,
                    number,
                    what,
                    "use a path inside of the checkout, or a variable",
                ));
            }
        }
    }
    findings
}

/// Whether `home` stands in the line as the beginning of a path, and not in the middle of one or as a host.
fn begins_with(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let host = line[..at].ends_with(":/");
        !host
            && before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '-' | '_' | '}' | '$' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn paths_of_one_machine_are_found() {
        let text = "see /home/ada/x\nfile:///root/y\n`/work/z`\n../shared/a.md\nhttps://x.org/work/ ws://home/v1 ./work/ok\n";
        let found = places(check, &[("docs/a.md", text)]);
        assert_eq!(found, ["docs/a.md:1", "docs/a.md:2", "docs/a.md:3", "docs/a.md:4"]);
    }
}
