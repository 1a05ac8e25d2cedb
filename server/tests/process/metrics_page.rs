//! `docs/metrics.md` is made from what a fresh process shows at `/metrics`: every family, with its help, its type and
//! its labels. After a change: `cargo xtask docs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::rig::{Server, scratch};

/// Labels with more values than that are shown without them.
const VALUES_SHOWN_MAX: usize = 8;

const INTRODUCTION: &str = "\
<!-- Made from the code by server/tests/process/metrics_page.rs: do not edit. -->
# Metrics

Everything that `/metrics` shows. Names are `doorbell_`, the part, the thing, and its unit or `total`. No label holds a
user, a topic, a session or an address. What to look at first is in `docs/operations.md`, and on the dashboard in
`grafana/`. Where the values of a label are listed, all of them are there from the start of the process, at 0.
";

/// The parts in the order in which news travel, with their prefixes.
const PARTS: &[(&str, &str)] = &[
    ("The door", "doorbell_listener_"),
    ("The gateway", "doorbell_gateway_"),
    ("The message service", "doorbell_message_"),
    ("The backplane", "doorbell_backplane_"),
    ("The notifier", "doorbell_notifier_"),
    ("The channel service", "doorbell_channel_"),
    ("The upstream and the offline hook", "doorbell_upstream_"),
    ("The other processes", "doorbell_cluster_"),
    ("Calls to and from other processes", "doorbell_rpc_"),
    ("The process", "doorbell_server_"),
    ("The process, as every program under Prometheus tells it", "process_"),
];

#[derive(Default)]
struct Family {
    help: String,
    kind: String,
    /// Each label with its values.
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The families of a text in Prometheus' format.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            name.clone_into(&mut current);
            help.clone_into(&mut families.entry(current.clone()).or_default().help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if let Some((_, labels)) = line.split_once('{') {
            let (labels, _) = labels.rsplit_once('}').expect("labels end");
            let family = families.get_mut(&current).expect("help comes before samples");
            for (label, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
                // The bounds of a histogram's buckets are no label that one asks by.
                if label != "le" {
                    family
                        .labels
                        .entry(label.to_owned())
                        .or_default()
                        .insert(value.trim_matches('"').to_owned());
                }
            }
        }
    }
    families
}

fn row(name: &str, family: &Family) -> String {
    // Of methods and their outcomes only the watched ones are there from the start.
    let by_method = family.labels.contains_key("method");
    let label = |(label, values): (&String, &BTreeSet<String>)| {
        let open = by_method || matches!(label.as_str(), "shard" | "version");
        if open || values.len() > VALUES_SHOWN_MAX {
            return format!("`{label}`");
        }
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        format!("`{label}`: {}", values.join(" "))
    };
    let labels: Vec<_> = family.labels.iter().map(label).collect();
    let help = family.help.trim_end_matches('.').replace('|', "\\|");
    format!("| `{name}` | {} | {} | {help} |", family.kind, labels.join("; "))
}

fn page(families: &BTreeMap<String, Family>) -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut shown = 0;
    for (title, prefix) in PARTS {
        let _ =
            write!(page, "\n## {title}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n");
        for (name, family) in families.iter().filter(|(name, _)| name.starts_with(prefix)) {
            let _ = writeln!(page, "{}", row(name, family));
            shown += 1;
        }
    }
    assert_eq!(shown, families.len(), "a family of a part that is not in PARTS");
    page
}

#[tokio::test]
async fn the_page_of_metrics_is_current() {
    let (_scratch, data) = scratch();
    let server = Server::start(&data, &[]).await;
    let families = families(&server.get("/metrics").await.body);
    for (name, family) in &families {
        assert!(family.help.len() > 10 && !family.kind.is_empty(), "{name} says nothing");
    }

    let expected = page(&families);

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "docs/metrics.md is stale: run `cargo xtask docs` and commit it. The first line that differs, as found and \
         as the process shows it: {differs:?}"
    );
}
