//! Conversations that are too large to ring each member, and the channel services that tell their followers.

use std::time::Duration;

use anyhow::{Context, ensure};
use doorbell_tests::client::Client;
use doorbell_tests::process::http;
use doorbell_tests::talk::{AFTER_DEATH, conversation_topic, insist, join, say};
use doorbell_tests::{Cluster, Shape};
use serde_json::json;
use tokio::time::{Instant, interval};

use crate::{cluster, value};

/// So many that each of two channel services owns some of them, whatever their names are this time: but for one run in
/// 500,000.
const CONVERSATIONS: usize = 20;
/// Beyond `small_audience_max`, most of them without a session.
const MEMBERS: usize = 130;
const SERVICES: [&str; 2] = ["channel-1", "channel-2"];
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// K15: one channel service dies after the other while messages are sent, and begins again empty. Who only listens, at
/// either gateway, is current in time, and the one that is back has subscriptions again.
#[tokio::test]
async fn each_channel_service_may_die_and_who_follows_is_current_in_time() -> anyhow::Result<()> {
    let cluster = cluster(Shape { notifiers: 1, ..Shape::default() }).await?;
    let mut ada = join(&cluster, "gateway-1", "ada").await?;
    let mut followers =
        [join(&cluster, "gateway-1", "bob").await?, join(&cluster, "gateway-2", "eve").await?];
    let conversations = large_conversations(&mut ada).await?;
    let (before, after) = conversations.split_at(CONVERSATIONS / 2);
    for (version, name) in (1..).zip(SERVICES) {
        all_are_followed_by_way_of_both(&cluster).await?;
        say_to_all(&mut ada, before, version).await?;

        cluster.kill(name).await?;
        let in_time = Instant::now() + AFTER_DEATH;
        say_to_all(&mut ada, after, version).await?;

        for follower in &mut followers {
            for conversation in &conversations {
                let left = in_time.saturating_duration_since(Instant::now());
                follower.knows(&conversation_topic(conversation), version, left).await?;
            }
        }
        cluster.is_back(name).await?;
    }
    all_are_followed_by_way_of_both(&cluster).await?;
    cluster.stop().await
}

async fn large_conversations(owner: &mut Client) -> anyhow::Result<Vec<String>> {
    let mut members: Vec<String> = (0..MEMBERS).map(|number| format!("member-{number}")).collect();
    members.extend(["bob", "eve"].map(str::to_owned));
    let mut conversations = Vec::new();
    for number in 0..CONVERSATIONS {
        let group = json!({"members": members, "title": "all", "key": format!("group-{number}")});
        let made = insist(owner, "conversations.create", group).await?;
        conversations.push(made["conversation"].as_str().context("no conversation")?.to_owned());
    }
    Ok(conversations)
}

/// Brings conversations to their next version, which is this one.
async fn say_to_all(owner: &mut Client, conversations: &[String], next: u64) -> anyhow::Result<()> {
    for conversation in conversations {
        let version = say(owner, conversation, &format!("message {next}")).await?;
        ensure!(version == next, "nothing twice, nothing lost: {version}");
    }
    Ok(())
}

/// Waits until both channel services have subscriptions, and together as many as all topics at both gateways.
async fn all_are_followed_by_way_of_both(cluster: &Cluster) -> anyhow::Result<()> {
    let (deadline, mut looks) = (Instant::now() + AFTER_DEATH, interval(LOOK_PAUSE));
    loop {
        looks.tick().await;
        let mut subscriptions = [0.0; SERVICES.len()];
        for (count, name) in subscriptions.iter_mut().zip(SERVICES) {
            let (_, page) = http(&cluster.address(name)?, "GET", "/metrics", &[], "").await?;
            *count = value(&page, "doorbell_channel_subscriptions")?;
        }
        let all = 2 * u32::try_from(CONVERSATIONS)?;
        if subscriptions.iter().all(|count| *count > 0.0)
            && subscriptions.iter().sum::<f64>() >= f64::from(all)
        {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "subscriptions are {subscriptions:?} of {all}");
    }
}
