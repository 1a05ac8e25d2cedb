use doorbell_gateway::auth::Verified;
use doorbell_protocol::frames::{Hello, Token};
use doorbell_protocol::{CallId, ClientFrame, Encoding, ErrorCode, Timestamp, UserId};
use doorbell_rpc::Delivered;
use futures_util::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::rig::{Rig, conversation};

#[tokio::test]
async fn hello_welcome_hint_and_a_clean_close_in_both_encodings() {
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let rig = Rig::new();
        let mut client = rig.connect_in(encoding).await;
        client.say_hello("ada", Some("phone"), 0).await;

        let welcome = client.welcome().await;
        assert_eq!(welcome.user.as_str(), "ada");
        assert_eq!(welcome.device.unwrap().as_str(), "phone");
        assert_eq!(welcome.server_time_ms.as_millis(), rig.now_ms());
        assert_eq!((welcome.heartbeat_ms, welcome.limits.frame_bytes), (25_000, 131_072));
        assert_eq!(rig.registry.entries("ada").await.len(), 1);

        assert_eq!(rig.ring("ada", "conversation:c", 7).await, Delivered::Sessions(1));
        assert_eq!(client.hint().await.topics, [conversation("c", 7)]);

        client.close().await;
        rig.until("the session is gone", || rig.gateway.sockets() == 0).await;
        rig.until("it left the registry", || rig.registry.left.lock().len() == 1).await;
        assert_eq!(rig.registry.entries("ada").await, []);
        assert_eq!(rig.metric("doorbell_gateway_sessions"), 0.0);
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_token_with_the_upgrade_needs_none_in_hello() {
    let rig = Rig::new();
    let verified = Verified {
        user: UserId::new("ada").unwrap(),
        expires: Timestamp::from_millis(rig.now_ms() + 60_000),
        claims: None,
    };
    let socket = rig.socket(Some(verified), Encoding::Json, &[]).await;
    let mut client = Client::new(socket, Encoding::Json).await;
    client.send(&ClientFrame::Hello(Hello::default())).await;
    assert_eq!(client.welcome().await.user.as_str(), "ada");
    rig.stop().await;
}

#[tokio::test]
async fn bytes_that_came_with_the_upgrade_are_read_first() {
    let rig = Rig::new();
    let hello = br#"{"type":"hello","token":"ada"}"#;
    // A masked text frame with a mask of zeros.
    let mut frame = vec![0x81, 0x80 | u8::try_from(hello.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(hello);
    let (early, late) = frame.split_at(9);

    let mut socket = rig.socket(None, Encoding::Json, early).await;
    socket.write_all(late).await.unwrap();

    let mut client = Client::new(socket, Encoding::Json).await;
    assert_eq!(client.welcome().await.user.as_str(), "ada");
    rig.stop().await;
}

#[tokio::test]
async fn who_gives_no_good_hello_is_closed_with_its_code() {
    let rig = Rig::new();
    let cases = [
        (r#"{"type":"hello"}"#, 4401),
        (r#"{"type":"hello","token":"bad"}"#, 4401),
        (r#"{"type":"hello","token":"ada@1"}"#, 4401),
        (r#"{"type":"hello","token":7}"#, 4400),
        (r#"{"type":"ping"}"#, 4400),
        (r#"{"type":"call","id":1,"method":"echo"}"#, 4400),
        (r#"{"type":"nonsense"}"#, 4400),
        ("[]", 4400),
        ("{", 4400),
    ];
    for (sent, code) in cases {
        let mut client = rig.connect().await;
        client.raw(sent).await;
        assert_eq!(client.closed().await, Some(code), "{sent}");
    }
    let mut client = rig.connect().await;
    client.socket().send(Message::binary(&b"{}"[..])).await.unwrap();
    assert_eq!(client.closed().await, Some(4400), "the other encoding's opcode");
    rig.until("all are gone", || rig.gateway.sockets() == 0).await;
    rig.stop().await;
}

/// N4, N5.
#[tokio::test]
async fn time_without_hello_or_sign_of_life_closes_with_4408() {
    let rig = Rig::new();
    let mut mute = rig.connect().await;
    rig.advance(11);
    assert_eq!(mute.closed().await, Some(4408));

    let mut client = rig.session("ada").await;
    rig.advance(26);
    assert!(matches!(client.message_or_end().await, Ok(Message::Ping(_))));
    client.settle().await;
    rig.advance(59);
    client.settle().await;
    rig.advance(61);
    assert_eq!(client.closed().await, Some(4408));
    rig.stop().await;
}

#[tokio::test]
async fn a_token_ends_its_session_unless_a_fresh_one_comes() {
    let rig = Rig::new();
    let token = |seconds: u64| format!("ada@{}", rig.now_ms() + seconds * 1_000);

    let mut stale = rig.connect().await;
    stale.hello(&token(20)).await;
    stale.welcome().await;
    let mut fresh = rig.connect().await;
    fresh.hello(&token(20)).await;
    fresh.welcome().await;
    fresh.send(&ClientFrame::Token(Token(token(1_000)))).await;
    fresh.settle().await;

    rig.advance(21);
    assert_eq!(stale.closed().await, Some(4419));
    fresh.settle().await;

    fresh.send(&ClientFrame::Token(Token("bad".into()))).await;
    assert_eq!(fresh.error().await.code, ErrorCode::Unauthorized);
    fresh.send(&ClientFrame::Token(Token("bob".into()))).await;
    assert_eq!(fresh.closed().await, Some(4401));
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_answered_and_the_socket_stays() {
    let rig = Rig::new();
    let mut client = rig.session("ada").await;
    let answers = [
        (r#"{"type":"hello","token":"ada"}"#, ErrorCode::Invalid),
        (r#"{"type":"nonsense"}"#, ErrorCode::UnknownType),
        (r#"{"type":"signal","topic":"conversation:c"}"#, ErrorCode::Invalid),
    ];
    for (sent, code) in answers {
        client.raw(sent).await;
        assert_eq!(client.error().await.code, code, "{sent}");
    }
    let replies = [
        (r#"{"type":"subscribe","id":1,"topics":{"presence:bob":0}}"#, ErrorCode::NotFound),
        (r#"{"type":"call","id":1}"#, ErrorCode::Invalid),
        (r#"{"type":"call","id":1,"method":"nonsense"}"#, ErrorCode::UnknownMethod),
    ];
    for (sent, code) in replies {
        client.raw(sent).await;
        assert_eq!(client.reply().await.1.unwrap_err().code, code, "{sent}");
    }
    client.raw("[]").await;
    assert_eq!(client.closed().await, Some(4400));
    rig.stop().await;
}

#[tokio::test]
async fn calls_are_answered_and_started_in_their_order() {
    let rig = Rig::new();
    let mut client = rig.session("ada").await;
    for id in 0..100 {
        let message = client.message(&ClientFrame::Call {
            id: CallId::Number(id),
            method: if id == 0 { "wait" } else { "echo" }.into(),
            params: doorbell_protocol::Payload::encode(Encoding::Json, &serde_json::json!({"n": id})),
        });
        client.socket().feed(message).await.unwrap();
    }
    client.socket().flush().await.unwrap();

    for id in 1..100 {
        assert_eq!(client.reply().await, (id, Ok(serde_json::json!({"n": id}))));
    }
    rig.service.go.notify_one();
    assert_eq!(client.reply().await.0, 0);
    let started: Vec<_> =
        rig.service.started.lock().iter().map(|params| params["n"].as_u64().unwrap()).collect();
    assert_eq!(started, (0..100).collect::<Vec<_>>());
    rig.stop().await;
}

#[tokio::test]
async fn a_page_larger_than_a_frame_is_refused() {
    let rig = Rig::new();
    let mut client = rig.session("ada").await;
    client.call(1, "big").await;
    assert_eq!(client.reply().await.1.unwrap_err().code, ErrorCode::TooLarge);
    rig.stop().await;
}

#[tokio::test]
async fn broken_framing_is_closed_with_its_code_and_tcp_ends() {
    let rig = Rig::new();
    for (bytes, code) in [
        (&[0x81, 0x02, b'{', b'}'][..], 1002_u16),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff], 1007),
        (&[0x81, 0xff, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0], 1009),
    ] {
        let mut socket = rig.socket(None, Encoding::Json, &[]).await;
        socket.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert_eq!((answer[0], &answer[2..4]), (0x88, &code.to_be_bytes()[..]));
    }
    rig.until("all are gone", || rig.gateway.sockets() == 0).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_close_is_cut() {
    let rig = Rig::new();
    let socket = rig.socket(None, Encoding::Json, &[]).await;
    rig.advance(11);
    rig.until("it is closed", || rig.metric("doorbell_gateway_closes_total") == 1.0).await;
    assert_eq!(rig.gateway.sockets(), 1);
    rig.advance(6);
    rig.until("it is cut", || rig.gateway.sockets() == 0).await;
    drop(socket);
    rig.stop().await;
}

/// N5.
#[tokio::test]
async fn a_client_that_vanishes_leaves() {
    let rig = Rig::new();
    let client = rig.session("ada").await;
    drop(client);
    rig.until("it left the registry", || rig.registry.left.lock().len() == 1).await;
    assert!(matches!(rig.ring("ada", "conversation:c", 1).await, Delivered::Absent(_)));
    rig.stop().await;
}

#[tokio::test]
async fn a_panic_ends_one_session_and_no_other() {
    let rig = Rig::new();
    let mut other = rig.session("bob").await;
    let mut client = rig.session("ada").await;
    client.call(1, "panic").await;
    assert_eq!(client.closed().await, None);
    rig.until("it left the registry", || rig.registry.left.lock().len() == 1).await;
    assert_eq!(rig.metric("doorbell_gateway_session_panics_total"), 1.0);
    assert_eq!(other.settle().await, []);
    rig.stop().await;
}

#[tokio::test]
async fn hints_gather_for_as_long_as_the_client_asked() {
    let rig = Rig::new();
    let mut client = rig.connect().await;
    // Long enough for what comes before its end, also on a busy machine.
    client.say_hello("ada", None, 2_000).await;
    client.welcome().await;
    for version in 1..=50 {
        rig.ring("ada", "conversation:c", version).await;
    }
    assert_eq!(client.settle().await, [], "a pong does not take them along");
    assert_eq!(client.hint().await.topics, [conversation("c", 50)]);
    rig.stop().await;
}
