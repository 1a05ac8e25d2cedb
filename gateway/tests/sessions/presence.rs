//! GW-17: what message-svc is told of who comes and who goes, and when.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_rpc::{Delivered, Way};

use crate::rig::Rig;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(100);

fn quick() -> Config {
    Config {
        lease_ttl: Duration::from_secs(5),
        lease_renewal: Duration::from_millis(10),
        ..Config::default()
    }
}

/// Waits until a move of somebody else was told, and so whatever was noted before it.
async fn settled(rig: &Rig, witness: &str) {
    let _session = rig.session(witness).await;
    rig.until("the witness is told", || rig.members.ways(witness) == [Way::Came]).await;
}

async fn gone(rig: &Rig, sockets: usize) {
    rig.until("it is gone", || rig.gateway.sockets() == sockets).await;
}

#[tokio::test]
async fn the_first_session_comes_and_the_last_one_goes() {
    let rig = Rig::lingering(SHORT, Config::default());
    let mut first = rig.session("ada").await;
    rig.until("she came", || rig.members.ways("ada") == [Way::Came]).await;
    let mut second = rig.session("ada").await;
    first.close().await;
    gone(&rig, 1).await;
    settled(&rig, "witness").await;
    assert_eq!(rig.members.ways("ada"), [Way::Came]);

    second.close().await;
    rig.until("she went", || rig.members.ways("ada") == [Way::Came, Way::Went]).await;
    assert_eq!(rig.registry.entries("ada").await, [], "the registry shows it already");
    rig.stop().await;
}

#[tokio::test]
async fn a_return_within_the_grace_is_no_news_and_the_registry_shows_no_gap() {
    let rig = Rig::lingering(LONG, Config::default());
    let mut ada = rig.session("ada").await;
    rig.until("she came", || rig.members.ways("ada") == [Way::Came]).await;
    ada.close().await;
    gone(&rig, 0).await;
    assert_eq!(rig.registry.entries("ada").await.len(), 1);
    assert_eq!(rig.metric("doorbell_gateway_lingering_users"), 1.0);

    let _back = rig.session("ada").await;
    settled(&rig, "witness").await;

    assert_eq!(rig.members.ways("ada"), [Way::Came]);
    assert_eq!(rig.registry.left.lock().len(), 0);
    assert_eq!(rig.metric("doorbell_gateway_lingering_users"), 0.0);
    rig.stop().await;
}

#[tokio::test]
async fn a_return_is_news_where_the_entry_may_have_gone_meanwhile() {
    let rig = Rig::lingering(LONG, Config::default());
    let mut ada = rig.session("ada").await;
    rig.until("she came", || rig.members.ways("ada") == [Way::Came]).await;
    ada.close().await;
    gone(&rig, 0).await;
    assert!(matches!(rig.ring("ada", "conversation:c", 1).await, Delivered::Absent(_)));

    let _back = rig.session("ada").await;

    rig.until("it is told", || rig.members.ways("ada").len() == 2).await;
    assert_eq!(rig.members.ways("ada"), [Way::Came, Way::Came]);
    rig.stop().await;
}

#[tokio::test]
async fn who_goes_while_the_enter_is_on_its_way_and_is_back_in_time_is_news() {
    let rig = Rig::lingering(LONG, Config::default());
    rig.registry.hold_enters();
    let mut first = rig.connect().await;
    first.hello("ada").await;
    rig.until("the enter is under way", || rig.registry.enters.load(Ordering::SeqCst) == 1).await;
    first.close().await;
    gone(&rig, 0).await;
    rig.registry.let_enters_go();

    let _back = rig.session("ada").await;

    rig.until("she came", || rig.members.ways("ada").contains(&Way::Came)).await;
    rig.stop().await;
}

