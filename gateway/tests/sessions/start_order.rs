//! GW-1: no change falls between a session's start and its welcome.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_protocol::{ClientFrame, DirtyMap, ServerFrame};
use doorbell_rpc::Delivered;

use crate::rig::{Rig, conversation};

#[tokio::test]
async fn a_hint_between_index_and_welcome_is_held_and_comes_after_it() {
    let rig = Rig::new();
    rig.registry.hold_enters();
    let mut client = rig.connect().await;
    client.hello("ada").await;
    rig.until("the enter is under way", || rig.registry.enters.load(Ordering::SeqCst) == 1).await;

    assert_eq!(rig.ring("ada", "conversation:c", 3).await, Delivered::Sessions(1));
    assert_eq!(rig.ring("ada", "conversation:c", 4).await, Delivered::Sessions(1));
    assert_eq!(client.settle().await, [], "nothing before the welcome but a pong");
    rig.registry.let_enters_go();

    client.welcome().await;
    assert_eq!(client.hint().await.topics, [conversation("c", 4)]);
    rig.stop().await;
}

#[tokio::test]
async fn a_call_before_the_welcome_is_answered_after_it() {
    let rig = Rig::new();
    rig.registry.hold_enters();
    let mut client = rig.connect().await;
    client.hello("ada").await;
    for id in 1..=3 {
        client.call(id, "echo").await;
    }
    rig.until("the enter is under way", || rig.registry.enters.load(Ordering::SeqCst) == 1).await;
    assert_eq!(rig.service.started.lock().len(), 0);
    rig.registry.let_enters_go();

    client.welcome().await;
    for id in 1..=3 {
        assert_eq!(client.reply().await.0, id);
    }
    rig.stop().await;
}

#[tokio::test]
async fn welcome_waits_for_a_registry_that_does_not_answer() {
    let rig = Rig::new();
    rig.registry.fail();
    let mut client = rig.connect().await;
    client.hello("ada").await;
    client.send(&ClientFrame::Ping { id: None }).await;
    assert!(matches!(client.next().await, Ok(ServerFrame::Pong { .. })), "the socket stays");
    rig.registry.recover();
    client.welcome().await;
    assert_eq!(rig.registry.entries("ada").await.len(), 1);

    rig.registry.fail();
    let mut late = rig.connect().await;
    late.hello("bob").await;
    late.settle().await;
    rig.advance(61);
    assert_eq!(late.closed().await, Some(4500), "but not for ever");
    rig.stop().await;
}

#[tokio::test]
async fn a_registry_call_that_hangs_is_tried_again() {
    let rig = Rig::with(Config { registry_timeout: Duration::from_millis(20), ..Config::default() });
    rig.registry.hold_enters();
    let mut client = rig.connect().await;
    client.hello("ada").await;
    rig.until("it was tried again", || rig.registry.enters.load(Ordering::SeqCst) >= 2).await;
    rig.registry.let_enters_go();
    client.welcome().await;
    rig.stop().await;
}

/// N6.
#[tokio::test]
async fn many_starts_share_a_call_of_the_registry() {
    let rig = Rig::with(Config { enter_batch_delay: Duration::from_millis(300), ..Config::default() });
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = rig.connect().await;
        client.hello("ada").await;
        clients.push(client);
    }
    let evicted = 100 - 16;
    for client in &mut clients[evicted..] {
        client.welcome().await;
    }
    assert!(rig.registry.enters.load(Ordering::SeqCst) <= 10, "{:?}", rig.registry.enters);
    rig.stop().await;
}

#[tokio::test]
async fn an_absent_user_is_answered_with_a_stamp_that_covers_all_its_enters() {
    let rig = Rig::new();
    let Delivered::Absent(before) = rig.ring("ada", "conversation:c", 1).await else { panic!() };
    let mut client = rig.session("ada").await;
    let entry = rig.registry.entries("ada").await[0].stamp;
    assert!(entry > before, "a newer entry is not covered by an older absence");
    client.close().await;
    rig.until("it is gone", || rig.gateway.sockets() == 0).await;
    let Delivered::Absent(after) = rig.ring("ada", "conversation:c", 1).await else { panic!() };
    assert!(after >= entry);
    rig.stop().await;
}

#[tokio::test]
async fn a_refollow_mark_alone_is_delivered_without_a_frame() {
    let rig = Rig::new();
    let mut client = rig.session("ada").await;
    let mut dirty = DirtyMap::default();
    dirty.mark_refollow();
    assert_eq!(rig.ring_with("ada", dirty.clone()).await, Delivered::Sessions(1));
    assert_eq!(client.settle().await, []);
    dirty.mark_resync();
    rig.ring_with("ada", dirty).await;
    assert!(client.hint().await.resync);
    rig.stop().await;
}
