//! 1 to 4, and masking: single frames.

use crate::client::{BINARY, Client, FIN, Got, PING, PONG, TEXT, frame, header_of, pong};
use crate::server::Server;

/// A ping of the application of exactly `size` bytes.
fn sized(size: usize) -> Vec<u8> {
    let bare = r#"{"type":"ping","id":"s","pad":""}"#;
    bare.replace(r#""pad":"""#, &format!(r#""pad":"{}""#, "x".repeat(size - bare.len()))).into_bytes()
}

#[tokio::test]
async fn messages_of_every_length_form_are_served() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    for size in [40, 124, 125, 126, 127, 128, 1000, 65_535, 65_536, 131_072] {
        client.send(&frame(FIN | TEXT, &sized(size))).await;
        assert_eq!(client.next().await, pong("s"), "{size} bytes");
    }
    client.close().await;
}

#[tokio::test]
async fn how_tcp_cuts_a_message_changes_nothing() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    for (size, piece) in [(200, 1), (2000, 7), (65_536, 997)] {
        for chunk in frame(FIN | TEXT, &sized(size)).chunks(piece) {
            client.send(chunk).await;
        }
        assert_eq!(client.next().await, pong("s"), "{size} in pieces of {piece}");
    }
    client.close().await;
}

#[tokio::test]
async fn violations_of_framing_fail_the_connection() {
    let server = Server::start();
    let mut cases: Vec<Vec<u8>> = Vec::new();
    cases.extend([0x10, 0x20, 0x40, 0x70].map(|bits| frame(FIN | bits | TEXT, b"{}")));
    cases.extend([0x10, 0x40].map(|bits| frame(FIN | bits | PING, b"")));
    cases.extend([3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf].map(|opcode| frame(FIN | opcode, b"")));
    cases.extend([0x8, 0x9, 0xa].map(|control| frame(control, b"")));
    cases.extend([0x8, 0x9, 0xa].map(|control| frame(FIN | control, &[b'x'; 126])));
    cases.push(b"\x81\x02{}".to_vec()); // not masked
    cases.push(b"\x89\x00".to_vec());
    cases.push(b"\x88\x02\x03\xe8".to_vec());
    cases.push([b"\x81\xfe\x00\x02\0\0\0\0{}".as_slice()].concat()); // fits seven bits
    cases.push([b"\x81\xff\0\0\0\0\0\0\x00\x02\0\0\0\0{}".as_slice()].concat());
    cases.push(header_of(FIN | TEXT, (1 << 63) | 4));
    for case in cases {
        let mut client = Client::welcomed(&server).await;
        client.send(&case).await;
        client.expect_failure(1002).await;
    }
}

#[tokio::test]
async fn a_mask_of_zeros_is_a_mask() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    let payload = br#"{"type":"ping","id":"z"}"#;
    let mut bytes = header_of(FIN | TEXT, payload.len() as u64);
    bytes.extend(payload);
    client.send(&bytes).await;
    assert_eq!(client.next().await, pong("z"));
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    for payload in [&b""[..], b"Hello, world!", b"\x00\xff\xfe", &[0xfe; 125]] {
        client.send(&frame(FIN | PING, payload)).await;
        assert_eq!(client.next().await, Got::Pong(payload.to_vec()));
    }
    for unasked in [&b""[..], b"unasked"] {
        client.send(&frame(FIN | PONG, unasked)).await;
    }
    client.round_trip().await;
    client.close().await;
}

#[tokio::test]
async fn many_requests_in_one_write_are_all_answered_in_order() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    let all: Vec<Vec<u8>> =
        (0..100).map(|id| frame(FIN | TEXT, format!(r#"{{"type":"ping","id":{id}}}"#).as_bytes())).collect();
    client.send(&all.concat()).await;
    for id in 0..100 {
        let expected = serde_json::json!({"type": "pong", "id": id});
        assert_eq!(client.next().await, Got::Json(expected));
    }
}

#[tokio::test]
async fn what_is_no_frame_of_the_protocol_is_closed_with_4400() {
    let server = Server::start();
    for (first, payload) in [
        (TEXT, &b""[..]),
        (TEXT, b"hello"),
        (TEXT, b"{"),
        (TEXT, b"[]"),
        (TEXT, b"null"),
        (TEXT, b"{}"),
        (BINARY, b"\x80"),
    ] {
        let mut client = Client::welcomed(&server).await;
        client.send(&frame(FIN | first, payload)).await;
        client.expect_failure(4400).await;
    }
    let mut client = Client::welcomed(&server).await;
    client.send(&frame(FIN | TEXT, br#"{"type":"no-such-type"}"#)).await;
    assert!(matches!(client.next().await, Got::Json(error) if error["code"] == "unknown_type"));
    client.round_trip().await;
}
