//! No function of TypeScript or JavaScript above 70 lines. Those of Rust are clippy's (`too_many_lines`).

use super::tree::File;
use super::{Finding, Tree};

/// Most lines between a function's first and last, as for Rust.
const LINES_MAX: usize = 70;

/// Checks every script that people wrote.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().iter().filter(|file| is_script(file)).flat_map(long_functions).collect()
}

fn is_script(file: &File) -> bool {
    file.is_code() && matches!(file.extension(), "ts" | "js" | "mjs")
}

/// A function begins with a line that has a bracket and ends with a brace, and ends with the next line that closes
/// a brace and is indented as much. The project's scripts are written so.
fn long_functions(file: &File) -> Vec<Finding> {
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut findings = Vec::new();
    for (line, text) in file.lines() {
        let indent = text.len() - text.trim_start().len();
        if text.trim_start().starts_with('}') {
            while let Some(&(depth, begin)) = open.last() {
                if depth < indent {
                    break;
                }
                open.pop();
                let length = line - begin - 1;
                if depth == indent && length > LINES_MAX {
                    let what = format!("a function of {length} lines; {LINES_MAX} at most");
                    findings.push(Finding::new(file, begin, what, "give a part of it a name of its own"));
                }
            }
        }
        if text.ends_with('{') && text.contains('(') && !is_control(text.trim_start()) {
            open.push((indent, line));
        }
    }
    findings
}

/// A loop or a condition is part of a function, or of a file whose tests it repeats.
fn is_control(text: &str) -> bool {
    ["for ", "if ", "while ", "switch ", "}"].iter().any(|word| text.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    fn of_lines(count: usize) -> String {
        format!("class A {{\n  go(): void {{\n{}  }}\n\n  stop() {{\n  }}\n}}\n", "    x();\n".repeat(count))
    }

    #[test]
    fn a_long_function_is_found_and_a_long_class_is_not() {
        let loop_of_tests = of_lines(LINES_MAX + 1).replace("  go(): void", "  for (const each of all)");
        let files = [
            ("tests/suite/loop.mjs", &*loop_of_tests),
            ("web/src/long.ts", &*of_lines(LINES_MAX + 1)),
            ("web/src/fits.ts", &*of_lines(LINES_MAX)),
            ("web/dist/app.js", &*of_lines(LINES_MAX + 1)),
        ];
        assert_eq!(places(check, &files), ["web/src/long.ts:2"]);
    }
}
