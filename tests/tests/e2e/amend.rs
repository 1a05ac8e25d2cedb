//! Messages that are changed and taken away.

use anyhow::Context;
use doorbell_tests::{Doorbell, Options};
use serde_json::json;

use crate::{call_over_http, direct, join, texts};

#[tokio::test]
async fn an_edit_rings_and_a_delete_takes_everything_away_also_after_a_crash() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().join("data");
    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let (mut ada, mut bob) = (join(&doorbell, "ada").await?, join(&doorbell, "bob").await?);
    let conversation = direct(&mut ada, "bob").await?;
    let topic = format!("conversation:{conversation}");

    let edit = json!({"conversation": conversation, "of": 1, "key": "e", "text": "second thoughts"});
    let edited = ada.call("messages.edit", edit.clone()).await?;
    assert_eq!(edited["version"], 2);
    assert_eq!(call_over_http(&doorbell, Some("ada"), "messages.edit", &edit).await?, (200, edited));
    bob.hinted(&topic, 2).await?;
    assert_eq!(texts(&bob.pull(&conversation, 0).await?), ["first", "second thoughts"]);

    let delete = json!({"conversation": conversation, "of": 1, "key": "d"});
    let (status, deleted) = call_over_http(&doorbell, Some("ada"), "messages.delete", &delete).await?;
    assert_eq!((status, &deleted["version"]), (200, &json!(3)));
    bob.hinted(&topic, 3).await?;
    doorbell.kill().await?;

    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let (mut ada, mut bob) = (join(&doorbell, "ada").await?, join(&doorbell, "bob").await?);
    let log = bob.pull(&conversation, 0).await?;
    assert_eq!(texts(&log), ["", "", ""]);
    let gone: Vec<bool> = log.iter().map(|entry| entry["deleted"] == true).collect();
    assert_eq!(gone, [true, true, false]);
    assert_eq!(log[2]["of"], 1);
    let list = bob.call("conversations.list", json!({})).await?;
    let shown = &list["conversations"][0];
    assert_eq!((&shown["last"]["deleted"], &shown["unread"]), (&json!(true), &json!(1)));
    assert_eq!(ada.call("messages.delete", delete).await?, deleted);
    let refused = ada
        .try_call("messages.edit", json!({"conversation": conversation, "of": 1, "key": "f", "text": "x"}));
    let refused = refused.await?.err().context("it was edited")?;
    assert_eq!(refused.code, doorbell_protocol::ErrorCode::Conflict);
    Ok(())
}
