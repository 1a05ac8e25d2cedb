//! Dashboards and alerts: what they ask is there, titles are questions, units and help stand by, and each alert has a
//! section that says what to do. That the expressions have data is a test's: `tests/tests/operations`.

mod promql;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{File, Finding, Tree};
use promql::metrics_of;

const FOLDER: &str = "grafana/";
const METRICS: &str = "docs/metrics.md";
/// What Prometheus itself knows of each target.
const OF_PROMETHEUS: &[&str] = &["up"];
/// The series of a histogram.
const SERIES: &[&str] = &["_bucket", "_count", "_sum"];
const NO_METRIC: &str = "mend the name, or add the metric and run `cargo xtask docs`";

/// Checks the files in `grafana/`.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let types = tree.file(METRICS).map(metric_types).unwrap_or_default();
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.path.starts_with(FOLDER)) {
        match file.extension() {
            "json" => board(file, &types, &mut findings),
            "yaml" => alerts(tree, file, &types, &mut findings),
            _ => {}
        }
    }
    findings
}

/// Each metric of the generated page with its type.
fn metric_types(page: &File) -> BTreeMap<String, String> {
    let rows = page.lines().filter_map(|(_, line)| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        Some((cells.next()?.trim().trim_end_matches('`').to_owned(), cells.next()?.trim().to_owned()))
    });
    rows.collect()
}

fn exists(types: &BTreeMap<String, String>, name: &str) -> bool {
    let of = |name: &str| types.get(name).map(String::as_str);
    match of(name) {
        Some(kind) => kind != "histogram",
        None => {
            let family = SERIES.iter().find_map(|end| name.strip_suffix(end));
            OF_PROMETHEUS.contains(&name) || family.and_then(of) == Some("histogram")
        }
    }
}

fn unknown_metrics(
    file: &File,
    expression: &str,
    types: &BTreeMap<String, String>,
    findings: &mut Vec<Finding>,
) {
    for name in metrics_of(expression).into_iter().filter(|name| !exists(types, name)) {
        let line = file.lines().find(|(_, line)| line.contains(name)).map_or(0, |(number, _)| number);
        let what = format!("asks for `{name}`, and no process has that");
        findings.push(Finding::new(file, line, what, NO_METRIC));
    }
}

fn board(file: &File, types: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    let Ok(board) = serde_json::from_str::<Value>(&file.text) else {
        findings.push(Finding::new(file, 0, "is no JSON", "export it again"));
        return;
    };
    for expression in expressions(&board) {
        unknown_metrics(file, expression, types, findings);
    }
    let panels = board["panels"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, panel) in panels.iter().enumerate() {
        let title = panel["title"].as_str().unwrap_or_default();
        let line = file.lines().find(|(_, line)| line.contains(title)).map_or(0, |(number, _)| number);
        let mut wrong = |what: String, remedy| findings.push(Finding::new(file, line, what, remedy));
        if !title.ends_with('?') {
            wrong(format!("the title `{title}` is no question"), "ask what the panel answers");
        }
        if panel["description"].as_str().is_none_or(|text| text.len() < 20) {
            wrong(format!("`{title}` does not say what is healthy"), "write its `description`");
        }
        if panel["fieldConfig"]["defaults"]["unit"].as_str().is_none_or(str::is_empty) {
            wrong(format!("`{title}` has no unit"), "set `fieldConfig.defaults.unit`");
        }
        if panels[..index].iter().any(|other| overlap(other, panel) || other["id"] == panel["id"]) {
            wrong(
                format!("`{title}` lies over another panel, or has its id"),
                "move it, or give it another id",
            );
        }
    }
}

/// Every `expr` at any depth.
fn expressions(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("expr").and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(expressions)).collect()
        }
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

fn overlap(one: &Value, other: &Value) -> bool {
    let place = |panel: &Value, key: &str| panel["gridPos"][key].as_i64().unwrap_or_default();
    let apart = |from: &str, length: &str| {
        place(one, from) + place(one, length) <= place(other, from)
            || place(other, from) + place(other, length) <= place(one, from)
    };
    !apart("x", "w") && !apart("y", "h")
}

