//! 6: text is UTF-8, checked as it comes.

use crate::client::{Client, FIN, Got, PING, TEXT, frame, header_of, pong};
use crate::server::Server;

fn padded(pad: &[u8]) -> Vec<u8> {
    [&br#"{"type":"ping","id":"u","pad":"ab"#[..], pad, br#"yz"}"#].concat()
}

const INVALID: &[&[u8]] = &[
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\x80",
    b"\xc2 ",
    b"\xe1\x80 ",
    b"\xf1\x80\x80 ",
    b"\xfe",
    b"\xff",
];

#[tokio::test]
async fn valid_text_is_served_whole_and_with_split_characters() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    for good in ["κόσμε", "\u{80}", "\u{800}", "\u{10000}", "\u{10ffff}", "\u{fffe}", "👨\u{200d}👩"]
    {
        let payload = padded(good.as_bytes());
        client.send(&frame(FIN | TEXT, &payload)).await;
        assert_eq!(client.next().await, pong("u"), "{good}");

        let (last, front) = payload.split_last().unwrap();
        for (index, byte) in front.iter().enumerate() {
            client.send(&frame(if index == 0 { TEXT } else { 0 }, &[*byte])).await;
        }
        client.send(&frame(FIN, &[*last])).await;
        assert_eq!(client.next().await, pong("u"), "{good}, a byte a fragment");
    }
    client.send(&frame(FIN | PING, b"\xed\xa0\x80")).await;
    assert_eq!(client.next().await, Got::Pong(b"\xed\xa0\x80".to_vec()), "a ping is no text");
    client.close().await;
}

#[tokio::test]
async fn invalid_text_is_closed_with_1007() {
    let server = Server::start();
    for bad in INVALID {
        let mut client = Client::welcomed(&server).await;
        client.send(&frame(FIN | TEXT, &padded(bad))).await;
        client.expect_failure(1007).await;
    }
    let mut client = Client::welcomed(&server).await;
    client.send(&frame(FIN | TEXT, b"{}\xe1\xbd")).await;
    client.expect_failure(1007).await;
}

#[tokio::test]
async fn invalid_text_fails_before_its_message_ends() {
    let server = Server::start();
    for bad in INVALID {
        let mut client = Client::welcomed(&server).await;
        client.send(&frame(TEXT, &padded(bad))).await;
        client.expect_failure(1007).await;

        let mut client = Client::welcomed(&server).await;
        client.send(&[header_of(FIN | TEXT, 1000), padded(bad)].concat()).await;
        client.expect_failure(1007).await;
    }
}
