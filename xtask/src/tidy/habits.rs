//! No stub, no test that is left out, no note without an issue.

use super::{Finding, Tree};

/// What is written, in files of which extensions, and what to do instead.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("todo!(", &["rs"], "write it, or leave the path out"),
    ("unimplemented!(", &["rs"], "write it, or leave the path out"),
    ("#[ignore", &["rs"], "mend the test or delete it"),
    (".skip(", &["ts", "js", "mjs"], "mend the test or delete it"),
    (".only(", &["ts", "js", "mjs"], "let the others run as well"),
    (".todo(", &["ts", "js", "mjs"], "write the test or leave it out"),
    ("unittest.skip", &["py"], "mend the test or delete it"),
    ("skipTest(", &["py"], "fail clearly where something is missing"),
    ("mark.skip", &["py"], "mend the test or delete it"),
];

/// `Iterator::skip` and its like: not a test that is left out.
const TEST_WORDS: &[&str] = &["it", "test", "describe", "suite", "t"];

/// Checks each line that is no comment; notes are looked for in comments as well.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_code() && !file.is_rule()) {
        for (number, line) in file.lines() {
            let comment = is_comment(line);
            for (what, extensions, remedy) in FORBIDDEN {
                if !comment && extensions.contains(&file.extension()) && uses(line, what) {
                    findings.push(Finding::new(file, number, format!("`{what}`"), remedy));
                }
            }
            if has_loose_note(line) {
                let what = "a note without an issue";
                findings.push(Finding::new(file, number, what, "do it, or write `TODO(#NUMBER)`"));
            }
        }
    }
    findings
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//") || line.starts_with("# ") || line.starts_with("* ")
}

fn uses(line: &str, what: &str) -> bool {
    line.match_indices(what).any(|(at, _)| {
        let word = line[..at].rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        !what.starts_with('.') || TEST_WORDS.contains(&word)
    })
}

fn has_loose_note(line: &str) -> bool {
    let marks = ["TODO", "FIXME", "XXX"];
    marks.iter().any(|mark| {
        line.match_indices(mark).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let alone = before.is_none_or(|c| !c.is_alphanumeric());
            let rest = &line[at + mark.len()..];
            alone && !rest.starts_with("(#") && rest.chars().next().is_none_or(|c| !c.is_alphanumeric())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn stubs_and_left_out_tests_are_found() {
        let files = [
            ("a/src/stub.rs", "fn f() {\n    todo!()\n}\n"),
            ("a/src/ignored.rs", "#[ignore = \"slow\"]\n"),
            ("web/test/a.test.ts", "test.skip('x', () => {});\ndescribe.only('y', () => {});\n"),
            ("tests/clients/test_a.py", "@unittest.skip('x')\n    self.skipTest('y')\n"),
        ];
        let found = places(check, &files);
        let wanted = [
            "a/src/stub.rs:2",
            "a/src/ignored.rs:1",
            "web/test/a.test.ts:1",
            "web/test/a.test.ts:2",
            "tests/clients/test_a.py:1",
            "tests/clients/test_a.py:2",
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_note_needs_its_issue() {
        let files = [("a/src/b.rs", "// TODO later\n// TODO(#12) later\n// FIXME: now\nlet x = \"XXXX\";\n")];
        assert_eq!(places(check, &files), ["a/src/b.rs:1", "a/src/b.rs:3"]);
    }

    #[test]
    fn ordinary_code_is_let_be() {
        let files =
            [("a/src/b.rs", "// no `todo!()` here\nxs.iter().skip(1);\n"), ("w/a.ts", "list.skip(1);\n")];
        assert_eq!(places(check, &files), Vec::<String>::new());
    }
}
