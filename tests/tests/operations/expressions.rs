//! Under load, every expression of the dashboard has data.

use anyhow::{Context, Result};
use doorbell_protocol::Encoding;
use doorbell_tests::{Client, Doorbell, client};
use serde_json::json;

use crate::board::expressions;
use crate::prometheus::Prometheus;
use crate::{Pair, unlimited, until};

#[tokio::test]
async fn every_expression_of_the_dashboard_has_data() -> Result<()> {
    // Two are a small audience, three a large one.
    let doorbell =
        Doorbell::start_with(unlimited().with("DOORBELL_MESSAGE__SMALL_AUDIENCE_MAX", "2")).await?;
    let Some(prometheus) = Prometheus::watch(doorbell.address()).await? else { return Ok(()) };
    let load = load(&doorbell);
    let asked = async {
        for expression in expressions()? {
            let what = format!("data of `{}`: {}", expression.place, expression.text);
            until(&what, || async { Ok(prometheus.query(&expression.text).await?.first().copied()) }).await?;
        }
        anyhow::ensure!(prometheus.firing().await?.is_empty(), "an alert fires in peace");
        Ok(())
    };
    tokio::select! {
        failed = load => failed,
        asked = asked => asked,
    }
}

/// Messages, hints, pulls, a large audience, and sessions that come and go; it ends only with an error.
async fn load(doorbell: &Doorbell) -> Result<()> {
    let mut pair = Pair::meet(doorbell).await?;
    let token = doorbell.token("cleo").await?;
    let large =
        pair.ada.call("conversations.create", json!({"members": ["bob", "cleo"], "key": "large"})).await?;
    let large = large["conversation"].as_str().context("it has an id")?.to_owned();
    for round in 0.. {
        for _ in 0..10 {
            pair.ring().await?;
        }
        let params = json!({"conversation": large, "key": format!("large-{round}"), "text": "to all"});
        let sent = pair.ada.call("messages.send", params).await?;
        let version = sent["version"].as_u64().context("a send has a version")?;
        pair.bob.hinted(&format!("conversation:{large}"), version).await?;
        drop(Client::connect(doorbell.address(), &token).await?);
        drop(client::open(doorbell.address(), Encoding::MsgPack).await?);
    }
    Ok(())
}
