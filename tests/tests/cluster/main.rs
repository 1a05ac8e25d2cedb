//! Several processes around Redis: everything works, and the death of any of them costs a delay.

mod canaries;
mod cut;
mod deaths;
mod large;
mod redis_away;
mod throttle;
mod together;

use std::time::Duration;

use anyhow::Context;
use doorbell_tests::Shape;
use doorbell_tests::cluster::Cluster;

/// Everybody is current again within so long of a change of Redis (T of `docs/prove.md`).
const AFTER_REDIS: Duration = Duration::from_secs(20);

/// A cluster for tests that send more than ten messages in ten seconds.
async fn cluster(shape: Shape) -> anyhow::Result<Cluster> {
    Cluster::start(shape, &[("DOORBELL_MESSAGE__THROTTLE_MESSAGES", "1000000")]).await
}

/// The value of one series of a page of metrics.
fn value(metrics: &str, series: &str) -> anyhow::Result<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no metric {series}"))?.parse()?)
}
