//! The end: asked once, asked twice, with and without clients.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::rig::{Server, doorbell, run, scratch, text};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const PATIENCE: Duration = Duration::from_secs(30);

async fn next_text(socket: &mut Socket) -> String {
    loop {
        let message = timeout(PATIENCE, socket.next()).await.expect("nothing came").unwrap().unwrap();
        match message {
            Message::Text(text) => return text.to_string(),
            Message::Close(close) => panic!("closed with {close:?}"),
            _ => {}
        }
    }
}

async fn session(server: &Server, data: &std::path::Path) -> Socket {
    let token = run(&mut doorbell(&["token", "ada", "--data-dir", data.to_str().unwrap()])).await;
    let (mut socket, _) = connect_async(format!("ws://{}/v1/ws", server.address)).await.unwrap();
    let hello = format!(r#"{{"type":"hello","token":"{}"}}"#, text(&token.stdout).trim_end());
    socket.send(Message::text(hello)).await.unwrap();
    assert!(next_text(&mut socket).await.contains(r#""type":"welcome""#));
    socket
}

#[tokio::test]
async fn without_clients_the_end_feels_instant() {
    let (_scratch, data) = scratch();
    let mut server = Server::start(&data, &[]).await;

    let asked = Instant::now();
    server.signal("-INT").await;

    assert_eq!(server.code().await, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_client_is_asked_to_move_while_its_old_socket_works_and_then_the_process_ends() {
    let (_scratch, data) = scratch();
    let mut server = Server::start(&data, &[]).await;
    let mut socket = session(&server, &data).await;

    server.signal("-TERM").await;

    let goaway = next_text(&mut socket).await;
    assert!(goaway.contains(r#""type":"goaway""#) && goaway.contains("reconnect_after_ms"), "{goaway}");
    let unready = server.get("/readyz").await;
    assert_eq!((unready.status, unready.body.as_str()), (503, r#"{"ready":false,"reasons":["draining"]}"#));
    assert_eq!(server.get("/healthz").await.status, 200);
    let refused = connect_async(format!("ws://{}/v1/ws", server.address)).await.unwrap_err().to_string();
    assert!(refused.contains("503"), "{refused}");
    let call = r#"{"type":"call","id":7,"method":"topics.changes","params":{}}"#;
    socket.send(Message::text(call)).await.unwrap();
    assert!(next_text(&mut socket).await.contains(r#""id":7,"result""#));
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    assert_eq!(server.code().await, Some(0));
}

#[tokio::test]
async fn a_client_that_stays_is_closed_at_the_deadline_with_the_drains_own_code() {
    let (scratch, data) = scratch();
    let file = scratch.path().join("doorbell.toml");
    std::fs::write(&file, "[shutdown]\nmove_budget = '2s'").unwrap();
    let mut server = Server::start(&data, &["--config", file.to_str().unwrap()]).await;
    let mut socket = session(&server, &data).await;

    server.signal("-TERM").await;

    assert!(next_text(&mut socket).await.contains("goaway"));
    let closed = loop {
        match timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Close(close) => break close.unwrap(),
            other => assert!(!other.is_text(), "{other:?}"),
        }
    };
    assert_eq!(u16::from(closed.code), 4503);
    assert_eq!(server.code().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (_scratch, data) = scratch();
    let mut server = Server::start(&data, &[]).await;
    let mut socket = session(&server, &data).await;
    server.signal("-TERM").await;
    assert!(next_text(&mut socket).await.contains("goaway"));

    // Signals close together count as one, so ask until it obeys.
    let obeyed = async {
        loop {
            server.signal("-INT").await;
            if let Ok(code) = timeout(Duration::from_millis(100), server.code()).await {
                break code;
            }
        }
    };
    let code = timeout(Duration::from_secs(5), obeyed).await.expect("it went on draining");
    assert_eq!(code, Some(130));
}