fn alerts(tree: &Tree, file: &File, types: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    let lines: Vec<(usize, &str)> = file.lines().collect();
    let mut starts: Vec<usize> =
        (0..lines.len()).filter(|at| lines[*at].1.trim_start().starts_with("- alert: ")).collect();
    starts.push(lines.len());
    for bounds in starts.windows(2) {
        let rule = &lines[bounds[0]..bounds[1]];
        let (number, name) = (rule[0].0, rule[0].1.trim_start().trim_start_matches("- alert: "));
        unknown_metrics(file, &expression(rule), types, findings);
        let runbook = rule.iter().find_map(|(_, line)| line.trim().strip_prefix("runbook: "));
        if !runbook.is_some_and(|place| has_section(tree, place)) {
            let what = format!("`{name}` has no runbook that is there");
            findings.push(Finding::new(file, number, what, "write `runbook: docs/operations.md#section`"));
        }
    }
}

/// The expression of a rule, of one line or of many.
fn expression(rule: &[(usize, &str)]) -> String {
    let Some(at) = rule.iter().position(|(_, line)| line.trim_start().starts_with("expr:")) else {
        return String::new();
    };
    let depth = |line: &str| line.len() - line.trim_start().len();
    let first = rule[at].1.trim_start().trim_start_matches("expr:").trim();
    let more = rule[at + 1..].iter().map(|(_, line)| *line);
    let more = more.take_while(|line| depth(line) > depth(rule[at].1));
    std::iter::once(first.trim_start_matches('|')).chain(more).collect::<Vec<_>>().join("\n")
}

/// Whether `path#section` names a heading of a file.
fn has_section(tree: &Tree, place: &str) -> bool {
    let Some((file, section)) =
        place.split_once('#').and_then(|(path, section)| Some((tree.file(path)?, section)))
    else {
        return false;
    };
    let anchor = |title: &str| {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let headings = file.lines().filter_map(|(_, line)| line.strip_prefix("## "));
    headings.map(anchor).any(|heading| heading == section)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const PAGE: &str = "| `doorbell_a_total` | counter | | |\n| `doorbell_b_seconds` | histogram | | |\n";

    fn panel(title: &str, expr: &str, x: u32) -> String {
        format!(
            r#"{{"id": {x}, "title": "{title}", "description": "what is healthy, and where to read on",
            "gridPos": {{"x": {x}, "y": 0, "w": 4, "h": 4}}, "fieldConfig": {{"defaults": {{"unit": "s"}}}},
            "targets": [{{"expr": "{expr}"}}]}}"#
        )
    }

    fn board_of(panels: &[String]) -> Vec<String> {
        let text = format!("{{\"panels\": [{}]}}", panels.join(",\n"));
        places(check, &[(METRICS, PAGE), ("grafana/dashboards/a.json", &text)])
    }

    #[test]
    fn a_board_that_asks_for_what_is_not_there_is_found() {
        let good = panel("Is it well?", "rate(doorbell_b_seconds_bucket[5m]) + up", 1);
        assert_eq!(board_of(std::slice::from_ref(&good)), Vec::<String>::new());
        for bad in ["doorbell_ghost", "doorbell_b_seconds", "doorbell_a_total_sum", "node_load1"] {
            let found = board_of(&[good.clone(), panel("Is it so?", bad, 5)]);
            assert!(
                matches!(&found[..], [one] if one.starts_with("grafana/dashboards/a.json:")),
                "{bad}: {found:?}"
            );
        }
    }

    #[test]
    fn a_panel_is_a_question_with_a_unit_and_a_place_of_its_own() {
        let good = panel("Is it well?", "up", 1);
        for bad in [
            good.replace("well?", "well"),
            good.replace("\"unit\": \"s\"", "\"unit\": \"\""),
            good.replace("what is healthy, and where to read on", ""),
        ] {
            assert_eq!(board_of(&[bad]).len(), 1);
        }
        assert_eq!(board_of(&[good, panel("Is it so?", "up", 3)]).len(), 1, "one lies over the other");
    }

    #[test]
    fn an_alert_without_a_section_or_with_an_unknown_metric_is_found() {
        let with = |expr: &str, runbook: &str| {
            let rule =
                format!("  - alert: A\n    expr: {expr}\n    annotations:\n      runbook: {runbook}\n");
            let files =
                [(METRICS, PAGE), ("docs/o.md", "## News wait\n"), ("grafana/alerts.yaml", rule.as_str())];
            places(check, &files)
        };
        assert_eq!(with("doorbell_a_total > 1", "docs/o.md#news-wait"), Vec::<String>::new());
        assert_eq!(with("doorbell_a_total > 1", "docs/o.md#gone"), ["grafana/alerts.yaml:1"]);
        assert_eq!(with("|\n      ghost\n      > 1", "docs/o.md#news-wait"), ["grafana/alerts.yaml:3"]);
    }
}
