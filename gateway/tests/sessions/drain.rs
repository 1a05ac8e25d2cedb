use std::time::Duration;

use doorbell_gateway::Drained;
use doorbell_protocol::Encoding;
use doorbell_rpc::Delivered;

use crate::client::Client;
use crate::rig::Rig;

#[tokio::test]
async fn clients_are_told_to_move_still_hinted_and_the_drain_ends_with_the_last() {
    let rig = Rig::new();
    let mut ada = rig.session("ada").await;
    let mut bob = rig.session("bob").await;
    let budget = Duration::from_secs(25);

    let (drained, ()) = tokio::join!(rig.gateway.drain(budget), async {
        let goaway = ada.goaway().await;
        assert!(rig.gateway.is_draining());
        assert!(
            goaway.reconnect_after_ms <= goaway.deadline_ms && goaway.deadline_ms <= 20_000,
            "{goaway:?}"
        );
        bob.goaway().await;
        assert_eq!(rig.ring("ada", "conversation:c", 9).await, Delivered::Sessions(1));
        assert_eq!(ada.hint().await.topics.len(), 1);
        ada.close().await;
        bob.close().await;
    });

    assert_eq!(drained, Drained { sessions: 2, closed: 0, cut: 0 });
    for user in ["ada", "bob"] {
        assert_eq!(rig.registry.entries(user).await, [], "{user}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn who_stays_is_closed_at_the_deadline() {
    let rig = Rig::new();
    let mut ada = rig.session("ada").await;

    let (drained, closed) =
        tokio::join!(rig.gateway.drain(Duration::from_secs(3)), async { ada.closed().await });

    assert_eq!(closed, Some(4503));
    assert_eq!(drained, Drained { sessions: 1, closed: 1, cut: 0 });
    assert_eq!(rig.registry.entries("ada").await, []);
    rig.stop().await;
}

#[tokio::test]
async fn who_does_not_answer_the_close_is_cut() {
    let rig = Rig::new();
    let mute = rig.socket(None, Encoding::Json, &[]).await;
    let drained = rig.gateway.drain(Duration::from_millis(200)).await;
    assert_eq!(drained, Drained { sessions: 1, closed: 1, cut: 1 });
    rig.until("nobody is left", || rig.gateway.sockets() == 0).await;
    drop(mute);
    rig.stop().await;
}

#[tokio::test]
async fn a_socket_that_comes_while_draining_is_sent_on() {
    let rig = Rig::new();
    let mut ada = rig.session("ada").await;
    tokio::join!(rig.gateway.drain(Duration::from_secs(20)), async {
        ada.goaway().await;
        let mut late = Client::new(rig.socket(None, Encoding::Json, &[]).await, Encoding::Json).await;
        assert_eq!(late.closed().await, Some(4503));
        ada.close().await;
    });
    rig.stop().await;
}

#[tokio::test]
async fn a_session_that_enters_while_draining_gets_its_welcome_and_then_goaway() {
    let rig = Rig::new();
    rig.registry.hold_enters();
    let mut ada = rig.connect().await;
    ada.hello("ada").await;
    ada.settle().await;
    tokio::join!(rig.gateway.drain(Duration::from_secs(20)), async {
        rig.until("draining", || rig.gateway.is_draining()).await;
        rig.registry.let_enters_go();
        ada.welcome().await;
        ada.goaway().await;
        ada.close().await;
    });
    rig.stop().await;
}
