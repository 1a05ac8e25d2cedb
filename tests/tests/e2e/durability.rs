//! What was acknowledged survives a crash, and clients catch up with their cursor.

use anyhow::Context;
use doorbell_tests::{Client, Doorbell, Options};
use serde_json::{Value, json};

use crate::{direct, join, say, texts, unthrottled};

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_kill_in_the_middle_of_sends() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().join("data");
    let doorbell = Doorbell::start_in(&data, unthrottled()).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let conversation = direct(&mut ada, "bob").await?;
    let mut sending = tokio::task::JoinSet::new();
    sending.spawn(send_until_cut(ada, conversation.clone()));
    let mut bob = join(&doorbell, "bob").await?;
    bob.hinted(&format!("conversation:{conversation}"), 200).await?;

    doorbell.kill().await?;
    let acknowledged = sending.join_next().await.context("the sender")???;
    let doorbell = Doorbell::start_in(&data, unthrottled()).await?;

    let messages = join(&doorbell, "bob").await?.pull(&conversation, 0).await?;
    let versions: Vec<u64> = messages.iter().filter_map(|message| message["version"].as_u64()).collect();
    assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>(), "versions are dense");
    for (version, id, text) in &acknowledged {
        let kept = &messages[usize::try_from(version - 1)?];
        assert_eq!((kept["id"].as_str(), kept["text"].as_str()), (Some(id.as_str()), Some(text.as_str())));
    }
    assert!(acknowledged.len() >= 100, "only {} sends were acknowledged", acknowledged.len());
    Ok(())
}

async fn send_until_cut(mut ada: Client, conversation: String) -> anyhow::Result<Vec<(u64, String, String)>> {
    let mut acknowledged = Vec::new();
    for number in 2_u64.. {
        let text = format!("message {number}");
        let Ok(sent) = say(&mut ada, &conversation, &text).await else { break };
        let version = sent["version"].as_u64().context("no version")?;
        acknowledged.push((version, sent["id"].as_str().context("no id")?.to_owned(), text));
    }
    Ok(acknowledged)
}

#[tokio::test]
async fn a_repeated_key_gives_the_same_answer_after_a_crash() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().join("data");
    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let params = json!({"to": "bob", "key": "once", "text": "hello"});
    let first = join(&doorbell, "ada").await?.call("messages.send", params.clone()).await?;

    doorbell.kill().await?;
    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let mut ada = join(&doorbell, "ada").await?;

    assert_eq!(ada.call("messages.send", params).await?, first);
    let other = json!({"to": "bob", "key": "once", "text": "something else"});
    let refused = ada.try_call("messages.send", other).await?.err().context("a conflict")?;
    assert_eq!(refused.code, doorbell_protocol::ErrorCode::Conflict);
    Ok(())
}

#[tokio::test]
async fn ten_parallel_repeats_of_a_key_make_one_message() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(join(&doorbell, "ada").await?);
    }

    let mut tasks = tokio::task::JoinSet::new();
    for mut session in sessions {
        let params = json!({"to": "bob", "key": "same", "text": "hello"});
        tasks.spawn(async move { session.call("messages.send", params).await });
    }
    let answers = tasks.join_all().await.into_iter().collect::<anyhow::Result<Vec<Value>>>()?;

    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    let conversation = answers[0]["conversation"].as_str().context("no conversation")?;
    assert_eq!(join(&doorbell, "bob").await?.pull(conversation, 0).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_cursor_finds_exactly_what_was_missed_also_across_a_crash() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().join("data");
    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let (with_bob, with_carol) = (direct(&mut ada, "bob").await?, direct(&mut ada, "carol").await?);
    let mut bob = join(&doorbell, "bob").await?;
    let (_, cursor) = settled(&mut bob, &with_bob).await?;
    drop(bob);

    say(&mut ada, &with_bob, "missed one").await?;
    say(&mut ada, &with_carol, "not for bob").await?;
    doorbell.kill().await?;
    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let mut bob = join(&doorbell, "bob").await?;

    let (topics, _) = bob.changes(Some(&cursor)).await?;
    // A crash may repeat the announcement of the creation, which moves the inbox once more.
    let conversations: Vec<_> = topics.iter().filter(|(topic, _)| !topic.starts_with("inbox:")).collect();
    assert_eq!(conversations, [(&format!("conversation:{with_bob}"), &2)]);
    assert_eq!(texts(&bob.pull(&with_bob, 1).await?), ["missed one"]);
    Ok(())
}

/// The changes once the conversation's creation has reached the user's inbox as well.
async fn settled(
    client: &mut Client,
    conversation: &str,
) -> anyhow::Result<(std::collections::HashMap<String, u64>, String)> {
    loop {
        let (topics, cursor) = client.changes(None).await?;
        let inbox = topics.keys().any(|topic| topic.starts_with("inbox:"));
        if inbox && topics.contains_key(&format!("conversation:{conversation}")) {
            return Ok((topics, cursor));
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_store_is_answered_with_reset() -> anyhow::Result<()> {
    let (one, other) = (Doorbell::start().await?, Doorbell::start().await?);
    let mut ada = join(&one, "ada").await?;
    direct(&mut ada, "bob").await?;
    let (_, cursor) = ada.changes(None).await?;
    let mut elsewhere = join(&other, "ada").await?;
    direct(&mut elsewhere, "carol").await?;

    let page = elsewhere.call("topics.changes", json!({"cursor": cursor})).await?;

    assert_eq!(page["reset"], json!(true));
    assert!(
        page["topics"].as_object().context("topics")?.keys().any(|topic| topic.starts_with("conversation:"))
    );
    Ok(())
}
