//! A notifier dies in the middle of a turn.

use doorbell_tests::Shape;
use doorbell_tests::talk::{AFTER_DEATH, join};

use crate::stage::{ONE_OF_EACH, Stage};

const DIES: &str = "notifier-1";
const ACKED: &str = "doorbell_notifier_settlements_total{outcome=\"acked\"}";
/// Claims that ended with their worker: who died had bob in hand.
const EXPIRED: &str = "doorbell_backplane_expiries_total";

/// bob was told of nothing, and is after the claim's lease.
async fn is_told_after(point: &str) -> anyhow::Result<()> {
    let mut stage = Stage::start(ONE_OF_EACH, &[]).await?;

    stage.orders.abort(point)?;
    assert_eq!(stage.say("second").await?.version, 2, "sends do not wait for hints");
    stage.cluster.dies(DIES).await?;

    stage.knows(2).await?;
    stage.counts(DIES, EXPIRED, 1).await?;
    assert_eq!(stage.bob.hints(&stage.topic), 2, "one for each message");
    assert_eq!(stage.log().await?, ["first", "second"]);
    stage.end().await
}

#[tokio::test]
async fn k6_a_user_who_was_claimed_and_no_more_is_claimed_again_after_the_lease() -> anyhow::Result<()> {
    Box::pin(is_told_after("notifier.claimed")).await
}

#[tokio::test]
async fn k7_a_user_who_was_looked_up_and_not_rung_is_rung_after_the_lease() -> anyhow::Result<()> {
    Box::pin(is_told_after("notifier.before-push")).await
}

/// bob has two sessions. One gateway has answered; the other one stands still, and was never called before: not even a
/// greeting gets through.
#[tokio::test]
async fn k8_where_some_gateways_were_called_all_are_in_the_next_round() -> anyhow::Result<()> {
    let mut stage = Stage::start(Shape { gateways: 2, ..ONE_OF_EACH }, &[]).await?;
    let mut second = join(&stage.cluster, "gateway-2", "bob").await?;

    stage.cluster.signal("gateway-2", "-STOP").await?;
    stage.orders.abort("notifier.answered")?;
    stage.say("second").await?;
    stage.cluster.dies(DIES).await?;
    stage.cluster.signal("gateway-2", "-CONT").await?;

    stage.bob.hears(&stage.topic, 3, AFTER_DEATH).await?;
    second.hears(&stage.topic, 1, AFTER_DEATH).await?;
    stage.counts(DIES, ACKED, 1).await?;
    assert_eq!(stage.log().await?, ["first", "second"]);
    assert!(stage.bob.hints(&stage.topic) <= 4, "one more for each round: {}", stage.bob.hints(&stage.topic));
    drop(second);
    stage.end().await
}

#[tokio::test]
async fn k9_a_user_who_was_rung_and_not_settled_is_rung_once_more() -> anyhow::Result<()> {
    let mut stage = Stage::start(ONE_OF_EACH, &[]).await?;

    stage.orders.abort("notifier.answered")?;
    stage.say("second").await?;
    stage.cluster.dies(DIES).await?;

    stage.bob.hears(&stage.topic, 3, AFTER_DEATH).await?;
    stage.counts(DIES, ACKED, 1).await?;
    assert_eq!(stage.log().await?, ["first", "second"]);
    assert_eq!(stage.bob.hints(&stage.topic), 3, "one for each message, and one again");
    stage.end().await
}

/// It is stopped with its claim for longer than the lease, another one rings and settles; what it says after it goes on is
/// refused and harms nobody.
#[tokio::test]
async fn k10_a_notifier_that_wakes_up_after_its_lease_is_refused() -> anyhow::Result<()> {
    let hasty = [
        ("DOORBELL_NOTIFIER__CLAIM_LEASE", "1s"),
        ("DOORBELL_NOTIFIER__DELIVER_DEADLINE", "300ms"),
        ("DOORBELL_NOTIFIER__BACKPLANE_DEADLINE", "300ms"),
        ("DOORBELL_GATEWAY__REFOLLOW_WAIT", "200ms"),
    ];
    let mut stage = Stage::start(Shape { notifiers: 2, ..ONE_OF_EACH }, &hasty).await?;
    let stale = "doorbell_notifier_settlements_total{outcome=\"stale\"}";

    stage.orders.stop("notifier.answered")?;
    stage.say("second").await?;
    stage.bob.hears(&stage.topic, 3, AFTER_DEATH).await?;
    let asleep = stage.cluster.stopped(&["notifier-1", "notifier-2"])?;
    stage.say("third").await?;
    stage.knows(3).await?;
    stage.cluster.signal(&asleep, "-CONT").await?;

    stage.counts(&asleep, stale, 1).await?;
    stage.say("fourth").await?;
    stage.knows(4).await?;
    assert_eq!(stage.log().await?, ["first", "second", "third", "fourth"]);
    stage.end().await
}
