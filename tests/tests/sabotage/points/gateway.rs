//! A gateway dies between its answer and its clients' sockets.

use doorbell_protocol::Encoding;
use doorbell_protocol::frames::Hello;
use doorbell_tests::talk::{AFTER_DEATH, join};
use doorbell_tests::{Client, Shape};

use crate::stage::{ONE_OF_EACH, Stage};

const DIES: &str = "gateway-2";

/// bob is at the gateway that dies, gathers hints there for a while, and comes back elsewhere with his cursor.
async fn misses_nothing_after(point: &str, hint_window_ms: u32) -> anyhow::Result<()> {
    let shape = Shape { gateways: 2, restart_after: "never", ..ONE_OF_EACH };
    let mut stage = Stage::start(shape, &[]).await?;
    let (_, cursor) = stage.bob.changes(None).await?;
    let hello = Hello { hint_window_ms, ..Hello::default() };
    let (address, token) = (stage.cluster.address(DIES)?, stage.cluster.token("bob").await?);
    stage.bob = Client::connect_saying(&address, &token, Encoding::Json, hello).await?;

    stage.orders.abort(point)?;
    assert_eq!(stage.say("second").await?.version, 2);
    stage.cluster.dies(DIES).await?;
    let bob = join(&stage.cluster, "gateway-1", "bob").await?;
    let ended = std::mem::replace(&mut stage.bob, bob).ended().await?;

    assert_eq!(ended.code, None, "it was told nothing, and half a frame is no frame");
    let (changed, _) = stage.bob.changes(Some(&cursor)).await?;
    assert_eq!(changed.get(&stage.topic), Some(&2));
    assert_eq!(stage.log().await?, ["first", "second"]);
    stage.say("third").await?;
    stage.bob.knows(&stage.topic, 3, AFTER_DEATH).await?;
    stage.end().await
}

#[tokio::test]
async fn k12_a_hint_that_was_answered_and_not_written_is_found_by_the_cursor() -> anyhow::Result<()> {
    Box::pin(misses_nothing_after("gateway.before-write", 300)).await
}

#[tokio::test]
async fn k13_half_a_frame_is_none_and_its_hint_is_found_by_the_cursor() -> anyhow::Result<()> {
    Box::pin(misses_nothing_after("gateway.half-written", 0)).await
}
