//! Several processes around Redis: everything works, and the death of any of them costs a delay.

mod canaries;
mod deaths;
mod redis_away;
mod together;

use std::time::Duration;

use anyhow::{Context, ensure};
use doorbell_tests::cluster::Cluster;
use doorbell_tests::{Client, Shape};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

/// Everybody is current again within so long of a process's death (`design`, section 6: T).
const AFTER_DEATH: Duration = Duration::from_secs(15);
/// Within so long of a change of Redis.
const AFTER_REDIS: Duration = Duration::from_secs(20);
/// Between two tries of a call that is refused for now.
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// A cluster for tests that send more than ten messages in ten seconds.
async fn cluster(shape: Shape) -> anyhow::Result<Cluster> {
    Cluster::start(shape, &[("DOORBELL_MESSAGE__THROTTLE_MESSAGES", "1000000")]).await
}

async fn join(cluster: &Cluster, gateway: &str, user: &str) -> anyhow::Result<Client> {
    Client::connect(&cluster.address(gateway)?, &cluster.token(user).await?).await
}

/// The direct conversation of two users, made by a first message.
async fn direct(client: &mut Client, to: &str) -> anyhow::Result<String> {
    let sent = insist(client, "messages.send", json!({"to": to, "key": "first", "text": "first"})).await?;
    Ok(sent["conversation"].as_str().context("a send names its conversation")?.to_owned())
}

/// Sends a text; answers its version.
async fn say(client: &mut Client, conversation: &str, text: &str) -> anyhow::Result<u64> {
    let params = json!({"conversation": conversation, "key": text.replace(' ', "-"), "text": text});
    insist(client, "messages.send", params).await?["version"].as_u64().context("a send names its version")
}

/// All messages of a conversation after a version.
async fn pull(client: &mut Client, conversation: &str, after: u64) -> anyhow::Result<Vec<Value>> {
    let params = json!({"conversation": conversation, "after": after, "limit": 100});
    let page = insist(client, "messages.list", params).await?;
    ensure!(page["more"] != json!(true), "more than a page");
    Ok(page["messages"].as_array().context("no messages")?.clone())
}

/// Calls, again and again while that is refused for now: with a key, the repeat is harmless.
async fn insist(client: &mut Client, method: &str, params: Value) -> anyhow::Result<Value> {
    let deadline = Instant::now() + AFTER_DEATH;
    let mut tries = interval(TRY_PAUSE);
    loop {
        tries.tick().await;
        match client.try_call(method, params.clone()).await? {
            Ok(result) => return Ok(result),
            Err(error) => {
                ensure!(error.retry_after_ms.is_some(), "refused for good: {error:?}");
                ensure!(Instant::now() < deadline, "refused for {AFTER_DEATH:?}: {error:?}");
            }
        }
    }
}

fn conversation_topic(conversation: &str) -> String {
    format!("conversation:{conversation}")
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|message| message["text"].as_str()).collect()
}
