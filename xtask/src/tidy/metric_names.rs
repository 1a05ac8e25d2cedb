//! A metric's name stands in one `metrics.rs`; whoever else mentions one mentions one that exists.

use std::collections::BTreeSet;

use super::{File, Finding, Tree};

const PREFIX: &str = "doorbell_";

/// What Prometheus adds to the name of a histogram.
const SERIES: &[&str] = &["_bucket", "_count", "_sum"];

/// Checks code, documents and dashboards.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let (sources, readers): (Vec<&File>, Vec<&File>) = tree.files().iter().partition(|file| defines(file));
    let names: BTreeSet<&str> =
        sources.iter().flat_map(|file| file.lines()).flat_map(|(_, line)| metric_names(line)).collect();
    let crates = crate_names(tree);
    let mut findings = Vec::new();
    for file in readers.into_iter().filter(|file| reads(file)) {
        findings.extend(made_elsewhere(file, &crates));
        for (number, line) in file.lines() {
            let mentions = metric_names(line).filter(|name| !crates.iter().any(|known| known == name));
            let mentions = mentions.filter(|name| !file.is_code() || has_service(&names, name));
            for name in mentions.filter(|name| !exists(&names, name)) {
                let what = format!("there is no metric `{name}`");
                findings.push(Finding::new(
                    file,
                    number,
                    what,
                    "mend the name, or add the metric to a metrics.rs",
                ));
            }
        }
    }
    findings
}

fn defines(file: &File) -> bool {
    file.is_rust_source() && file.path.split('/').any(|part| matches!(part, "metrics.rs" | "metrics"))
}

fn reads(file: &File) -> bool {
    let extension = matches!(file.extension(), "md" | "yaml" | "yml" | "json" | "rs" | "ts" | "py");
    extension && !file.is_generated() && !file.is_rule()
}

/// The crates' names as Rust writes them: they share the prefix and are no metrics.
fn crate_names(tree: &Tree) -> Vec<String> {
    let manifests = tree.files().iter().filter(|file| file.name() == "Cargo.toml");
    let names =
        manifests.flat_map(|file| file.lines()).filter_map(|(_, line)| line.strip_prefix("name = \""));
    names.map(|name| name.trim_end().trim_end_matches('"').replace('-', "_")).collect()
}

/// Metrics that the product's code names outside of a `metrics.rs`.
fn made_elsewhere(file: &File, crates: &[String]) -> Vec<Finding> {
    let tests = file.tests_from().unwrap_or(usize::MAX);
    let product = file.lines().take_while(|(number, _)| file.is_rust_source() && *number < tests);
    let quoted = product.filter(|(_, line)| {
        metric_names(line)
            .any(|name| line.contains(&format!("\"{name}\"")) && !crates.iter().any(|known| known == name))
    });
    let what = "a metric's name outside of a metrics.rs";
    quoted
        .map(|(number, _)| Finding::new(file, number, what, "move the family to the crate's metrics.rs"))
        .collect()
}

/// Whether the word after the prefix is that of some metric: in code, functions may share the prefix.
fn has_service(names: &BTreeSet<&str>, name: &str) -> bool {
    let service = |name: &str| name[PREFIX.len()..].split('_').next().map(str::to_owned);
    names.iter().any(|known| service(known) == service(name))
}

/// The words of a line that begin as a metric's name does. A word that ends in `_` is the beginning of many.
fn metric_names(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.len() > PREFIX.len() && word.starts_with(PREFIX) && !word.ends_with('_'))
}

fn exists(names: &BTreeSet<&str>, name: &str) -> bool {
    names.contains(name)
        || SERIES.iter().any(|end| name.strip_suffix(end).is_some_and(|family| names.contains(family)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn a_metric_that_is_made_elsewhere_is_found() {
        let text =
            "Gauge::new(\"doorbell_server_uptime_seconds\", help)\n#[cfg(test)]\n\"doorbell_server_x\"\n";
        let files = [("server/src/metrics.rs", text), ("server/src/clock.rs", text)];
        assert_eq!(places(check, &files), ["server/src/clock.rs:1"]);
    }

    #[test]
    fn a_metric_that_does_not_exist_is_found() {
        let files = [
            ("gateway/Cargo.toml", "name = \"doorbell-gateway\"\n"),
            ("gateway/src/metrics.rs", "Opts::new(\"doorbell_gateway_sessions\", \"…\")\n"),
            ("gateway/src/a.rs", "use doorbell_gateway::Metrics;\nfn doorbell_token() {}\n"),
            ("docs/operations.md", "`doorbell_gateway_sessions`\n`doorbell_gateway_ghosts_total`\n"),
            ("server/tests/a.rs", "\"doorbell_gateway_sessions_sum\"\n\"doorbell_gateway_session\"\n"),
        ];
        assert_eq!(places(check, &files), ["docs/operations.md:2", "server/tests/a.rs:2"]);
    }
}
