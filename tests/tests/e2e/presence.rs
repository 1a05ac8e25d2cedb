//! Who is there: hints of coming and going, statuses by hand, and who may see whom.

use anyhow::Context;
use doorbell_protocol::{ErrorCode, TopicId};
use doorbell_tests::client::DEADLINE;
use doorbell_tests::{Client, Doorbell, Options};
use serde_json::{Value, json};

use crate::{call_over_http, direct, join};

/// Short enough to wait for, and long enough that nobody is back by chance.
fn short_grace() -> Options {
    Options::default().with("DOORBELL_GATEWAY__PRESENCE_GRACE", "100ms")
}

fn topic(user: &str) -> String {
    format!("presence:{user}")
}

/// The version of somebody's presence that a client knows.
fn known(client: &Client, user: &str) -> anyhow::Result<u64> {
    let topic = TopicId::new(topic(user))?;
    Ok(client.versions().get(&topic).map_or(0, |version| version.get()))
}

/// Waits for a hint of somebody's presence beyond what is known, and answers how they are seen then.
async fn next(client: &mut Client, user: &str) -> anyhow::Result<Value> {
    let after = known(client, user)? + 1;
    client.hinted(&topic(user), after).await?;
    status(client, user).await
}

async fn status(client: &mut Client, user: &str) -> anyhow::Result<Value> {
    Ok(client.call("status.get", json!({"users": [user]})).await?[user].clone())
}

async fn set(doorbell: &Doorbell, user: &str, params: Value) -> anyhow::Result<()> {
    let (code, body) = call_over_http(doorbell, Some(user), "status.set", &params).await?;
    assert_eq!(code, 200, "{body}");
    Ok(())
}