#[tokio::test]
async fn who_is_back_while_the_leave_is_on_its_way_and_is_not_entered_went() {
    let rig = Rig::lingering(SHORT, Config::default());
    let mut ada = rig.session("ada").await;
    rig.until("she came", || rig.members.ways("ada") == [Way::Came]).await;
    rig.registry.hold_leaves();
    ada.close().await;
    rig.until("the leave is under way", || rig.registry.leaves.load(Ordering::SeqCst) == 1).await;
    rig.registry.hold_enters();
    let mut back = rig.connect().await;
    back.hello("ada").await;
    rig.until("she is in the index", || rig.metric("doorbell_gateway_enters_waiting") >= 1.0).await;

    rig.registry.let_leaves_go();

    rig.until("she went", || rig.members.ways("ada") == [Way::Came, Way::Went]).await;
    rig.registry.let_enters_go();
    back.welcome().await;
    rig.until("she came again", || rig.members.ways("ada") == [Way::Came, Way::Went, Way::Came]).await;
    rig.stop().await;
}

#[tokio::test]
async fn the_drain_sends_again_what_a_lane_has_on_its_way() {
    let rig = Rig::lingering(SHORT, Config::default());
    let mut ada = rig.session("ada").await;
    rig.until("she came", || rig.members.ways("ada") == [Way::Came]).await;
    rig.registry.hold_leaves();
    ada.close().await;
    rig.until("the leave is under way", || rig.registry.leaves.load(Ordering::SeqCst) == 1).await;

    let let_go = async {
        rig.until("it is sent again", || rig.registry.leaves.load(Ordering::SeqCst) == 2).await;
        rig.registry.let_leaves_go();
    };
    tokio::join!(rig.gateway.drain(Duration::from_secs(20)), let_go);

    assert_eq!(rig.members.ways("ada"), [Way::Came, Way::Went]);
    rig.stop().await;
}

#[tokio::test]
async fn everybody_comes_again_when_the_lease_was_lost() {
    let rig = Rig::lingering(LONG, quick());
    let _ada = rig.session("ada").await;
    rig.until("she came", || rig.members.ways("ada").len() == 1).await;
    rig.advance(6);
    rig.until("she is there again", || rig.members.ways("ada") == [Way::Came, Way::Came]).await;
    rig.stop().await;
}

#[tokio::test]
async fn whoever_goes_while_the_registry_fails_is_told_when_it_left() {
    let rig = Rig::lingering(SHORT, Config::default());
    let mut ada = rig.session("ada").await;
    rig.until("she came", || rig.members.ways("ada").len() == 1).await;
    rig.registry.fail_leaves();
    ada.close().await;
    rig.until("a leave failed", || rig.metric("doorbell_gateway_leaves_total") >= 1.0).await;
    settled(&rig, "witness").await;
    assert_eq!(rig.members.ways("ada"), [Way::Came], "the registry still shows her");

    rig.registry.recover();

    rig.until("she went", || rig.members.ways("ada") == [Way::Came, Way::Went]).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_message_svc_does_not_take_waits_and_is_told_once() {
    let rig = Rig::lingering(SHORT, Config::default());
    rig.members.fail();
    rig.session("ada").await.close().await;
    gone(&rig, 0).await;
    rig.until("she left", || rig.registry.left.lock().len() == 1).await;
    let _bob = rig.session("bob").await;
    rig.members.recover();
    rig.until("both are told", || rig.members.ways("bob").len() + rig.members.ways("ada").len() == 2).await;
    assert_eq!(rig.members.ways("ada"), [Way::Went], "her last move");
    assert_eq!(rig.metric("doorbell_gateway_presence_waiting"), 0.0);
    rig.stop().await;
}

#[tokio::test]
async fn the_drain_tells_who_went_and_waits_for_no_grace() {
    let rig = Rig::lingering(LONG, Config::default());
    let mut ada = rig.session("ada").await;
    ada.close().await;
    gone(&rig, 0).await;
    rig.until("she came", || rig.members.ways("ada").len() == 1).await;

    rig.gateway.drain(Duration::from_secs(5)).await;

    assert_eq!(rig.members.ways("ada"), [Way::Came, Way::Went]);
    assert_eq!(rig.registry.entries("ada").await, []);
    rig.stop().await;
}

#[tokio::test]
async fn turned_off_it_tells_nobody_and_nobody_lingers() {
    let rig = Rig::lingering(LONG, Config { presence: false, ..Config::default() });
    rig.session("ada").await.close().await;
    rig.until("she left", || rig.registry.left.lock().len() == 1).await;
    // The drain tells whatever waits.
    rig.gateway.drain(Duration::from_secs(5)).await;
    assert_eq!(rig.members.ways("ada"), []);
    rig.stop().await;
}
