//! 7: the end of a connection.

use crate::client::{CLOSE, Client, FIN, Got, PING, TEXT, frame};
use crate::server::Server;

#[tokio::test]
async fn codes_that_may_be_sent_are_echoed() {
    let server = Server::start();
    for code in
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999_u16]
    {
        let mut client = Client::welcomed(&server).await;
        client.send(&frame(FIN | CLOSE, &[&code.to_be_bytes()[..], b"bye"].concat())).await;
        assert_eq!(client.next().await, Got::Close(Some(code)));
        assert_eq!(client.next().await, Got::End);
    }
    let mut client = Client::welcomed(&server).await;
    client.send(&frame(FIN | CLOSE, b"")).await;
    assert_eq!(client.next().await, Got::Close(None));
    assert_eq!(client.next().await, Got::End);
}

#[tokio::test]
async fn bad_closes_fail_the_connection() {
    let server = Server::start();
    let long = [&1000_u16.to_be_bytes()[..], &[b'r'; 124]].concat();
    let mut cases: Vec<(Vec<u8>, u16)> =
        [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535_u16]
            .map(|code| (code.to_be_bytes().to_vec(), 1002))
            .into();
    cases.push((b"\x03".to_vec(), 1002));
    cases.push((long, 1002));
    cases.push((b"\x03\xe8\xce\xba\xed\xa0\x80".to_vec(), 1007));
    for (payload, code) in cases {
        let mut client = Client::welcomed(&server).await;
        client.send(&frame(FIN | CLOSE, &payload)).await;
        client.expect_failure(code).await;
    }
}

#[tokio::test]
async fn nothing_is_answered_after_a_close() {
    let server = Server::start();
    let close = frame(FIN | CLOSE, &1000_u16.to_be_bytes());
    let ping = br#"{"type":"ping","id":"late"}"#;
    for after in [close.clone(), frame(FIN | PING, b"x"), frame(FIN | TEXT, ping), vec![0xff; 100]] {
        let mut client = Client::welcomed(&server).await;
        client.send(&[close.clone(), after].concat()).await;
        assert_eq!(client.next().await, Got::Close(Some(1000)));
        assert_eq!(client.next().await, Got::End);
    }
}

#[tokio::test]
async fn a_large_message_before_a_close_changes_nothing() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    let large = format!(r#"{{"type":"ping","id":"l","pad":"{}"}}"#, "x".repeat(65_000));
    client.send(&frame(FIN | TEXT, large.as_bytes())).await;
    client.send(&frame(FIN | CLOSE, &1000_u16.to_be_bytes())).await;
    assert!(matches!(client.next().await, Got::Json(_)));
    assert_eq!(client.next().await, Got::Close(Some(1000)));
    assert_eq!(client.next().await, Got::End);
}
