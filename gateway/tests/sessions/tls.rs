//! Sessions over TLS: the same protocol, and the ends that only TLS has.

use doorbell_protocol::Encoding;
use doorbell_rpc::Delivered;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Rig, conversation};
use crate::secure::{Secure, SecureClient};

async fn gone(rig: Rig) {
    rig.until("the session is gone", || rig.gateway.sockets() == 0).await;
    rig.stop().await;
}

#[tokio::test]
async fn hints_calls_and_a_clean_close_over_tls_in_both_encodings() {
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let (rig, secure) = (Rig::new(), Secure::new());
        let mut client = secure.connect_in(&rig, encoding).await;
        client.hello("ada").await;
        client.welcome().await;

        assert_eq!(rig.ring("ada", "conversation:c", 7).await, Delivered::Sessions(1));
        assert_eq!(client.hint().await.topics, [conversation("c", 7)]);
        // More than one record, both ways.
        let long = serde_json::json!("é".repeat(50_000));
        client.call_with(1, "echo", &serde_json::json!({ "long": long })).await;
        let (id, reply) = client.reply().await;
        assert_eq!((id, &reply.unwrap()["long"]), (1, &long));

        client.close().await;
        gone(rig).await;
    }
}

/// Reads to the end of the stream; an error where it was cut off.
async fn rest(client: &mut SecureClient) -> std::io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    client.socket().get_mut().read_to_end(&mut rest).await?;
    Ok(rest)
}

#[tokio::test]
async fn after_a_close_the_client_sees_that_nothing_was_cut_off() {
    let (rig, secure) = (Rig::new(), Secure::new());
    let mut client = secure.session(&rig, "ada").await;
    client.socket().send(Message::Close(None)).await.unwrap();
    let answer = rest(&mut client).await.expect("close_notify comes before the end");
    assert_eq!(answer, [0x88, 0]);
    gone(rig).await;
}

#[tokio::test]
async fn after_a_violation_the_close_is_read_and_what_still_comes_is_dropped() {
    let (rig, secure) = (Rig::new(), Secure::new());
    let mut client = secure.session(&rig, "ada").await;
    let tls = client.socket().get_mut();
    // A reserved bit; then much more, in the middle of which the server's side has ended.
    tls.write_all(&[0xC1, 0x80, 0, 0, 0, 0]).await.unwrap();
    tls.write_all(&vec![0; 200_000]).await.unwrap();
    tls.flush().await.unwrap();
    let answer = rest(&mut client).await.expect("close_notify comes before the end");
    assert_eq!(&answer[..1], [0x88]);
    assert_eq!(u16::from_be_bytes([answer[2], answer[3]]), 1002);
    drop(client);
    gone(rig).await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_is_gone_with_notice_or_without() {
    for with_notice in [true, false] {
        let (rig, secure) = (Rig::new(), Secure::new());
        let mut client = secure.session(&rig, "ada").await;
        let tls = client.socket().get_mut();
        if with_notice {
            tls.shutdown().await.unwrap();
        } else {
            tls.get_mut().0.shutdown().await.unwrap();
        }
        rest(&mut client).await.expect("close_notify comes before the end");
        gone(rig).await;
    }
}

#[tokio::test]
async fn what_is_no_record_ends_the_session_and_no_other() {
    let (rig, secure) = (Rig::new(), Secure::new());
    let (mut broken, mut other) = (secure.session(&rig, "ada").await, secure.session(&rig, "ada").await);
    broken.socket().get_mut().get_mut().0.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(broken.socket().next().await.is_none_or(|next| next.is_err()));
    rig.until("it is gone", || rig.gateway.sockets() == 1).await;
    rig.ring("ada", "conversation:c", 1).await;
    assert_eq!(other.hint().await.topics, [conversation("c", 1)]);
    drop(other);
    gone(rig).await;
}

#[tokio::test]
async fn fresh_keys_asked_for_by_the_client_do_not_disturb() {
    let (rig, secure) = (Rig::new(), Secure::new());
    let mut client = secure.session(&rig, "ada").await;
    for version in 1..=5 {
        client.socket().get_mut().get_mut().1.refresh_traffic_keys().unwrap();
        client.call(version, "echo").await;
        assert!(client.reply().await.1.is_ok());
        rig.ring("ada", "conversation:c", version).await;
        assert_eq!(client.hint().await.topics, [conversation("c", version)]);
    }
    drop(client);
    gone(rig).await;
}

#[tokio::test]
async fn a_client_that_trickles_records_byte_by_byte_is_understood() {
    let (rig, secure) = (Rig::new(), Secure::new());
    let mut client = secure.session(&rig, "ada").await;
    let tls = client.socket().get_mut();
    // A masked ping, one byte a record.
    for byte in [0x89, 0x82, 0, 0, 0, 0, b'h', b'i'] {
        tls.write_all(&[byte]).await.unwrap();
        tls.flush().await.unwrap();
    }
    assert_eq!(client.message_or_end().await, Ok(Message::Pong("hi".into())));
    drop(client);
    gone(rig).await;
}
