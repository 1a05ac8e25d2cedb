//! Several processes around Redis: everything works, and the death of any of them costs a delay.

mod canaries;
mod cut;
mod deaths;
mod redis_away;
mod together;

use std::time::Duration;

use doorbell_tests::Shape;
use doorbell_tests::cluster::Cluster;

/// Everybody is current again within so long of a change of Redis (T of `docs/prove.md`).
const AFTER_REDIS: Duration = Duration::from_secs(20);

/// A cluster for tests that send more than ten messages in ten seconds.
async fn cluster(shape: Shape) -> anyhow::Result<Cluster> {
    Cluster::start(shape, &[("DOORBELL_MESSAGE__THROTTLE_MESSAGES", "1000000")]).await
}
