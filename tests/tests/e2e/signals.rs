//! Signals: the other members who are online hear them, nobody else does, and nothing waits for them.

use anyhow::{Context, bail};
use doorbell_protocol::{CallId, ClientFrame, Encoding, ErrorBody, ErrorCode, Payload, ServerFrame, TopicId};
use doorbell_tests::{Client, Doorbell};
use serde_json::{Value, json};

use crate::{join, say, unthrottled};

fn signal(topic: &str, data: &Value) -> anyhow::Result<ClientFrame> {
    Ok(ClientFrame::Signal { topic: TopicId::new(topic)?, data: Payload::encode(Encoding::Json, data) })
}

async fn typing(client: &mut Client, topic: &str) -> anyhow::Result<()> {
    client.send(&signal(topic, &json!({"typing": true}))?).await
}

/// The next signal: from whom, about what, and its data.
async fn heard(client: &mut Client) -> anyhow::Result<(String, String, Value)> {
    match client.frame().await? {
        ServerFrame::Signal { topic, from, data } => {
            let data = serde_json::from_slice(data.to(Encoding::Json).bytes())?;
            Ok((from.to_string(), topic.to_string(), data))
        }
        other => bail!("no signal but {other:?}"),
    }
}

async fn refused(client: &mut Client) -> anyhow::Result<ErrorBody> {
    match client.frame().await? {
        ServerFrame::Error(error) => Ok(error),
        other => bail!("no error but {other:?}"),
    }
}

/// Nothing was heard: the answer to a ping is the next thing that comes.
async fn heard_nothing(client: &mut Client) -> anyhow::Result<()> {
    let id = Some(CallId::Text("nothing".into()));
    client.send(&ClientFrame::Ping { id: id.clone() }).await?;
    assert_eq!(client.frame().await?, ServerFrame::Pong { id });
    Ok(())
}

/// A group's topic.
async fn group(client: &mut Client, members: &[&str]) -> anyhow::Result<String> {
    let params = json!({"members": members, "title": "all", "key": format!("of-{}", members.len())});
    let made = client.call("conversations.create", params).await?;
    Ok(format!("conversation:{}", made["conversation"].as_str().context("no conversation")?))
}

#[tokio::test]
async fn the_other_members_hear_a_signal_whatever_they_speak_and_the_sender_does_not() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    let mut ada_elsewhere = join(&doorbell, "ada").await?;
    let mut bob = join(&doorbell, "bob").await?;
    let token = doorbell.token("eve").await?;
    let mut eve = Client::connect_in(doorbell.address(), &token, Encoding::MsgPack).await?;
    let mut zoe = join(&doorbell, "zoe").await?;
    let topic = group(&mut ada, &["bob", "eve", "offline"]).await?;

    typing(&mut ada, &topic).await?;
    let expected = ("ada".to_owned(), topic.clone(), json!({"typing": true}));
    assert_eq!(heard(&mut bob).await?, expected);
    assert_eq!(heard(&mut eve).await?, expected);

    let data = Payload::encode(Encoding::MsgPack, &json!({"cursor": 7}));
    eve.send(&ClientFrame::Signal { topic: TopicId::new(&topic)?, data }).await?;
    let expected = ("eve".to_owned(), topic, json!({"cursor": 7}));
    for client in [&mut ada, &mut ada_elsewhere, &mut bob] {
        assert_eq!(heard(client).await?, expected, "and nothing of their own before it");
    }
    for client in [&mut eve, &mut zoe] {
        heard_nothing(client).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stranger_is_refused_and_nobody_hears_and_who_was_removed_is_one() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    let mut bob = join(&doorbell, "bob").await?;
    let mut eve = join(&doorbell, "eve").await?;
    let mut zoe = join(&doorbell, "zoe").await?;
    let topic = group(&mut ada, &["bob", "eve"]).await?;

    for name in [&topic, "conversation:nowhere"] {
        typing(&mut zoe, name).await?;
        assert_eq!(refused(&mut zoe).await?.code, ErrorCode::NotFound, "{name}");
    }
    typing(&mut zoe, "inbox:zoe").await?;
    assert_eq!(refused(&mut zoe).await?.code, ErrorCode::Invalid);

    let conversation = topic.split_once(':').context("a topic")?.1;
    ada.call("members.remove", json!({"conversation": conversation, "users": ["eve"]})).await?;
    typing(&mut eve, &topic).await?;
    assert_eq!(refused(&mut eve).await?.code, ErrorCode::NotFound);
    typing(&mut ada, &topic).await?;
    assert_eq!(heard(&mut bob).await?.0, "ada", "the first that bob hears");
    heard_nothing(&mut eve).await?;
    heard_nothing(&mut ada).await
}

