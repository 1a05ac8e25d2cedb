//! The dashboard and the alerts of `grafana/`, on a real Prometheus that scrapes the real binary: every expression has
//! data, and each alert comes under the fault that it is for.
//!
//! The rules are those of `grafana/alerts.yaml` with shorter times, see [`rules`]. `cargo xtask test operations` installs
//! Prometheus where it is missing; without it the tests say that they are skipped, and in CI fail.

mod alerts;
mod board;
mod expressions;
mod prometheus;
mod rules;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use doorbell_tests::{Client, Doorbell, Options};

/// Longer than anything here takes: a bound on liveness, not a measure of speed.
const DEADLINE: Duration = Duration::from_secs(40);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Looks until `condition` answers something.
async fn until<T, F: Future<Output = Result<Option<T>>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Result<T> {
    let deadline = Instant::now() + DEADLINE;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Some(found) = condition().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "waited too long for {what}");
    }
}

/// Options without limits that load would meet.
fn unlimited() -> Options {
    let options = Options::default().with("DOORBELL_MESSAGE__THROTTLE_MESSAGES", "0");
    options.with("DOORBELL_GATEWAY__FRAMES_PER_SECOND", "1000000")
}

/// Many sessions of one user.
async fn crowd(doorbell: &Doorbell, user: &str, sessions: usize) -> Result<Vec<Client>> {
    let token = doorbell.token(user).await?;
    let mut crowd = Vec::with_capacity(sessions);
    for _ in 0..sessions {
        crowd.push(Client::connect(doorbell.address(), &token).await?);
    }
    Ok(crowd)
}

/// Two users and their conversation.
struct Pair {
    ada: Client,
    bob: Client,
    conversation: String,
    sent: u64,
}

impl Pair {
    async fn meet(doorbell: &Doorbell) -> Result<Self> {
        let mut ada = Client::connect(doorbell.address(), &doorbell.token("ada").await?).await?;
        let bob = Client::connect(doorbell.address(), &doorbell.token("bob").await?).await?;
        let sent = ada.call("messages.send", json!({"to": "bob", "key": "0", "text": "hello"})).await?;
        let conversation = sent["conversation"].as_str().context("a send names its conversation")?.to_owned();
        Ok(Self { ada, bob, conversation, sent: 1 })
    }

    /// One more message; whether it was taken.
    async fn send(&mut self) -> Result<bool> {
        let params =
            json!({"conversation": self.conversation, "key": format!("k{}", self.sent), "text": "again"});
        self.sent += 1;
        Ok(self.ada.try_call("messages.send", params).await?.is_ok())
    }

    /// Bob hears of a message and pulls.
    async fn ring(&mut self) -> Result<()> {
        ensure!(self.send().await?, "a send was refused");
        let (topic, version) = (format!("conversation:{}", self.conversation), self.sent);
        self.bob.hinted(&topic, version).await?;
        self.bob.changes(None).await?;
        self.bob.pull(&self.conversation, version - 1).await?;
        Ok(())
    }
}
