//! kill -9 of one process after the other.

use doorbell_tests::talk::{AFTER_DEATH, conversation_topic, direct, join, pull, say, texts};
use doorbell_tests::{Cluster, Shape};

use crate::cluster;

/// K6 to K9 and the message service's K1 to K4, as far as the moment of the kill is left to chance (`docs/faults.md` has it exactly): each
/// service that a small conversation needs dies while messages are sent, and who only listens knows the last of them in time.
#[tokio::test]
async fn what_rings_a_small_conversation_may_die_and_who_listens_is_current_in_time() -> anyhow::Result<()> {
    let cluster = cluster(Shape { channels: 1, notifiers: 1, ..Shape::default() }).await?;
    let (mut ada, mut bob) =
        (join(&cluster, "gateway-1", "ada").await?, join(&cluster, "gateway-2", "bob").await?);
    let conversation = direct(&mut ada, "bob").await?;
    let mut sent = 1;

    for name in ["notifier-1", "message-1"] {
        for number in 0..10 {
            if number == 5 {
                cluster.kill(name).await?;
            }
            sent += 1;
            let version = say(&mut ada, &conversation, &format!("message {sent}")).await?;
            assert_eq!(version, sent, "nothing twice, nothing lost");
        }
        bob.knows(&conversation_topic(&conversation), sent, AFTER_DEATH).await?;
        cluster.is_back(name).await?;
    }

    assert_eq!(pull(&mut bob, &conversation, 0).await?.len() as u64, sent);
    cluster.stop().await
}

/// K12, K13: a gateway dies with its sockets; its clients go to another one and ask with their cursor.
#[tokio::test]
async fn a_gateway_may_die_and_its_clients_miss_nothing() -> anyhow::Result<()> {
    let cluster = cluster(Shape { restart_after: "never", ..Shape::default() }).await?;
    let (mut ada, mut bob) =
        (join(&cluster, "gateway-1", "ada").await?, join(&cluster, "gateway-2", "bob").await?);
    let conversation = direct(&mut ada, "bob").await?;
    bob.knows(&conversation_topic(&conversation), 1, AFTER_DEATH).await?;
    let (_, cursor) = bob.changes(None).await?;

    cluster.kill("gateway-2").await?;
    let version = say(&mut ada, &conversation, "while nobody held bob").await?;
    let mut bob = join(&cluster, "gateway-1", "bob").await?;

    let (changed, _) = bob.changes(Some(&cursor)).await?;
    assert_eq!(changed.get(&conversation_topic(&conversation)), Some(&version));
    assert_eq!(texts(&pull(&mut bob, &conversation, 1).await?), ["while nobody held bob"]);
    let version = say(&mut ada, &conversation, "and rung again").await?;
    bob.knows(&conversation_topic(&conversation), version, AFTER_DEATH).await?;
    cluster.stop().await
}

/// A second message service stands by, passes calls on, and takes the store when its owner is gone.
#[tokio::test]
async fn who_stands_by_takes_the_store() -> anyhow::Result<()> {
    let shape = Shape { messages: 2, notifiers: 1, channels: 1, restart_after: "never", ..Shape::default() };
    let cluster = cluster(shape).await?;
    let (mut ada, mut bob) =
        (join(&cluster, "gateway-1", "ada").await?, join(&cluster, "gateway-2", "bob").await?);
    let conversation = direct(&mut ada, "bob").await?;

    cluster.kill(store_owner(&cluster)?).await?;
    let version = say(&mut ada, &conversation, "to the one who stood by").await?;

    assert_eq!(version, 2);
    bob.knows(&conversation_topic(&conversation), 2, AFTER_DEATH).await?;
    assert_eq!(texts(&pull(&mut bob, &conversation, 0).await?), ["first", "to the one who stood by"]);
    cluster.stop().await
}

/// As above, where the owner ends in order: whoever stands by waits until it has let go of everything.
#[tokio::test]
async fn who_stands_by_takes_the_store_of_an_owner_that_ends_in_order() -> anyhow::Result<()> {
    let shape = Shape { messages: 2, notifiers: 1, channels: 1, restart_after: "never", ..Shape::default() };
    let cluster = cluster(shape).await?;
    let mut ada = join(&cluster, "gateway-1", "ada").await?;
    let conversation = direct(&mut ada, "bob").await?;

    let owner = store_owner(&cluster)?;
    cluster.signal(owner, "-TERM").await?;
    for number in 2..=40 {
        assert_eq!(say(&mut ada, &conversation, &format!("message {number}")).await?, number);
    }

    let other = if owner == "message-1" { "message-2" } else { "message-1" };
    assert!(cluster.runs(other)?, "{other} ended as well");
    cluster.stop().await
}

/// The one of two message services that has the store open.
pub fn store_owner(cluster: &Cluster) -> anyhow::Result<&'static str> {
    let log = std::fs::read_to_string(cluster.dir().join("logs/message-1.log"))?;
    Ok(if log.contains("stands by") { "message-2" } else { "message-1" })
}
