//! Who may depend on whom: `protocol` <- `rpc`, `backplane` <- the services <- `server` <- `tests`, and each manifest
//! takes its lints and versions from the workspace.

use toml::{Table, Value};

use super::{File, Finding, Tree};

/// Each crate's folder with the crates of the workspace that it may use, in tests and benches as well (`walk` in tests
/// alone).
const EDGES: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("rpc", &["protocol"]),
    ("walk", &[]),
    ("backplane", &["protocol", "walk"]),
    ("gateway", &["protocol", "rpc", "backplane", "walk"]),
    ("notifier", &["protocol", "rpc", "backplane"]),
    ("channel-svc", &["protocol", "rpc", "backplane", "walk"]),
    ("message-svc", &["protocol", "rpc", "backplane", "walk"]),
    ("upstream", &["protocol", "rpc"]),
    ("cluster", &["protocol", "rpc", "backplane"]),
    // A client like any other: it knows the frames and no service.
    ("bench", &["protocol"]),
    (
        "server",
        &[
            "protocol",
            "rpc",
            "backplane",
            "gateway",
            "notifier",
            "channel-svc",
            "message-svc",
            "upstream",
            "cluster",
            "bench",
        ],
    ),
    (
        "tests",
        &[
            "protocol",
            "rpc",
            "backplane",
            "gateway",
            "notifier",
            "channel-svc",
            "message-svc",
            "upstream",
            "cluster",
            "server",
        ],
    ),
    ("xtask", &[]),
];

const TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks the manifest of every member.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.file("Cargo.toml") else { return Vec::new() };
    let Ok(workspace) = root.text.parse::<Table>() else {
        return vec![Finding::new(root, 0, "is no TOML", "mend it")];
    };
    let mut findings = Vec::new();
    for member in members(&workspace) {
        let manifest = tree.file(&format!("{member}/Cargo.toml"));
        let parsed = manifest.and_then(|file| Some((file, file.text.parse::<Table>().ok()?)));
        match parsed {
            Some((file, table)) => check_member(member, file, &table, &workspace, &mut findings),
            None => findings.push(Finding::new(
                root,
                0,
                format!("the member `{member}` has no readable Cargo.toml"),
                "add it, or take the member out of the list",
            )),
        }
    }
    findings
}

fn members(workspace: &Table) -> Vec<&str> {
    let list = workspace.get("workspace").and_then(|table| table.get("members")).and_then(Value::as_array);
    list.map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn check_member(member: &str, file: &File, manifest: &Table, workspace: &Table, findings: &mut Vec<Finding>) {
    if !inherits(manifest.get("lints")) {
        let what = "does not take the workspace's lints";
        findings.push(Finding::new(file, 0, what, "add `[lints]` with `workspace = true`"));
    }
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == member) else {
        let what = format!("`{member}` has no entry in the list of crate edges");
        findings.push(Finding::new(file, 0, what, "add it to EDGES in xtask/src/tidy/crate_edges.rs"));
        return;
    };
    let tables = TABLES.iter().filter_map(|name| manifest.get(*name)?.as_table());
    for (name, value) in tables.flatten() {
        let line = line_of(file, name);
        if let Some(used) = local_folder(workspace, name, value) {
            let itself = used == member || used == ".";
            if !itself && !allowed.contains(&used.as_str()) {
                let what = format!("`{member}` must not depend on `{used}`");
                findings.push(Finding::new(
                    file,
                    line,
                    what,
                    "meet in a trait of `rpc` or `backplane` instead",
                ));
            }
        } else if !inherits(Some(value)) {
            let what = format!("`{name}` does not take its version from the workspace");
            findings.push(Finding::new(
                file,
                line,
                what,
                "write `NAME.workspace = true`; versions stand in one place",
            ));
        }
    }
}

/// The folder of a dependency that is a crate of this workspace.
fn local_folder(workspace: &Table, name: &str, value: &Value) -> Option<String> {
    let shared = workspace.get("workspace")?.get("dependencies")?.get(name);
    let path = value.get("path").or_else(|| shared?.get("path"))?.as_str()?;
    Some(path.rsplit('/').next().unwrap_or(path).to_owned())
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

fn line_of(file: &File, name: &str) -> usize {
    let starts = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '.', '=']));
    file.lines().find(|(_, line)| starts(line)).map_or(0, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const ROOT: &str = "[workspace]\nmembers = [\"gateway\"]\n[workspace.dependencies]\n\
                        d-rpc = { path = \"rpc\" }\nd-notifier = { path = \"notifier\" }\nbytes = \"1\"\n";

    fn gateway(manifest: &str) -> Vec<String> {
        places(check, &[("Cargo.toml", ROOT), ("gateway/Cargo.toml", manifest)])
    }

    #[test]
    fn a_service_that_uses_another_is_found() {
        let lints = "[lints]\nworkspace = true\n";
        let bad = "[dependencies]\nd-rpc.workspace = true\nd-notifier.workspace = true\n";
        assert_eq!(gateway(&format!("{lints}{bad}")), ["gateway/Cargo.toml:5"]);
        let dev = "[dev-dependencies]\nd-notifier = { path = \"../notifier\" }\n";
        assert_eq!(gateway(&format!("{lints}{dev}")), ["gateway/Cargo.toml:4"]);
        let itself = "[dev-dependencies]\nd-gateway = { path = \".\", features = [\"testing\"] }\n";
        assert_eq!(gateway(&format!("{lints}{itself}")), Vec::<String>::new());
        let good = "[dependencies]\nd-rpc.workspace = true\nbytes.workspace = true\n";
        assert_eq!(gateway(&format!("{lints}{good}")), Vec::<String>::new());
    }

    #[test]
    fn an_own_version_and_missing_lints_are_found() {
        assert_eq!(
            gateway("[dependencies]\nbytes = \"1\"\n"),
            ["gateway/Cargo.toml:0", "gateway/Cargo.toml:2"]
        );
    }

    #[test]
    fn a_member_that_nobody_placed_is_found() {
        let root = "[workspace]\nmembers = [\"extra\", \"gone\"]\n";
        let files = [("Cargo.toml", root), ("extra/Cargo.toml", "[lints]\nworkspace = true\n")];
        assert_eq!(places(check, &files), ["extra/Cargo.toml:0", "Cargo.toml:0"]);
    }
}
