//! 9: what one client may make the server hold or do.

use crate::client::{Client, FIN, Got, PING, TEXT, frame, header_of};
use crate::server::Server;

const MESSAGE_BYTES_MAX: usize = 128 * 1024;

#[tokio::test]
async fn one_byte_too_many_is_1009() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    client.send(&frame(FIN | TEXT, &vec![b'x'; MESSAGE_BYTES_MAX + 1])).await;
    client.expect_failure(1009).await;
}

#[tokio::test]
async fn a_declared_length_is_refused_from_the_header_alone() {
    let server = Server::start();
    for declared in [MESSAGE_BYTES_MAX as u64 + 1, 1 << 31, 1 << 40, (1 << 63) - 1] {
        let mut client = Client::welcomed(&server).await;
        client.send(&header_of(FIN | TEXT, declared)).await;
        client.expect_failure(1009).await;
    }
}

#[tokio::test]
async fn fragments_are_summed_up() {
    let server = Server::start();
    for size in [MESSAGE_BYTES_MAX / 4, MESSAGE_BYTES_MAX / 64] {
        let mut client = Client::welcomed(&server).await;
        client.send(&frame(TEXT, &vec![b'x'; size])).await;
        client.send(&frame(0, &vec![b'x'; size]).repeat(2 * MESSAGE_BYTES_MAX / size)).await;
        client.expect_failure(1009).await;
    }
}

#[tokio::test]
async fn a_flood_is_answered_and_then_closed() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    client.send(&frame(FIN | TEXT, br#"{"type":"ping","id":"f"}"#).repeat(5000)).await;
    let (mut served, mut refused) = (0, 0);
    let end = loop {
        match client.next().await {
            Got::Json(frame) if frame["type"] == "pong" => served += 1,
            Got::Json(_) => refused += 1,
            end => break end,
        }
    };
    assert_eq!(end, Got::Close(Some(4429)));
    assert!(served >= 100, "the burst is served: {served}");
    assert!(refused > 0 && served + refused < 5000, "{served} served, {refused} refused");
}

#[tokio::test]
async fn a_flood_of_pings_ends_as_well() {
    let server = Server::start();
    let mut client = Client::welcomed(&server).await;
    client.send(&frame(FIN | PING, b"").repeat(5000)).await;
    let end = loop {
        match client.next().await {
            Got::Pong(_) | Got::Json(_) => {}
            end => break end,
        }
    };
    assert_eq!(end, Got::Close(Some(4429)));
}

#[tokio::test]
async fn others_are_served_while_one_floods() {
    let server = Server::start();
    let mut flooding = Client::welcomed(&server).await;
    flooding.send(&frame(FIN | TEXT, br#"{"type":"ping"}"#).repeat(2000)).await;
    let mut other = Client::welcomed(&server).await;
    other.round_trip().await;
    other.close().await;
}
