//! Each fault of the catalogue has its row in the document, and each test named in a row is there and names the fault.

use super::{File, Finding, Tree};

const DOCUMENT: &str = "docs/faults.md";

/// Letters of the catalogue, with how many faults each has, and those of them that are left out.
const FAULTS: &[(char, u8, &[u8])] = &[('K', 17, &[]), ('R', 10, &[]), ('N', 10, &[7, 8, 9])];

/// Lines above a test's name that may belong to it: its documentation and attributes.
const HEAD: &[&str] = &["///", "#["];

/// What makes a function a test; that none is left out is another rule's.
const TEST: &[&str] = &["#[test]", "#[tokio::test"];

/// Checks the table.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(document) = tree.file(DOCUMENT) else { return Vec::new() };
    let mut findings = Vec::new();
    for id in ids() {
        let begins = format!("| {id} |");
        let Some((number, row)) = document.lines().find(|(_, line)| line.starts_with(&begins)) else {
            findings.push(Finding::new(document, 0, format!("{id} has no row"), "add it, with its tests"));
            continue;
        };
        let tests: Vec<&str> =
            row.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("::")).collect();
        if tests.is_empty() {
            findings.push(Finding::new(document, number, format!("{id} names no test"), "name one"));
        }
        let wrong = tests.iter().filter_map(|test| Some((test, wrong(tree, test, &id)?)));
        findings.extend(wrong.map(|(test, what)| {
            Finding::new(document, number, format!("`{test}` {what}"), "mend the name, or the test")
        }));
    }
    findings
}

fn ids() -> impl Iterator<Item = String> {
    FAULTS.iter().flat_map(|(letter, count, left_out)| {
        (1..=*count)
            .filter(|number| !left_out.contains(number))
            .map(move |number| format!("{letter}{number}"))
    })
}

/// What is wrong with a test, given as `path::name`.
fn wrong(tree: &Tree, test: &str, id: &str) -> Option<String> {
    let (path, name) = test.split_once("::")?;
    let Some(file) = tree.file(path) else { return Some("is in no file of ours".to_owned()) };
    let Some(head) = head(file, name) else { return Some("is not in that file".to_owned()) };
    if !head.iter().any(|line| TEST.iter().any(|mark| line.starts_with(mark))) {
        return Some("is no test".to_owned());
    }
    let named_so = name.starts_with(&format!("{}_", id.to_lowercase()));
    let says = |line: &str| line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == id);
    (!named_so && !head.iter().any(|line| says(line))).then(|| format!("does not name {id}"))
}

/// The documentation and attributes above a function.
fn head<'a>(file: &'a File, name: &str) -> Option<Vec<&'a str>> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let begins = format!("fn {name}(");
    let at = lines.iter().position(|line| line.contains(&begins))?;
    let above = lines[..at].iter().rev();
    Some(above.take_while(|line| HEAD.iter().any(|mark| line.starts_with(mark))).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const TESTS: &str = "#[test]\nfn k1_dies() {}\n\n/// R2, N3: gone.\n#[tokio::test]\nasync fn is_gone() {}\n\nfn k1_helps() {}\n";

    fn found(rows: &[(&str, &str)]) -> Vec<String> {
        let whole = ids().map(|id| {
            let test = rows.iter().find(|(named, _)| *named == id).map(|(_, test)| *test);
            let number = id[1..].to_owned();
            (id, test, number)
        });
        let mut text = String::new();
        let mut tests = TESTS.to_owned();
        for (id, test, number) in whole {
            let good = format!("fine_{}{number}", id[..1].to_lowercase());
            tests.push_str(&format!("/// {id}\n#[test]\nfn {good}() {{}}\n"));
            let test = test.map_or_else(|| format!("`a/tests/a.rs::{good}`"), ToOwned::to_owned);
            text.push_str(&format!("| {id} | x | {test} |\n"));
        }
        places(check, &[(DOCUMENT, &text), ("a/tests/a.rs", &tests)])
    }

    #[test]
    fn a_test_that_names_its_fault_is_found() {
        let good = [("K1", "`a/tests/a.rs::k1_dies`"), ("R2", "`a/tests/a.rs::is_gone`")];
        assert_eq!(found(&good), Vec::<String>::new());
    }

    #[test]
    fn a_test_that_is_not_there_or_of_another_fault_is_a_finding() {
        let other = ["`a/tests/b.rs::k1_dies`", "`a/tests/a.rs::k1`", "`a/tests/a.rs::is_gone`"];
        for bad in other.into_iter().chain(["none", "`a/tests/a.rs::k1_helps`"]) {
            assert_eq!(found(&[("K1", bad)]), ["docs/faults.md:1"], "{bad}");
        }
    }

    #[test]
    fn a_fault_without_a_row_is_a_finding() {
        let all = places(check, &[(DOCUMENT, "nothing\n")]);
        assert_eq!(all.len(), ids().count());
        assert!(all.iter().all(|place| place == "docs/faults.md:0"));
    }
}
