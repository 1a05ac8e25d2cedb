//! The channel service dies with a gateway's words.

use anyhow::Context;
use doorbell_tests::talk::{AFTER_DEATH, conversation_topic, insist, join, say};
use serde_json::json;

use crate::stage::{ONE_OF_EACH, Stage};

const DIES: &str = "channel-1";

/// What it took and did not confirm is said again to the one after it, and publishes come by it.
#[tokio::test]
async fn k14_a_subscription_that_was_stored_and_not_confirmed_is_said_again() -> anyhow::Result<()> {
    let mut stage = Stage::start(ONE_OF_EACH, &[]).await?;
    let mut ada = join(&stage.cluster, "gateway-1", "ada").await?;
    let mut members: Vec<String> = (0..130).map(|number| format!("member-{number}")).collect();
    members.push("bob".to_owned());

    stage.orders.abort("channel.subscribed")?;
    let group = json!({"members": members, "title": "all", "key": "made"});
    let made = insist(&mut ada, "conversations.create", group).await?;
    let conversation = made["conversation"].as_str().context("no conversation")?;
    stage.cluster.dies(DIES).await?;

    stage.counts(DIES, "doorbell_channel_subscriptions", 1).await?;
    let version = say(&mut ada, conversation, "to all").await?;
    stage.bob.knows(&conversation_topic(conversation), version, AFTER_DEATH).await?;
    drop(ada);
    stage.end().await
}
