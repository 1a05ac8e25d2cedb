//! What one process does, several do together.

use anyhow::{Context, ensure};
use doorbell_tests::Shape;
use doorbell_tests::process::http;
use doorbell_tests::talk::{AFTER_DEATH, conversation_topic, direct, insist, join, pull, say, texts};
use serde_json::{Value, json};

use crate::cluster;

#[tokio::test]
async fn a_message_crosses_gateways_and_services() -> anyhow::Result<()> {
    let cluster = cluster(Shape::default()).await?;
    let (mut ada, mut bob) =
        (join(&cluster, "gateway-1", "ada").await?, join(&cluster, "gateway-2", "bob").await?);

    let conversation = direct(&mut ada, "bob").await?;
    for number in 2..=20 {
        let version = say(&mut ada, &conversation, &format!("message {number}")).await?;
        assert_eq!(version, number);
        bob.knows(&conversation_topic(&conversation), number, AFTER_DEATH).await?;
    }

    let pulled = pull(&mut bob, &conversation, 0).await?;
    assert_eq!((texts(&pulled)[0], pulled.len()), ("first", 20));
    cluster.stop().await
}

#[tokio::test]
async fn a_large_group_is_rung_by_the_owners_of_its_topic_at_every_gateway() -> anyhow::Result<()> {
    let cluster = cluster(Shape::default()).await?;
    let mut ada = join(&cluster, "gateway-1", "ada").await?;
    let mut online = Vec::new();
    for (number, gateway) in ["gateway-1", "gateway-2", "gateway-2"].iter().enumerate() {
        online.push(join(&cluster, gateway, &format!("member-{number}")).await?);
    }
    // Several groups: their topics have owners on both channel services.
    for group in 0..4 {
        let members: Vec<String> = (0..130).map(|number| format!("member-{number}")).collect();
        let params = json!({"members": members, "title": "all", "key": format!("made-{group}")});
        let made = insist(&mut ada, "conversations.create", params).await?;
        let conversation = made["conversation"].as_str().context("no conversation")?.to_owned();
        for number in 1..=5 {
            say(&mut ada, &conversation, &format!("message {number}")).await?;
            for client in &mut online {
                client.knows(&conversation_topic(&conversation), number, AFTER_DEATH).await?;
            }
        }
    }
    cluster.stop().await
}

#[tokio::test]
async fn a_client_is_told_which_gateway_to_use() -> anyhow::Result<()> {
    let shape = Shape { gateways: 2, notifiers: 1, channels: 1, ..Shape::default() };
    let cluster = cluster(shape).await?;
    let where_ = async |name: &str| http(&cluster.address(name)?, "GET", "/v1/where", &[], "").await;

    let (status, body) = where_("gateway-1").await?;
    ensure!(status == 200, "{status} {body}");
    let named = serde_json::from_str::<Value>(&body)?["url"].as_str().context("no url")?.to_owned();
    let gateways = ["gateway-1", "gateway-2"].map(|name| cluster.address(name));
    let urls =
        gateways.into_iter().map(|one| Ok(format!("ws://{}", one?))).collect::<anyhow::Result<Vec<_>>>()?;
    assert!(urls.contains(&named), "{named} is none of {urls:?}");
    let (status, _) = where_("notifier-1").await?;
    assert_eq!(status, 404, "who has no gateway serves no clients");
    cluster.stop().await
}
