//! A change becomes a ring, and the ring a pull.

use anyhow::Context;
use doorbell_protocol::Encoding;
use doorbell_tests::{Client, Doorbell};
use serde_json::json;

use crate::{direct, join, say, texts, unthrottled};

#[tokio::test]
async fn a_message_rings_the_other_side_which_pulls_it() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let (mut ada, mut bob) = (join(&doorbell, "ada").await?, join(&doorbell, "bob").await?);

    let conversation = direct(&mut ada, "bob").await?;
    say(&mut ada, &conversation, "second").await?;

    bob.hinted(&format!("conversation:{conversation}"), 2).await?;
    assert_eq!(texts(&bob.pull(&conversation, 0).await?), ["first", "second"]);
    Ok(())
}

#[tokio::test]
async fn both_encodings_carry_the_same_conversation() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    let token = doorbell.token("bob").await?;
    let mut bob = Client::connect_in(doorbell.address(), &token, Encoding::MsgPack).await?;

    let meta = json!({"mood": "calm", "n": [1, 2.5, null, true], "ß": "é\u{0}"});
    let params = json!({"to": "bob", "key": "k1", "text": "grüße 🚪", "meta": meta, "media": ["https://a.example/b.png"]});
    let sent = ada.call("messages.send", params).await?;
    let conversation = sent["conversation"].as_str().context("no conversation")?;

    bob.hinted(&format!("conversation:{conversation}"), 1).await?;
    let (from_bob, from_ada) = (bob.pull(conversation, 0).await?, ada.pull(conversation, 0).await?);
    assert_eq!(from_bob, from_ada);
    assert_eq!(from_bob[0]["meta"], meta);
    assert_eq!(from_bob[0]["text"], json!("grüße 🚪"));
    Ok(())
}

#[tokio::test]
async fn every_session_of_every_member_is_rung_for_every_change() -> anyhow::Result<()> {
    let doorbell = Doorbell::start_with(unthrottled()).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let params = json!({"members": ["bob", "carol"], "title": "Three", "key": "c1"});
    let made = ada.call("conversations.create", params).await?;
    let conversation = made["conversation"].as_str().context("no conversation")?.to_owned();
    let mut others = Vec::new();
    for user in ["ada", "bob", "bob", "carol"] {
        others.push(join(&doorbell, user).await?);
    }

    for number in 1..=50 {
        say(&mut ada, &conversation, &format!("message {number}")).await?;
        for client in &mut others {
            client.hinted(&format!("conversation:{conversation}"), number).await?;
        }
    }

    let expected: Vec<String> = (1..=50).map(|number| format!("message {number}")).collect();
    for client in &mut others {
        assert_eq!(texts(&client.pull(&conversation, 0).await?), expected);
    }
    Ok(())
}

#[tokio::test]
async fn reading_on_one_device_rings_the_other_devices_of_the_same_user_only() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let (mut ada, mut bob) = (join(&doorbell, "ada").await?, join(&doorbell, "bob").await?);
    let mut phone = join(&doorbell, "bob").await?;
    let conversation = direct(&mut ada, "bob").await?;
    bob.hinted(&format!("conversation:{conversation}"), 1).await?;
    let inbox = |client: &Client| client.versions().get(&"inbox:bob".parse().unwrap()).map_or(0, |v| v.get());
    phone.hinted("inbox:bob", 1).await?;
    let before = inbox(&phone);
    assert_eq!(unread(&mut bob).await?, 1);

    bob.call("conversations.mark_read", json!({"conversation": conversation, "version": 1})).await?;

    phone.hinted("inbox:bob", before + 1).await?;
    assert_eq!(unread(&mut phone).await?, 0);
    say(&mut bob, &conversation, "a fence").await?;
    ada.hinted(&format!("conversation:{conversation}"), 2).await?;
    assert!(ada.versions().keys().all(|topic| topic.as_str() != "inbox:bob"), "ada heard of bob's inbox");
    Ok(())
}

async fn unread(client: &mut Client) -> anyhow::Result<u64> {
    let list = client.call("conversations.list", json!({})).await?;
    list["conversations"][0]["unread"].as_u64().context("no unread count")
}
