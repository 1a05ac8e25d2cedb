//! The one end-to-end binary: real processes, real sockets, what a user would see.

mod amend;
mod bad_input;
mod delivery;
mod disk;
mod durability;
mod hints;
mod http_door;
mod large;
mod lifecycle;
mod load;
mod members;
mod presence;
mod prove;
mod signals;
mod slow_client;

use anyhow::Context;
use doorbell_tests::{Client, Doorbell, Options};
use serde_json::{Value, json};

/// A session of a user.
async fn join(doorbell: &Doorbell, user: &str) -> anyhow::Result<Client> {
    Client::connect(doorbell.address(), &doorbell.token(user).await?).await
}

/// Options for tests that send more than ten messages in ten seconds.
fn unthrottled() -> Options {
    Options::default().with("DOORBELL_MESSAGE__THROTTLE_MESSAGES", "1000000")
}

/// Sends a text with a key that follows from it, and answers the result.
async fn say(client: &mut Client, conversation: &str, text: &str) -> anyhow::Result<Value> {
    let key = text.replace(' ', "-");
    client.call("messages.send", json!({"conversation": conversation, "key": key, "text": text})).await
}

/// The direct conversation of two users, made by a first message.
async fn direct(client: &mut Client, to: &str) -> anyhow::Result<String> {
    let sent = client.call("messages.send", json!({"to": to, "key": "first", "text": "first"})).await?;
    Ok(sent["conversation"].as_str().context("a send names its conversation")?.to_owned())
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|message| message["text"].as_str()).collect()
}

/// One call over HTTP: the status and the body.
async fn call_over_http(
    doorbell: &Doorbell,
    user: Option<&str>,
    method: &str,
    params: &Value,
) -> anyhow::Result<(u16, Value)> {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    if let Some(user) = user {
        headers.push(("authorization", format!("Bearer {}", doorbell.token(user).await?)));
    }
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (status, body) =
        doorbell.http("POST", &format!("/v1/call/{method}"), &headers, &params.to_string()).await?;
    Ok((status, serde_json::from_str(&body)?))
}