#[tokio::test]
async fn a_large_conversation_and_large_data_are_refused() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    let mut bob = join(&doorbell, "bob").await?;
    let names: Vec<_> = (0..99).map(|number| format!("member-{number}")).collect();
    let mut members: Vec<_> = names.iter().map(String::as_str).collect();
    members.push("bob");
    let large = group(&mut ada, &members).await?;
    let small = group(&mut ada, &members[90..]).await?;

    typing(&mut ada, &large).await?;
    assert_eq!(refused(&mut ada).await?.code, ErrorCode::Forbidden);
    ada.send(&signal(&small, &json!("x".repeat(1_023)))?).await?;
    assert_eq!(refused(&mut ada).await?.code, ErrorCode::TooLarge);

    ada.send(&signal(&small, &json!("x".repeat(1_022)))?).await?;
    assert_eq!(heard(&mut bob).await?.1, small, "the first that bob hears");
    Ok(())
}

#[tokio::test]
async fn one_signal_a_topic_passes_in_two_seconds() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    let mut bob = join(&doorbell, "bob").await?;
    let (one, other) = (group(&mut ada, &["bob"]).await?, group(&mut ada, &["bob", "eve"]).await?);

    typing(&mut ada, &one).await?;
    typing(&mut ada, &one).await?;
    let error = refused(&mut ada).await?;
    typing(&mut ada, &other).await?;

    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(error.retry_after_ms.is_some_and(|ms| (1..=2_000).contains(&ms)), "{error:?}");
    let mut topics = [heard(&mut bob).await?.1, heard(&mut bob).await?.1];
    topics.sort();
    let mut expected = [one, other];
    expected.sort();
    assert_eq!(topics, expected);
    heard_nothing(&mut bob).await
}

#[tokio::test]
async fn a_flood_of_signals_and_a_client_that_does_not_read_them_hold_up_no_hint() -> anyhow::Result<()> {
    const MESSAGES: u64 = 50;
    const SIGNALS_EACH: u64 = 100;
    let options = unthrottled()
        .with("DOORBELL_GATEWAY__SIGNAL_INTERVAL", "0s")
        .with("DOORBELL_GATEWAY__FRAMES_PER_SECOND", "1000000")
        .with("DOORBELL_GATEWAY__FRAMES_BURST", "1000000");
    let doorbell = Doorbell::start_with(options).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let mut flooder = join(&doorbell, "joe").await?;
    let mut awake = join(&doorbell, "bob").await?;
    let mut asleep = join(&doorbell, "eve").await?;
    let topic = group(&mut ada, &["bob", "eve", "joe"]).await?;
    let conversation = topic.split_once(':').context("a topic")?.1.to_owned();
    let noise = signal(&topic, &json!("x".repeat(1_000)))?;

    for number in 1..=MESSAGES {
        for _ in 0..SIGNALS_EACH {
            flooder.send(&noise).await?;
        }
        say(&mut ada, &conversation, &format!("message {number}")).await?;
        awake.hinted(&topic, number).await?;
    }

    asleep.hinted(&topic, MESSAGES).await?;
    let shown = doorbell.metric(r#"doorbell_gateway_signals_shown_total{outcome="written"}"#).await?;
    assert!(shown > 0.0, "no signal passed at all");
    Ok(())
}
