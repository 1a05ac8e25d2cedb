//! Start, drain, end.

use std::time::Duration;

use anyhow::bail;
use doorbell_protocol::ServerFrame;
use doorbell_tests::{Doorbell, Ended, Options};
use serde_json::json;

use crate::{direct, join, say};

#[tokio::test]
async fn sigterm_sends_goaway_and_the_old_socket_works_until_its_end() -> anyhow::Result<()> {
    let options = Options::default().with("DOORBELL_SHUTDOWN__MOVE_BUDGET", "3s");
    let mut doorbell = Doorbell::start_with(options).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let conversation = direct(&mut ada, "bob").await?;

    doorbell.terminate().await?;

    let ServerFrame::Goaway(goaway) = ada.frame().await? else { bail!("expected goaway") };
    assert!(goaway.reconnect_after_ms <= goaway.deadline_ms);
    say(&mut ada, &conversation, "still here").await?;
    let Ended { code, .. } = ada.ended().await?;
    assert_eq!(code, Some(4503));
    assert_eq!(doorbell.exit_code(Duration::from_secs(20)).await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_process_without_sessions_ends_at_once_on_sigterm() -> anyhow::Result<()> {
    let mut doorbell = Doorbell::start().await?;
    doorbell.terminate().await?;
    assert_eq!(doorbell.exit_code(Duration::from_secs(5)).await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    direct(&mut ada, "bob").await?;

    assert_eq!(doorbell.http("GET", "/healthz", &[], "").await?.0, 200);
    assert_eq!(doorbell.http("GET", "/readyz", &[], "").await?.0, 200);
    assert_eq!(doorbell.metric("doorbell_gateway_sessions").await? as i64, 1);
    let looks = "doorbell_backplane_call_seconds_count{operation=\"depth\"}";
    let before = doorbell.metric(looks).await?;
    assert!(doorbell.metric(looks).await? > before, "each scrape looks at the queue");
    Ok(())
}

#[tokio::test]
async fn new_sessions_go_on_where_the_old_ones_stood_after_a_kill() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().join("data");
    let doorbell = Doorbell::start_in(&data, Options::default()).await?;
    let port = doorbell.port();
    let mut ada = join(&doorbell, "ada").await?;
    let conversation = direct(&mut ada, "bob").await?;

    doorbell.kill().await?;
    let doorbell = Doorbell::start_in(&data, Options { port, ..Options::default() }).await?;

    let (mut ada, mut bob) = (join(&doorbell, "ada").await?, join(&doorbell, "bob").await?);
    say(&mut ada, &conversation, "after").await?;
    bob.hinted(&format!("conversation:{conversation}"), 2).await?;
    let list = bob.call("conversations.list", json!({})).await?;
    assert_eq!(list["conversations"][0]["unread"], json!(2));
    Ok(())
}
