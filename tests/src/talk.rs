//! What people say over a session, while parts of the installation die: calls are repeated for as long as they are refused
//! for now.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use crate::client::Client;
use crate::cluster::Cluster;

/// Everybody is current again within so long of a process's death (T of `docs/prove.md`).
pub const AFTER_DEATH: Duration = Duration::from_secs(15);
/// Between two tries of a call that is refused for now.
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// A session of a user at a gateway.
///
/// # Errors
/// The gateway does not welcome them.
pub async fn join(cluster: &Cluster, gateway: &str, user: &str) -> anyhow::Result<Client> {
    Client::connect(&cluster.address(gateway)?, &cluster.token(user).await?).await
}

/// The direct conversation of two users, made by a first message.
///
/// # Errors
/// As [`insist`].
pub async fn direct(client: &mut Client, to: &str) -> anyhow::Result<String> {
    let sent = insist(client, "messages.send", json!({"to": to, "key": "first", "text": "first"})).await?;
    Ok(sent["conversation"].as_str().context("a send names its conversation")?.to_owned())
}

/// Sends a text; answers its version.
///
/// # Errors
/// As [`insist`].
pub async fn say(client: &mut Client, conversation: &str, text: &str) -> anyhow::Result<u64> {
    let sent = insist(client, "messages.send", message(conversation, text)).await?;
    sent["version"].as_u64().context("a send names its version")
}

/// What is sent for a text: its key follows from it, so that the same text is the same message.
#[must_use]
pub fn message(conversation: &str, text: &str) -> Value {
    json!({"conversation": conversation, "key": text.replace(' ', "-"), "text": text})
}

/// All messages of a conversation after a version.
///
/// # Errors
/// As [`insist`], or there are more than a page.
pub async fn pull(client: &mut Client, conversation: &str, after: u64) -> anyhow::Result<Vec<Value>> {
    let params = json!({"conversation": conversation, "after": after, "limit": 100});
    let page = insist(client, "messages.list", params).await?;
    ensure!(page["more"] != json!(true), "more than a page");
    Ok(page["messages"].as_array().context("no messages")?.clone())
}

/// Calls, again and again while that is refused for now: with a key, the repeat is harmless.
///
/// # Errors
/// It is refused for good, or for [`AFTER_DEATH`]; or the socket ends.
pub async fn insist(client: &mut Client, method: &str, params: Value) -> anyhow::Result<Value> {
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

/// The topic of a conversation.
#[must_use]
pub fn conversation_topic(conversation: &str) -> String {
    format!("conversation:{conversation}")
}

/// What messages say.
#[must_use]
pub fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|message| message["text"].as_str()).collect()
}
