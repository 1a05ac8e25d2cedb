//! Every warning and error of the log is explained in docs/operations.md, and every line explained there is in the code.

use super::{File, Finding, Tree};

/// Where operators look.
const DOCUMENT: &str = "docs/operations.md";
/// The heading of the table whose first column quotes the lines.
const HEADING: &str = "## What the log says";

/// Checks both ways.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(document) = tree.file(DOCUMENT) else { return Vec::new() };
    let explained = explained(document);
    let mut findings = Vec::new();
    let mut said = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_rust_source() && !file.is_rule()) {
        for (line, text) in logged(file) {
            if !explained.iter().any(|(_, known)| *known == text) {
                let what = format!("{DOCUMENT} does not explain the line \"{text}\"");
                findings.push(Finding::new(file, line, what, "add it to the table of what the log says"));
            }
            said.push(text);
        }
    }
    for (line, text) in explained.into_iter().filter(|(_, text)| !said.iter().any(|known| known == text)) {
        let what = format!("nothing logs \"{text}\" as a warning or an error");
        findings.push(Finding::new(document, line, what, "take it out, or mend its words"));
    }
    findings
}

/// The quoted lines of the table, with their places.
fn explained(document: &File) -> Vec<(usize, &str)> {
    let table = document.lines().skip_while(|(_, line)| *line != HEADING).skip(1);
    let rows = table.take_while(|(_, line)| !line.starts_with("## "));
    rows.filter_map(|(number, line)| Some((number, line.strip_prefix("| `")?.split_once('`')?.0))).collect()
}

/// The texts of the product's warnings and errors: the last string of each call.
fn logged(file: &File) -> Vec<(usize, String)> {
    let tests = file.tests_from().unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for macro_name in ["warn!(", "error!("] {
        for (at, _) in file.text.match_indices(macro_name) {
            let line = file.text[..at].matches('\n').count() + 1;
            let whole_name = !file.text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if line < tests && whole_name {
                let text = last_string(&file.text[at + macro_name.len()..]);
                found.extend(text.map(|text| (line, constant_part(text))));
            }
        }
    }
    found
}

/// What of a text is the same each time and can stand in a table: up to the first value or break, without back quotes.
fn constant_part(text: &str) -> String {
    text.split(['{', '\\']).next().unwrap_or_default().replace('`', "").trim_end().to_owned()
}

/// The last string before the parenthesis that closes the call. Log texts hold no escapes.
fn last_string(call: &str) -> Option<&str> {
    let (mut depth, mut start, mut last) = (1, None, None);
    for (at, c) in call.char_indices() {
        match (c, start) {
            ('"', None) => start = Some(at + 1),
            ('"', Some(from)) => {
                last = Some(&call[from..at]);
                start = None;
            }
            ('(', None) => depth += 1,
            (')', None) if depth == 1 => return last,
            (')', None) => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const CODE: &str = "//! A.\ntracing::warn!(%error, cause = f(\"x\"),\n    \"the disk is full\");\n\
                        error!(\"lost\");\n#[cfg(test)]\nmod tests { fn f() { warn!(\"in a test\") } }\n";

    #[test]
    fn a_text_is_known_by_its_constant_part() {
        assert_eq!(constant_part("`demo` is on at {address}: all may come"), "demo is on at");
    }

    #[test]
    fn a_line_is_explained_and_an_explained_line_is_logged() {
        let table = "# Operations\n| `lost elsewhere` |\n## What the log says\n| `the disk is full` | … |\n";
        let files = [("a/src/b.rs", CODE), (DOCUMENT, table)];
        assert_eq!(places(check, &files), ["a/src/b.rs:4"]);

        let more = format!("{table}| `lost` | … |\n| `never said` | … |\n## Next\n| `other` | … |\n");
        assert_eq!(places(check, &[("a/src/b.rs", CODE), (DOCUMENT, &more)]), ["docs/operations.md:6"]);
    }
}