/// Waits until the server has counted one of these.
async fn counted(doorbell: &Doorbell, metric: &str) -> anyhow::Result<()> {
    let waiting = async {
        while doorbell.metric(metric).await? < 1.0 {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, waiting).await.with_context(|| format!("never counted: {metric}"))?
}

/// Follows somebody, who never came or went before.
async fn follow(client: &mut Client, user: &str) -> anyhow::Result<()> {
    let followed = client.subscribe(&[&topic(user)]).await?;
    let followed = followed.map_err(|error| anyhow::anyhow!("{user}: {error:?}"))?;
    assert_eq!(followed["topics"], json!({topic(user): 0}));
    Ok(())
}

/// What was noted before both of these came has been told by then.
async fn fence(
    doorbell: &Doorbell,
    watcher: &mut Client,
    witnesses: [&str; 2],
) -> anyhow::Result<Vec<Client>> {
    let mut sessions = Vec::new();
    for witness in witnesses {
        let params = json!({"to": witness, "key": format!("fence-{witness}"), "text": "hello"});
        watcher.call("messages.send", params).await?;
        follow(watcher, witness).await?;
        sessions.push(join(doorbell, witness).await?);
        assert_eq!(next(watcher, witness).await?["state"], "online");
    }
    Ok(sessions)
}

#[tokio::test]
async fn coming_and_going_is_hinted_and_shown() -> anyhow::Result<()> {
    let doorbell = Doorbell::start_with(short_grace()).await?;
    let mut ada = join(&doorbell, "ada").await?;
    direct(&mut ada, "bob").await?;
    follow(&mut ada, "bob").await?;
    assert_eq!(status(&mut ada, "bob").await?, json!({"state": "offline"}));

    let bob = join(&doorbell, "bob").await?;
    assert_eq!(next(&mut ada, "bob").await?["state"], "online");
    drop(bob);
    let gone = next(&mut ada, "bob").await?;
    assert_eq!(gone["state"], "offline");
    let seen = gone["last_seen_ms"].as_u64().context("nobody knows when")?;
    // In whole seconds.
    assert!(seen + 1_000 > ada.welcome.server_time_ms.as_millis() && seen.is_multiple_of(1_000), "{gone}");

    let mut late = join(&doorbell, "ada").await?;
    let followed = late.subscribe(&[&topic("bob")]).await?.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    assert_eq!(followed["topics"], json!({topic("bob"): known(&ada, "bob")?}), "as it is at this moment");
    Ok(())
}

#[tokio::test]
async fn a_return_within_the_grace_is_no_news_and_shows_no_gap() -> anyhow::Result<()> {
    let options = Options::default().with("DOORBELL_GATEWAY__PRESENCE_GRACE", "10m");
    let doorbell = Doorbell::start_with(options).await?;
    let mut ada = join(&doorbell, "ada").await?;
    direct(&mut ada, "bob").await?;
    follow(&mut ada, "bob").await?;
    let bob = join(&doorbell, "bob").await?;
    assert_eq!(next(&mut ada, "bob").await?["state"], "online");
    let came = known(&ada, "bob")?;

    drop(bob);
    counted(&doorbell, "doorbell_gateway_lingering_users").await?;
    assert_eq!(status(&mut ada, "bob").await?["state"], "online");
    let _bob = join(&doorbell, "bob").await?;

    let _witnesses = fence(&doorbell, &mut ada, ["carol", "dan"]).await?;
    assert_eq!(known(&ada, "bob")?, came);
    assert_eq!(status(&mut ada, "bob").await?["state"], "online");
    Ok(())
}

#[tokio::test]
async fn a_status_by_hand_is_hinted_and_an_invisible_user_is_not() -> anyhow::Result<()> {
    let doorbell = Doorbell::start_with(short_grace()).await?;
    let mut ada = join(&doorbell, "ada").await?;
    direct(&mut ada, "bob").await?;
    follow(&mut ada, "bob").await?;
    let bob = join(&doorbell, "bob").await?;
    assert_eq!(next(&mut ada, "bob").await?["state"], "online");

    set(&doorbell, "bob", json!({"state": "busy", "text": "in a meeting"})).await?;
    let busy = next(&mut ada, "bob").await?;
    assert_eq!((&busy["state"], &busy["text"]), (&json!("busy"), &json!("in a meeting")));
    set(&doorbell, "bob", json!({"state": "invisible"})).await?;
    let hidden = next(&mut ada, "bob").await?;
    assert_eq!(hidden["state"], "offline");
    let before = known(&ada, "bob")?;

    drop(bob);
    counted(&doorbell, r#"doorbell_message_presence_total{outcome="hidden"}"#).await?;
    let _bob = join(&doorbell, "bob").await?;
    let _witnesses = fence(&doorbell, &mut ada, ["carol", "dan"]).await?;
    assert_eq!(known(&ada, "bob")?, before, "neither going nor coming is told");
    assert_eq!(status(&mut ada, "bob").await?, hidden);

    set(&doorbell, "bob", json!({"state": "auto"})).await?;
    assert_eq!(next(&mut ada, "bob").await?["state"], "online");
    Ok(())
}

#[tokio::test]
async fn strangers_are_not_seen() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    direct(&mut ada, "bob").await?;
    let _eve = join(&doorbell, "eve").await?;

    let denied = ada.subscribe(&["presence:eve"]).await?;
    assert_eq!(denied.err().context("ada follows a stranger")?.code, ErrorCode::NotFound);
    let some = ada
        .subscribe(&["presence:eve", "presence:bob"])
        .await?
        .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    assert_eq!(some, json!({"topics": {"presence:bob": 0}, "not_found": ["presence:eve"]}));
    let seen = ada.call("status.get", json!({"users": ["eve", "bob"]})).await?;
    assert_eq!(seen, json!({"bob": {"state": "offline"}}));
    Ok(())
}

#[tokio::test]
async fn who_left_the_last_shared_conversation_is_hinted_no_more() -> anyhow::Result<()> {
    let options = short_grace()
        .with("DOORBELL_GATEWAY__AUTHORIZE_INTERVAL", "1s")
        .with("DOORBELL_GATEWAY__AUDIENCE_TIMEOUT", "200ms");
    let doorbell = Doorbell::start_with(options).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let params = json!({"members": ["bob"], "title": "A group", "key": "group"});
    let group = ada.call("conversations.create", params).await?["conversation"].clone();
    follow(&mut ada, "bob").await?;
    let bob = join(&doorbell, "bob").await?;
    assert_eq!(next(&mut ada, "bob").await?["state"], "online");
    let before = known(&ada, "bob")?;

    ada.call("members.remove", json!({"conversation": group, "users": ["ada"]})).await?;
    assert_eq!(status(&mut ada, "bob").await?, Value::Null);
    counted(&doorbell, r#"doorbell_gateway_authorizations_total{outcome="denied"}"#).await?;
    drop(bob);
    counted(&doorbell, r#"doorbell_gateway_graces_total{end="over"}"#).await?;

    let _witnesses = fence(&doorbell, &mut ada, ["carol", "dan"]).await?;
    assert_eq!(known(&ada, "bob")?, before);
    Ok(())
}

#[tokio::test]
async fn a_client_that_falls_silent_is_offline() -> anyhow::Result<()> {
    let options = short_grace()
        .with("DOORBELL_GATEWAY__HEARTBEAT", "1s")
        .with("DOORBELL_GATEWAY__SILENCE_MAX", "2400ms")
        .with("DOORBELL_GATEWAY__HELLO_TIMEOUT", "2s");
    let doorbell = Doorbell::start_with(options).await?;
    let mut ada = join(&doorbell, "ada").await?;
    direct(&mut ada, "bob").await?;
    follow(&mut ada, "bob").await?;
    // Nobody reads its socket any more, and so nobody answers the pings.
    let _silent = join(&doorbell, "bob").await?;
    assert_eq!(next(&mut ada, "bob").await?["state"], "online");

    assert_eq!(next(&mut ada, "bob").await?["state"], "offline");
    Ok(())
}
