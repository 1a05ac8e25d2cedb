//! Under load, every expression of the dashboard has data.

use anyhow::Result;
use doorbell_protocol::Encoding;
use doorbell_tests::{Client, Doorbell, client};

use crate::board::expressions;
use crate::prometheus::Prometheus;
use crate::{Pair, unlimited, until};

#[tokio::test]
async fn every_expression_of_the_dashboard_has_data() -> Result<()> {
    let doorbell = Doorbell::start_with(unlimited()).await?;
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

/// Messages, hints, pulls, and sessions that come and go; it ends only with an error.
async fn load(doorbell: &Doorbell) -> Result<()> {
    let mut pair = Pair::meet(doorbell).await?;
    let token = doorbell.token("cleo").await?;
    loop {
        for _ in 0..10 {
            pair.ring().await?;
        }
        drop(Client::connect(doorbell.address(), &token).await?);
        drop(client::open(doorbell.address(), Encoding::MsgPack).await?);
    }
}
