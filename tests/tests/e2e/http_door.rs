//! Every method over HTTP: one implementation, two doors.

use doorbell_tests::Doorbell;
use serde_json::json;

use crate::{call_over_http, join};

#[tokio::test]
async fn a_method_answers_alike_over_http_and_over_the_socket() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    let params = json!({"to": "bob", "key": "k", "text": "hello"});

    let over_http = call_over_http(&doorbell, Some("ada"), "messages.send", &params).await?;
    let over_socket = ada.call("messages.send", params).await?;

    assert_eq!(over_http, (200, over_socket));
    Ok(())
}

#[tokio::test]
async fn refusals_have_their_status_and_the_error_object() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let foreign = json!({"conversation": "nothere", "limit": 1});
    let cases = [
        (None, "topics.changes", json!({}), 401, "unauthorized"),
        (Some("ada"), "nothing.such", json!({}), 404, "unknown_method"),
        (Some("ada"), "messages.list", foreign, 404, "not_found"),
        (Some("ada"), "messages.send", json!({"to": "bob", "text": "no key"}), 400, "invalid"),
        (Some("ada"), "messages.send", json!(["a", "list"]), 400, "invalid"),
    ];
    for (user, method, params, status, code) in cases {
        let (got, body) = call_over_http(&doorbell, user, method, &params).await?;
        assert_eq!((got, body["error"]["code"].as_str()), (status, Some(code)), "{method} {body}");
        assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    Ok(())
}
