//! Lock files name the public registries, so that they mean the same on every machine.

use super::{File, Finding, Tree};

const CRATES: &str = "registry+https://github.com/rust-lang/crates.io-index";
const NPM: &str = "https://registry.npmjs.org/";

/// Checks each lock file and each list of Python packages.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        for (number, _) in file.lines().filter(|(_, line)| is_foreign(file, line.trim_start())) {
            let remedy = "write it again with the public registry as its source";
            findings.push(Finding::new(file, number, "names another source of packages", remedy));
        }
    }
    findings
}

fn is_foreign(file: &File, line: &str) -> bool {
    match file.name() {
        "Cargo.lock" => line.strip_prefix("source = \"").is_some_and(|source| !source.starts_with(CRATES)),
        "package-lock.json" => line.strip_prefix("\"resolved\": \"").is_some_and(|url| !url.starts_with(NPM)),
        "requirements.txt" => line.starts_with('-') || line.contains("://"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn other_sources_are_found() {
        let files = [
            (
                "Cargo.lock",
                "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"git+https://x\"\n",
            ),
            (
                "web/package-lock.json",
                "\"resolved\": \"http://mirror/a\",\n\"resolved\": \"https://registry.npmjs.org/a\"\n",
            ),
            ("tests/clients/requirements.txt", "websockets==17.4\n--index-url https://mirror\n"),
        ];
        let found = places(check, &files);
        assert_eq!(found, ["Cargo.lock:2", "web/package-lock.json:1", "tests/clients/requirements.txt:2"]);
    }
}
