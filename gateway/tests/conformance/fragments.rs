//! 5 and 10: fragmented messages.

use crate::client::{CLOSE, Client, FIN, Got, PING, TEXT, frame, pong};
use crate::server::Server;

const PAYLOAD: &[u8] = br#"{"type":"ping","id":"f"}"#;

/// The payload in pieces, with a frame between two of them.
fn pieces(payload: &[u8], size: usize, between: &[u8]) -> Vec<u8> {
    let count = payload.len().div_ceil(size);
    let frames = payload.chunks(size).enumerate().map(|(index, piece)| {
        let first = if index == 0 { TEXT } else { 0 };
        let fin = if index + 1 == count { FIN } else { 0 };
        let mut bytes = frame(fin | first, piece);
        if index + 1 < count {
            bytes.extend(between);
        }
        bytes
    });
    frames.flatten().collect()
}

#[tokio::test]
async fn fragments_are_one_message_however_they_arrive() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    for size in [1, 3, PAYLOAD.len()] {
        let bytes = pieces(PAYLOAD, size, b"");
        client.send(&bytes).await;
        assert_eq!(client.next().await, pong("f"), "in one write, pieces of {size}");
        for byte in bytes {
            client.send(&[byte]).await;
        }
        assert_eq!(client.next().await, pong("f"), "byte by byte, pieces of {size}");
    }
    let empty = [frame(TEXT, b""), frame(0, b""), frame(0, PAYLOAD), frame(FIN, b"")].concat();
    client.send(&empty).await;
    assert_eq!(client.next().await, pong("f"));
    client.close().await;
}

#[tokio::test]
async fn control_frames_between_fragments_are_served_at_once() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    client.send(&pieces(PAYLOAD, PAYLOAD.len().div_ceil(2), &frame(FIN | PING, b"mid"))).await;
    assert_eq!(client.next().await, Got::Pong(b"mid".to_vec()));
    assert_eq!(client.next().await, pong("f"));

    client.send(&frame(TEXT, b"{")).await;
    client.send(&frame(FIN | CLOSE, &1000_u16.to_be_bytes())).await;
    assert_eq!(client.next().await, Got::Close(Some(1000)));
    assert_eq!(client.next().await, Got::End);
}

#[tokio::test]
async fn wrong_orders_fail_the_connection() {
    let server = Server::start();
    for case in [
        vec![frame(FIN, b"nothing to continue")],
        vec![frame(0, b"nothing to continue")],
        vec![frame(TEXT, b"{"), frame(FIN | TEXT, PAYLOAD)],
        vec![frame(TEXT, b"{"), frame(TEXT, b"}")],
        vec![frame(TEXT, b"{"), frame(PING, b"")],
    ] {
        let mut client = Client::welcomed(&server).await;
        client.send(&case.concat()).await;
        client.expect_failure(1002).await;
    }
}

#[tokio::test]
async fn a_large_message_in_small_fragments_is_served() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    let payload = format!(r#"{{"type":"ping","id":"f","pad":"{}"}}"#, "x".repeat(131_000));
    for size in [1000, 16_384] {
        client.send(&pieces(payload.as_bytes(), size, b"")).await;
        assert_eq!(client.next().await, pong("f"), "in pieces of {size}");
    }
    client.close().await;
}

#[tokio::test]
async fn empty_fragments_without_end_are_cut() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    client.send(&frame(TEXT, b"{")).await;
    client.send(&frame(0, b"").repeat(5000)).await;
    client.expect_failure(1009).await;
}
