//! The configuration and the rules as they stand in `grafana/`, with times that a test can wait for.

use anyhow::{Result, ensure};

/// What Prometheus reads, for one target.
pub const CONFIG: &str = include_str!("../../../grafana/prometheus.yaml");
/// What it watches.
pub const ALERTS: &str = include_str!("../../../grafana/alerts.yaml");

/// How long the rules look back, for minutes.
pub const WINDOW: &str = "10s";

/// The configuration, scraping and evaluating twice a second.
pub fn quick_config(target: &str) -> Result<String> {
    let mut config = CONFIG.to_owned();
    for (slow, quick) in [
        ("scrape_interval: 5s", "scrape_interval: 500ms"),
        ("scrape_timeout: 4s", "scrape_timeout: 500ms"),
        ("evaluation_interval: 5s", "evaluation_interval: 500ms"),
        ("127.0.0.1:8080", target),
    ] {
        config = replaced(&config, slow, quick)?;
    }
    Ok(config)
}

/// The alerts: seconds for minutes, and news are old after two seconds.
pub fn quick_alerts() -> Result<String> {
    let mut alerts = replaced(ALERTS, "for: 1m", "for: 1s")?;
    for (slow, quick) in [("[2m]", format!("[{WINDOW}]")), ("[10m", format!("[{WINDOW}"))] {
        alerts = replaced(&alerts, slow, &quick)?;
    }
    alerts = replaced(&alerts, "oldest_news_seconds) > 20", "oldest_news_seconds) > 2")?;
    ensure!(!alerts.contains("m]") && !alerts.contains("m:]"), "a window of minutes is left:\n{alerts}");
    Ok(alerts)
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "`{from}` is not there any more: mend tests/tests/operations/rules.rs");
    Ok(text.replace(from, to))
}

/// The names of the alerts.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: "))
}
