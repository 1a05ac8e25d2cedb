//! The rules that a compiler does not know: who may depend on whom, sizes, names, habits, and documents that are true.
//!
//! Each rule is a pure function over the tree's text, with a test on a small bad example. A finding says where, what,
//! and what to do.

mod close_code_table;
mod crate_edges;
mod doc_paths;
mod fault_table;
mod file_length;
mod grafana;
mod habits;
mod invariants;
mod lock_files;
mod log_lines;
mod metric_names;
mod module_docs;
mod module_names;
mod outside_paths;
mod script_functions;
mod sleeps;
mod tree;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use tree::{File, Tree};

/// One rule, by the name that findings carry.
struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule { name: "crate-edges", check: crate_edges::check },
    Rule { name: "file-length", check: file_length::check },
    Rule { name: "script-functions", check: script_functions::check },
    Rule { name: "module-docs", check: module_docs::check },
    Rule { name: "module-names", check: module_names::check },
    Rule { name: "habits", check: habits::check },
    Rule { name: "sleeps", check: sleeps::check },
    Rule { name: "outside-paths", check: outside_paths::check },
    Rule { name: "lock-files", check: lock_files::check },
    Rule { name: "invariants", check: invariants::check },
    Rule { name: "metric-names", check: metric_names::check },
    Rule { name: "grafana", check: grafana::check },
    Rule { name: "doc-paths", check: doc_paths::check },
    Rule { name: "log-lines", check: log_lines::check },
    Rule { name: "close-code-table", check: close_code_table::check },
    Rule { name: "fault-table", check: fault_table::check },
];

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// 0 where the whole file is meant.
    line: usize,
    what: String,
    remedy: &'static str,
}

impl Finding {
    fn new(file: &File, line: usize, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { path: file.path.clone(), line, what: what.into(), remedy }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}\n    {}", self.what, self.remedy)
    }
}

/// Checks the checkout, prints each finding, and fails if there is one.
///
/// # Errors
/// Where a file cannot be read.
pub fn run(root: &Path) -> Result<ExitCode> {
    let tree = Tree::read(root)?;
    let mut total = 0;
    for rule in RULES {
        for finding in (rule.check)(&tree) {
            println!("[{}] {finding}", rule.name);
            total += 1;
        }
    }
    if total == 0 {
        println!("tidy: {} files, {} rules, nothing found", tree.files().len(), RULES.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {total} found");
    Ok(ExitCode::FAILURE)
}

/// Shows what a rule finds in an example, as `path:line` each: what the rules' own tests compare.
#[cfg(test)]
fn places(check: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::of(files)).into_iter().map(|found| format!("{}:{}", found.path, found.line)).collect()
}
