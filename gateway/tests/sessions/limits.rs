use std::num::NonZeroU16;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_protocol::{CallId, ClientFrame, ErrorCode, ServerFrame};
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use crate::rig::Rig;

#[tokio::test]
async fn a_burst_is_served_a_flood_is_answered_and_then_closed() {
    let rig = Rig::new();
    let mut client = rig.session("ada").await;
    let mut flood = Vec::new();
    let text = client.message(&ClientFrame::Ping { id: Some(CallId::Number(1)) });
    for _ in 0..5_000 {
        flood.push(text.clone());
    }
    for message in flood {
        if client.socket().feed(message).await.is_err() {
            break;
        }
    }
    let _ = client.socket().flush().await;

    let (mut served, mut limited) = (0, 0);
    let closed = loop {
        match client.next().await {
            Ok(ServerFrame::Pong { .. }) => served += 1,
            Ok(ServerFrame::Reply { outcome: Err(error), .. }) => {
                assert_eq!(error.code, ErrorCode::RateLimited);
                limited += 1;
            }
            Ok(other) => panic!("{other:?}"),
            Err(closed) => break closed,
        }
    };
    assert_eq!(closed, Some(4429));
    assert!((20..=200).contains(&served) && limited > 0, "{served} served, {limited} limited");
    rig.stop().await;
}

#[tokio::test]
async fn a_flood_of_websocket_pings_closes_too() {
    let rig = Rig::new();
    let mut client = rig.session("ada").await;
    for _ in 0..2_000 {
        if client.socket().feed(Message::Ping(Default::default())).await.is_err() {
            break;
        }
    }
    let _ = client.socket().flush().await;
    assert_eq!(client.closed().await, Some(4429));
    rig.stop().await;
}

#[tokio::test]
async fn with_its_calls_in_flight_a_session_is_not_read_further() {
    let calls_in_flight_max = NonZeroU16::new(4).unwrap();
    let rig = Rig::with(Config { calls_in_flight_max, ..Config::default() });
    let mut client = rig.session("ada").await;
    for id in 0..10 {
        client.call(id, "wait").await;
    }
    rig.until("four are started", || rig.service.started.lock().len() == 4).await;
    let mut other = rig.session("bob").await;
    other.settle().await;
    assert_eq!(rig.service.started.lock().len(), 4);

    for id in 0..10 {
        rig.service.go.notify_one();
        assert_eq!(client.reply().await.0, id);
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_call_without_an_answer_becomes_unavailable() {
    let rig = Rig::with(Config { call_timeout: Duration::from_millis(30), ..Config::default() });
    let mut client = rig.session("ada").await;
    client.call(1, "never").await;
    client.call(2, "never").await;
    for id in [1, 2] {
        let (replied, outcome) = client.reply().await;
        let error = outcome.unwrap_err();
        assert_eq!((replied, error.code), (id, ErrorCode::Unavailable));
        assert!(error.retry_after_ms.is_some());
    }
    assert_eq!(rig.metric("doorbell_gateway_calls_in_flight"), 0.0);
    rig.stop().await;
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_with_1009() {
    let rig = Rig::new();
    let mut client = rig.session("ada").await;
    let params = serde_json::json!({"pad": "x".repeat(200 * 1024)});
    let message = client.message(&ClientFrame::Call {
        id: CallId::Number(1),
        method: "echo".into(),
        params: doorbell_protocol::Payload::encode(doorbell_protocol::Encoding::Json, &params),
    });
    let _ = client.socket().send(message).await;
    assert_eq!(client.closed().await, Some(1009));
    rig.stop().await;
}
