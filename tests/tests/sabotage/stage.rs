//! A small installation that obeys: ada sends over HTTP and has no session, bob listens.

use anyhow::{Context, bail, ensure};
use doorbell_tests::process::http;
use doorbell_tests::talk::{AFTER_DEATH, conversation_topic, join, message, pull, texts};
use doorbell_tests::{Client, Cluster, Orders, Shape};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, interval};

use crate::sabotaged;

/// One of each: whoever passes a point is the one that is meant.
pub const ONE_OF_EACH: Shape =
    Shape { gateways: 1, notifiers: 1, channels: 1, messages: 1, restart_after: "200ms" };
/// Between two tries of a send, and between two looks at a metric.
const PAUSE: Duration = Duration::from_millis(100);

/// The installation, with a conversation that has one message, of which bob knows.
pub struct Stage {
    pub cluster: Cluster,
    pub orders: Orders,
    pub bob: Client,
    pub topic: String,
    conversation: String,
    token: String,
}

/// How a message stands in its log.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent {
    pub version: u64,
    pub id: String,
}

impl Stage {
    pub async fn start(shape: Shape, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let orders = Orders::new()?;
        // Canaries pass the same points, and would take the order of whom the test is about.
        let own = [("DOORBELL_FAILPOINTS", orders.folder()?), ("DOORBELL_GATEWAY__CANARY_INTERVAL", "0s")];
        let env = [&own, env].concat();
        let cluster = Cluster::start_program(sabotaged()?, shape, &env).await?;
        let bob = join(&cluster, "gateway-1", "bob").await?;
        let token = cluster.token("ada").await?;
        let mut stage =
            Self { cluster, orders, bob, topic: String::new(), conversation: String::new(), token };
        let first = json!({"to": "bob", "key": "first", "text": "first"});
        let sent = stage.insist(&first).await?;
        sent["conversation"].as_str().context("no conversation")?.clone_into(&mut stage.conversation);
        stage.topic = conversation_topic(&stage.conversation);
        stage.is_quiet(shape).await?;
        Ok(stage)
    }

    /// Nothing is on its way any more that could pass a point: all is told, and all that was told is settled. And notifiers
    /// know whom to call: one that has to look first has its answer from that one before all others.
    async fn is_quiet(&mut self, shape: Shape) -> anyhow::Result<()> {
        self.knows(1).await?;
        self.bob.knows("inbox:bob", 1, AFTER_DEATH).await?;
        let gateways = f64::from(shape.gateways);
        for number in 1..=shape.notifiers {
            let name = format!("notifier-{number}");
            let known = "doorbell_cluster_instances{role=\"gateway\"}";
            self.shows(&name, known, |value| value >= gateways).await?;
            self.shows(&name, "doorbell_notifier_in_hand_users", |value| value == 0.0).await?;
        }
        Ok(())
    }

    /// Sends once. `None`: it is not known whether it is there.
    pub async fn try_say(&self, text: &str) -> anyhow::Result<Option<Sent>> {
        self.send(&message(&self.conversation, text)).await?.as_ref().map(sent).transpose()
    }

    /// Sends until it is acknowledged, always under the same key.
    pub async fn say(&self, text: &str) -> anyhow::Result<Sent> {
        sent(&self.insist(&message(&self.conversation, text)).await?)
    }

    /// Waits until bob knows, who asks for nothing unless a hint says so.
    pub async fn knows(&mut self, version: u64) -> anyhow::Result<()> {
        self.bob.knows(&self.topic, version, AFTER_DEATH).await
    }

    /// The log, as bob reads it.
    pub async fn log(&mut self) -> anyhow::Result<Vec<String>> {
        let messages = pull(&mut self.bob, &self.conversation, 0).await?;
        Ok(texts(&messages).into_iter().map(ToOwned::to_owned).collect())
    }

    /// Waits until a process counts at least that.
    pub async fn counts(&self, name: &str, series: &str, least: u32) -> anyhow::Result<()> {
        self.shows(name, series, |value| value >= f64::from(least)).await
    }

    async fn shows(&self, name: &str, series: &str, holds: impl Fn(f64) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + AFTER_DEATH;
        let mut looks = interval(PAUSE);
        loop {
            looks.tick().await;
            // It may be on its way back.
            let (_, page) =
                http(&self.cluster.address(name)?, "GET", "/metrics", &[], "").await.unwrap_or_default();
            let value = page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
            if value.is_some_and(&holds) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{name}: {series} is {value:?}");
        }
    }

    /// Ends all of it in order. Nobody is connected any more, so that no gateway waits for its clients to move.
    pub async fn end(self) -> anyhow::Result<()> {
        drop(self.bob);
        self.cluster.stop().await
    }

    async fn insist(&self, params: &Value) -> anyhow::Result<Value> {
        let deadline = Instant::now() + AFTER_DEATH;
        let mut tries = interval(PAUSE);
        while Instant::now() < deadline {
            tries.tick().await;
            if let Some(result) = self.send(params).await? {
                return Ok(result);
            }
        }
        bail!("not acknowledged within {AFTER_DEATH:?}")
    }

    async fn send(&self, params: &Value) -> anyhow::Result<Option<Value>> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("content-type", "application/json"), ("authorization", &*bearer)];
        let address = self.cluster.address("gateway-1")?;
        let (status, body) =
            http(&address, "POST", "/v1/call/messages.send", &headers, &params.to_string()).await?;
        match status {
            200 => Ok(Some(serde_json::from_str(&body)?)),
            503 | 504 => Ok(None),
            _ => bail!("{status} {body}"),
        }
    }
}

fn sent(result: &Value) -> anyhow::Result<Sent> {
    let version = result["version"].as_u64().context("a send names its version")?;
    let id = result["id"].as_str().context("a send names its id")?.to_owned();
    Ok(Sent { version, id })
}
