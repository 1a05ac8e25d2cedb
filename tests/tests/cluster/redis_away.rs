//! Redis goes, comes back, and has forgotten everything.

use doorbell_tests::Shape;
use doorbell_tests::talk::{AFTER_DEATH, conversation_topic, direct, join, say};

use crate::{AFTER_REDIS, cluster};

/// R2: sends are acknowledged while Redis is away; when it is back, empty, who kept its socket knows all of them, and new
/// ones ring.
#[tokio::test]
async fn redis_may_be_started_empty_and_nobody_is_started_again() -> anyhow::Result<()> {
    let mut cluster = cluster(Shape { restart_after: "never", ..Shape::default() }).await?;
    let (mut ada, mut bob) =
        (join(&cluster, "gateway-1", "ada").await?, join(&cluster, "gateway-2", "bob").await?);
    let conversation = direct(&mut ada, "bob").await?;
    let topic = conversation_topic(&conversation);
    bob.knows(&topic, 1, AFTER_DEATH).await?;

    cluster.redis.kill().await?;
    for number in 2..=6 {
        let version = say(&mut ada, &conversation, &format!("message {number}")).await?;
        assert_eq!(version, number, "acknowledged without Redis");
    }
    cluster.redis.start_again().await?;

    bob.knows(&topic, 6, AFTER_REDIS).await?;
    let version = say(&mut ada, &conversation, "after it").await?;
    bob.knows(&topic, version, AFTER_REDIS).await?;
    cluster.stop().await
}
