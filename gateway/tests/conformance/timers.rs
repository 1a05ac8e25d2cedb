//! T: clients that say nothing, or never finish. The gateway's clock is moved by hand.

use std::time::Duration;

use doorbell_gateway::{Config, listener};

use crate::client::{Client, FIN, Got, TEXT, header_of};
use crate::server::Server;

/// Looks at its sessions all the time, so that a test waits for no tick.
fn watchful() -> Server {
    let config = Config { sweep_interval: Duration::from_millis(1), ..Config::default() };
    Server::with(config, listener::Config::default())
}

/// What comes until the server closes; pings on the way are counted.
async fn until_close(client: &mut Client) -> (usize, Got) {
    let mut pings = 0;
    loop {
        match client.next().await {
            Got::Ping(_) => pings += 1,
            end => return (pings, end),
        }
    }
}

#[tokio::test]
async fn no_hello_in_time_is_4408() {
    let server = watchful();
    let mut client = Client::upgraded(&server).await;
    server.advance(Duration::from_secs(11));
    assert_eq!(until_close(&mut client).await.1, Got::Close(Some(4408)));
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_closed() {
    let server = watchful();
    let mut client = Client::welcomed(&server).await;
    server.advance(Duration::from_secs(26));
    assert!(matches!(client.next().await, Got::Ping(_)));
    server.advance(Duration::from_secs(36));
    assert_eq!(until_close(&mut client).await.1, Got::Close(Some(4408)));
}

#[tokio::test]
async fn half_a_frame_is_no_sign_of_life() {
    let server = watchful();
    let mut client = Client::welcomed(&server).await;
    client.send(&[header_of(FIN | TEXT, 100), b"{".repeat(10)].concat()).await;
    server.advance(Duration::from_secs(62));
    assert_eq!(until_close(&mut client).await.1, Got::Close(Some(4408)));
}

#[tokio::test]
async fn an_unanswered_close_ends_tcp_all_the_same() {
    let server = watchful();
    let mut client = Client::welcomed(&server).await;
    client.send(&[0x83, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(client.next().await, Got::Close(Some(1002)));
    server.advance(Duration::from_secs(6));
    assert_eq!(client.next().await, Got::End);
}
