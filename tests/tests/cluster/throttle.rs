//! What a user may send, over all gateways and over the lives of the message service.

use std::time::Duration;

use anyhow::{bail, ensure};
use doorbell_protocol::ErrorCode;
use doorbell_tests::client::Client;
use doorbell_tests::talk::{AFTER_DEATH, direct, join, message, say};
use doorbell_tests::{Cluster, Shape};
use tokio::time::{Instant, interval};

use crate::deaths::store_owner;
use crate::value;

/// Ten messages, as by default; the next one comes back after six minutes, which no test takes.
const PERIOD: (&str, &str) = ("DOORBELL_MESSAGE__THROTTLE_PERIOD", "1h");
const MESSAGES: u64 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn whoever_takes_the_store_over_knows_what_users_have_left() -> anyhow::Result<()> {
    Box::pin(ten_messages_are_ten(Shape { messages: 2, restart_after: "never", ..Shape::default() })).await
}

#[tokio::test]
async fn a_message_service_that_is_started_again_knows_what_users_have_left() -> anyhow::Result<()> {
    Box::pin(ten_messages_are_ten(Shape { messages: 1, restart_after: "500ms", ..Shape::default() })).await
}

/// Ten by way of one gateway, and the eleventh is refused at every one, also after the owner of the store was killed.
async fn ten_messages_are_ten(shape: Shape) -> anyhow::Result<()> {
    let cluster = Cluster::start(Shape { notifiers: 1, channels: 1, ..shape }, &[PERIOD]).await?;
    let mut here = join(&cluster, "gateway-1", "ada").await?;
    let mut there = join(&cluster, "gateway-2", "ada").await?;
    let mut bob = join(&cluster, "gateway-2", "bob").await?;
    let conversation = direct(&mut here, "bob").await?;
    for number in 2..=MESSAGES {
        let version = say(&mut here, &conversation, &format!("message {number}")).await?;
        ensure!(version == number, "message {number} has version {version}");
    }
    is_refused(&mut there, &conversation, "the eleventh").await?;

    let owner = store_owner(&cluster)?;
    is_kept(&cluster, owner).await?;
    cluster.kill(owner).await?;

    is_refused(&mut there, &conversation, "the eleventh").await?;
    is_refused(&mut here, &conversation, "another eleventh").await?;
    let version = say(&mut bob, &conversation, "bob has all of his").await?;
    ensure!(version == MESSAGES + 1, "{version}: something was let through");
    cluster.stop().await
}

/// Sends, again and again while nobody serves the store: a throttle refuses it then.
async fn is_refused(client: &mut Client, conversation: &str, text: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + AFTER_DEATH;
    let mut tries = interval(LOOK_PAUSE);
    loop {
        tries.tick().await;
        match client.try_call("messages.send", message(conversation, text)).await? {
            Ok(sent) => bail!("{text} was let through: {sent}"),
            Err(error) if error.code == ErrorCode::RateLimited => return Ok(()),
            Err(error) => {
                ensure!(error.retry_after_ms.is_some(), "refused for good: {error:?}");
                ensure!(Instant::now() < deadline, "refused for {AFTER_DEATH:?}: {error:?}");
            }
        }
    }
}

/// Waits until everything that was taken before is with Redis: a round that began since has ended.
async fn is_kept(cluster: &Cluster, owner: &str) -> anyhow::Result<()> {
    let rounds = async || {
        let (_, metrics) = cluster.get(owner, "/metrics").await?;
        let ended = |outcome| {
            value(&metrics, &format!("doorbell_message_throttle_rounds_total{{outcome=\"{outcome}\"}}"))
        };
        Ok::<_, anyhow::Error>(ended("kept")? + ended("quiet")?)
    };
    let (before, deadline) = (rounds().await?, Instant::now() + AFTER_DEATH);
    let mut looks = interval(LOOK_PAUSE);
    // The next one may have begun already.
    while rounds().await? < before + 2.0 {
        looks.tick().await;
        ensure!(Instant::now() < deadline, "no round within {AFTER_DEATH:?}");
    }
    Ok(())
}
