//! Every link between processes, and to Redis, is cut and heals.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, ensure};
use doorbell_tests::cluster::Redis;
use doorbell_tests::links::Links;
use doorbell_tests::talk::{conversation_topic, direct, message, pull, say, texts};
use doorbell_tests::{Client, Doorbell, Options};
use tokio::time::{Instant, interval};

use crate::AFTER_REDIS;

/// Longer than every lease (5 s), so that everybody is given up by everybody.
const CUT: Duration = Duration::from_secs(8);
const TRY_PAUSE: Duration = Duration::from_millis(200);

/// An installation in which each process is behind a link.
struct Cut {
    links: Links,
    redis: Redis,
    processes: Vec<Doorbell>,
    scratch: tempfile::TempDir,
}

impl Cut {
    async fn start() -> anyhow::Result<Self> {
        let (redis, scratch) = (Redis::start().await?, tempfile::tempdir()?);
        let mut own = Self { links: Links::default(), redis, processes: Vec::new(), scratch };
        let redis = own.redis.url().trim_start_matches("redis://").parse()?;
        let redis = format!("redis://{}", own.links.to(redis).await?);
        for role in ["message", "channel", "notifier", "gateway", "gateway"] {
            own.add(role, &redis).await?;
        }
        Ok(own)
    }

    async fn add(&mut self, role: &str, redis: &str) -> anyhow::Result<()> {
        let listen = free_address()?;
        let text = |name: &str| self.scratch.path().join(name).to_string_lossy().into_owned();
        let data = self.scratch.path().join(format!("{role}-{}", self.processes.len()));
        let options = Options::default()
            .with("DOORBELL_ROLES", role)
            .with("DOORBELL_REDIS__URLS", redis)
            .with("DOORBELL_KEY_FILE", &text("data/key"))
            .with("DOORBELL_CLUSTER__LISTEN", &listen.to_string())
            .with("DOORBELL_CLUSTER__ADVERTISE", &self.links.to(listen).await?.to_string());
        // The first one makes the key.
        let data = if self.processes.is_empty() { self.scratch.path().join("data") } else { data };
        self.processes.push(Doorbell::start_in(&data, options).await?);
        Ok(())
    }

    async fn join(&self, gateway: usize, user: &str) -> anyhow::Result<Client> {
        let token = self.processes[0].token(user).await?;
        let gateways = self.processes.len() - 2;
        Client::connect(self.processes[gateways + gateway].address(), &token).await
    }
}

/// Nobody else takes it as long as nobody asks for just this one.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[tokio::test]
async fn n10_when_every_link_was_cut_all_is_current_again_and_nothing_was_started() -> anyhow::Result<()> {
    let cut = Cut::start().await?;
    let (mut ada, mut bob) = (cut.join(0, "ada").await?, cut.join(1, "bob").await?);
    let conversation = direct(&mut ada, "bob").await?;
    let topic = conversation_topic(&conversation);
    bob.knows(&topic, 1, AFTER_REDIS).await?;

    cut.links.cut();
    let (heals, mut tries) = (Instant::now() + CUT, interval(TRY_PAUSE));
    while Instant::now() < heals {
        tries.tick().await;
        let refused = ada.try_call("messages.send", message(&conversation, "second")).await?;
        let refused = refused.err().context("it went through a link that is cut")?;
        ensure!(refused.retry_after_ms.is_some(), "refused for good: {refused:?}");
    }
    cut.links.mend();

    let version = say(&mut ada, &conversation, "second").await?;
    assert_eq!(version, 2, "once, whatever came of the tries");
    bob.knows(&topic, 2, AFTER_REDIS).await?;
    let version = say(&mut ada, &conversation, "third").await?;
    bob.knows(&topic, version, AFTER_REDIS).await?;
    let log = pull(&mut bob, &conversation, 0).await?;
    assert_eq!(texts(&log), ["first", "second", "third"]);
    Ok(())
}
