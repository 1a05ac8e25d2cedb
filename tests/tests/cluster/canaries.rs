//! Whether rings arrive is seen where nobody is rung, and is no reason to be unready.

use std::time::Duration;

use anyhow::ensure;
use doorbell_tests::talk::AFTER_DEATH;
use doorbell_tests::{Cluster, Shape};
use tokio::time::{Instant, interval};

use crate::value;

const GATEWAYS: [&str; 2] = ["gateway-1", "gateway-2"];
const AGE: &str = "doorbell_gateway_canary_age_seconds";
const LATE: &str = "doorbell_gateway_canaries_late";
const ARRIVED: &str = "doorbell_gateway_canary_seconds_count";
const PARTITIONS: f64 = 16.0;
/// A canary is late after three of them.
const INTERVAL: (&str, &str) = ("DOORBELL_GATEWAY__CANARY_INTERVAL", "200ms");
const LATE_AFTER_SECONDS: f64 = 0.6;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// S: the only notifier stands still, and then goes on. Every gateway sees both, and is ready throughout.
#[tokio::test]
async fn canaries_are_late_while_no_notifier_runs_and_gateways_stay_ready() -> anyhow::Result<()> {
    let cluster =
        Cluster::start(Shape { notifiers: 1, channels: 1, ..Shape::default() }, &[INTERVAL]).await?;
    until(&cluster, "all are heard", |of| of(ARRIVED) >= PARTITIONS && of(LATE) == 0.0).await?;

    cluster.signal("notifier-1", "-STOP").await?;
    until(&cluster, "all are late", |of| of(LATE) == PARTITIONS && of(AGE) > LATE_AFTER_SECONDS).await?;
    // As old as the silence, however long that is.
    until(&cluster, "they are older", |of| of(AGE) > 5.0 * LATE_AFTER_SECONDS).await?;

    cluster.signal("notifier-1", "-CONT").await?;
    until(&cluster, "all are heard again", |of| of(LATE) == 0.0 && of(AGE) <= LATE_AFTER_SECONDS).await?;
    cluster.stop().await
}

/// Waits until something holds of the metrics of every gateway, each of which is ready at every look.
async fn until(
    cluster: &Cluster,
    what: &str,
    holds: impl Fn(&dyn Fn(&str) -> f64) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + AFTER_DEATH;
    let mut looks = interval(LOOK_PAUSE);
    for gateway in GATEWAYS {
        loop {
            looks.tick().await;
            let (status, why) = cluster.get(gateway, "/readyz").await?;
            ensure!(status == 200, "{gateway} is not ready: {why}");
            let (_, metrics) = cluster.get(gateway, "/metrics").await?;
            let of = |name: &str| value(&metrics, name).unwrap_or(f64::NAN);
            if holds(&of) {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "never at {gateway}: {what}: late {}, age {}",
                of(LATE),
                of(AGE)
            );
        }
    }
    Ok(())
}
