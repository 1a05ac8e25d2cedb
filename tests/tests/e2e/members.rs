//! Who comes into a conversation and who leaves it.

use anyhow::Context;
use doorbell_protocol::ErrorCode;
use doorbell_tests::{Client, Doorbell, Options};
use serde_json::{Value, json};

use crate::{call_over_http, join, say, texts};

async fn group(ada: &mut Client, members: &[&str]) -> anyhow::Result<String> {
    let params = json!({"members": members, "title": "A group", "key": "group"});
    let made = ada.call("conversations.create", params).await?;
    Ok(made["conversation"].as_str().context("no conversation")?.to_owned())
}

async fn code(client: &mut Client, method: &str, params: Value) -> anyhow::Result<ErrorCode> {
    Ok(client.try_call(method, params).await?.err().context("it was allowed")?.code)
}

#[tokio::test]
async fn a_newcomer_is_rung_at_once_and_reads_everything() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let (mut ada, mut eve) = (join(&doorbell, "ada").await?, join(&doorbell, "eve").await?);
    let conversation = group(&mut ada, &["bob"]).await?;
    say(&mut ada, &conversation, "before").await?;

    let params = json!({"conversation": conversation, "users": ["eve"]});
    let added = call_over_http(&doorbell, Some("bob"), "members.add", &params).await?;
    assert_eq!(added, (200, json!({"members": 3})));

    eve.hinted("inbox:eve", 1).await?;
    say(&mut ada, &conversation, "after").await?;
    eve.hinted(&format!("conversation:{conversation}"), 2).await?;
    assert_eq!(texts(&eve.pull(&conversation, 0).await?), ["before", "after"]);
    Ok(())
}

#[tokio::test]
async fn who_is_removed_hears_nothing_more_also_after_a_crash() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().join("data");
    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let (mut ada, mut bob) = (join(&doorbell, "ada").await?, join(&doorbell, "bob").await?);
    let conversation = group(&mut ada, &["bob", "eve"]).await?;
    let topic = format!("conversation:{conversation}");
    say(&mut ada, &conversation, "one").await?;
    bob.hinted(&topic, 1).await?;
    bob.hinted("inbox:bob", 1).await?;
    let (_, cursor) = bob.changes(None).await?;

    ada.call("members.remove", json!({"conversation": conversation, "users": ["bob"]})).await?;
    bob.hinted("inbox:bob", 2).await?;
    say(&mut ada, &conversation, "two").await?;
    let mut eve = join(&doorbell, "eve").await?;
    say(&mut ada, &conversation, "three").await?;
    eve.hinted(&topic, 3).await?;
    // The same announcement rings the audience: had bob been in it, this later one would come after his hint.
    ada.call("messages.send", json!({"to": "bob", "key": "fence", "text": "a fence"})).await?;
    bob.hinted("inbox:bob", 3).await?;
    assert_eq!(bob.versions()[&topic.parse()?].get(), 1);

    doorbell.kill().await?;
    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let mut bob = join(&doorbell, "bob").await?;
    let page = bob.call("topics.changes", json!({"cursor": cursor})).await?;
    assert_eq!(page["gone"], json!([topic]));
    for (method, mut params) in [
        ("messages.list", json!({})),
        ("messages.send", json!({"key": "late", "text": "still here?"})),
        ("members.add", json!({"users": ["bob"]})),
    ] {
        params["conversation"] = conversation.as_str().into();
        assert_eq!(code(&mut bob, method, params.clone()).await?, ErrorCode::NotFound, "{method}");
        let (status, _) = call_over_http(&doorbell, Some("bob"), method, &params).await?;
        assert_eq!(status, 404, "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn a_title_rings_all_and_a_mute_its_own_user_alone() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let (mut ada, mut bob) = (join(&doorbell, "ada").await?, join(&doorbell, "bob").await?);
    let conversation = group(&mut ada, &["bob"]).await?;
    bob.hinted("inbox:bob", 1).await?;
    ada.hinted("inbox:ada", 1).await?;

    let renamed = json!({"conversation": conversation, "title": "Another name"});
    let (status, shown) = call_over_http(&doorbell, Some("bob"), "conversations.update", &renamed).await?;
    assert_eq!((status, &shown["title"]), (200, &json!("Another name")));
    ada.hinted(&format!("conversation:{conversation}"), 1).await?;
    let log = ada.pull(&conversation, 0).await?;
    assert_eq!((&log[0]["kind"], &log[0]["text"]), (&json!("rename"), &json!("Another name")));

    let mut phone = join(&doorbell, "bob").await?;
    bob.call("conversations.update", json!({"conversation": conversation, "muted": true, "label": "work"}))
        .await?;
    phone.hinted("inbox:bob", 2).await?;
    let list = phone.call("conversations.list", json!({})).await?;
    let shown = &list["conversations"][0];
    assert_eq!((&shown["muted"], &shown["label"]), (&json!(true), &json!("work")));
    say(&mut bob, &conversation, "a fence").await?;
    ada.hinted(&format!("conversation:{conversation}"), 2).await?;
    assert_eq!(ada.versions()[&"inbox:ada".parse()?].get(), 1, "a mute is nobody else's news");
    Ok(())
}
