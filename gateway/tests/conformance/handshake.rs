//! H: the upgrade.

use crate::client::{Client, FIN, Got, TEXT, accept_of, frame, good_headers, request};
use crate::server::Server;

const LINE: &str = "GET /v1/ws HTTP/1.1";

/// A change of one header: another value, or none.
type Change<'a> = (&'a str, Option<&'a str>);

fn changed(server: &Server, changes: &[Change<'_>]) -> Vec<(String, String)> {
    let mut headers = good_headers(server);
    for (name, value) in changes {
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        headers.extend(value.map(|value| ((*name).to_owned(), value.to_owned())));
    }
    headers
}

#[tokio::test]
async fn a_good_handshake_is_proven_and_served() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let answer = client.ask(&request(LINE, &good_headers(&server))).await;
    assert_eq!(answer.status, 101);
    let accept = accept_of("dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(answer.header("sec-websocket-accept"), Some(accept.as_str()));
    assert_eq!(answer.header("sec-websocket-protocol"), Some("doorbell.v1.json"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("sec-websocket-extensions"), None);

    let mut client = Client::welcomed(&server).await;
    client.round_trip().await;
    client.close().await;
}

#[tokio::test]
async fn spellings_that_the_rfc_leaves_open_are_accepted() {
    let server = Server::start();
    for changes in [
        &[("Upgrade", None), ("UPGRADE", Some("WebSocket")), ("CONNECTION", Some("keep-alive, upgrade"))][..],
        &[("Sec-WebSocket-Protocol", None)],
        &[("Origin", None)],
        &[("Sec-WebSocket-Extensions", Some("permessage-deflate; client_max_window_bits"))],
        &[("Sec-WebSocket-Extensions", Some(";;,,="))],
    ] {
        let answer = Client::connect(&server).await.ask(&request(LINE, &changed(&server, changes))).await;
        assert_eq!(answer.status, 101, "{changes:?}");
        assert_eq!(answer.header("sec-websocket-extensions"), None);
    }
}

#[tokio::test]
async fn each_wrong_header_is_refused_and_no_socket_made() {
    let server = Server::start();
    let other_port = format!("http://127.0.0.1:{}", server.address.port() ^ 1);
    for (change, status) in [
        (("Host", None), 400),
        (("Upgrade", None), 426),
        (("Connection", None), 426),
        (("Sec-WebSocket-Version", None), 426),
        (("Sec-WebSocket-Version", Some("99")), 426),
        (("Sec-WebSocket-Key", None), 400),
        (("Sec-WebSocket-Key", Some("")), 400),
        (("Sec-WebSocket-Key", Some("YWJj")), 400),
        (("Sec-WebSocket-Key", Some("!!!!not-base64-at-all!!!")), 400),
        (("Sec-WebSocket-Protocol", Some("x-no-such.v9")), 400),
        (("Origin", Some("https://evil.example")), 403),
        (("Origin", Some("http://127.0.0.1.evil.example")), 403),
        (("Origin", Some(other_port.as_str())), 403),
        (("Origin", Some("null")), 403),
        (("Authorization", Some("Bearer bad")), 401),
        (("Authorization", Some("Basic YTpi")), 401),
        (("Content-Length", Some("5")), 400),
        (("Transfer-Encoding", Some("chunked")), 400),
    ] {
        let answer = Client::connect(&server).await.ask(&request(LINE, &changed(&server, &[change]))).await;
        assert_eq!(answer.status, status, "{change:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{change:?}");
    }
}

#[tokio::test]
async fn other_methods_versions_and_paths_are_refused() {
    let server = Server::start();
    for (line, status) in [
        ("POST /v1/ws HTTP/1.1", 405),
        ("PUT /v1/ws HTTP/1.1", 405),
        ("HEAD /v1/ws HTTP/1.1", 405),
        ("OPTIONS /v1/ws HTTP/1.1", 405),
        ("GETT /v1/ws HTTP/1.1", 405),
        ("GET /v1/ws HTTP/1.0", 505),
        ("GET /no/such/path HTTP/1.1", 404),
        ("GET http://evil.example/v1/ws HTTP/1.1", 400),
    ] {
        let answer = Client::connect(&server).await.ask(&request(line, &good_headers(&server))).await;
        assert_eq!(answer.status, status, "{line}");
    }
}

#[tokio::test]
async fn smuggling_and_injection_are_refused() {
    let server = Server::start();
    for extra in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: evil.example\r\n",
        "Upgrade: websocket\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "X-Ctl: a\0b\r\n",
        "X-Ctl: a\u{1}b\r\n",
        "X-Ctl: a\u{7f}b\r\n",
        "X-A: 1\r\n  2\r\n",
        "X-A : 1\r\n",
        ": 1\r\n",
    ] {
        let good = request(LINE, &good_headers(&server));
        let bad = good.replacen("\r\n\r\n", &format!("\r\n{extra}\r\n"), 1);
        let mut client = Client::connect(&server).await;
        client.send(bad.as_bytes()).await;
        let status = client.answer().await.map(|answer| answer.status);
        assert!(status.is_none_or(|status| status == 400), "{extra:?}: {status:?}");
    }
    for target in ["/v1/ws?x=%0d%0aX-Injected:%201", "/v1/ws?x=\rX-Injected: 1"] {
        let mut client = Client::connect(&server).await;
        client.send(request(&format!("GET {target} HTTP/1.1"), &good_headers(&server)).as_bytes()).await;
        let answer = client.answer().await;
        assert!(answer.is_none_or(|answer| answer.header("x-injected").is_none()), "{target:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_dropped() {
    let server = Server::start();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\x00\xff\xfe\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = Client::connect(&server).await;
        client.send(garbage).await;
        client.end_writes().await;
        assert!(client.answer().await.is_none_or(|answer| answer.status == 400), "{garbage:02x?}");
    }
}

#[tokio::test]
async fn a_handshake_byte_by_byte_is_served() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    for byte in request(LINE, &good_headers(&server)).as_bytes() {
        client.send(&[*byte]).await;
    }
    assert_eq!(client.answer().await.map(|answer| answer.status), Some(101));
}

#[tokio::test]
async fn a_frame_sent_along_with_the_request_is_read() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let hello = format!(r#"{{"type":"hello","token":"{}"}}"#, server.token);
    let mut bytes = request(LINE, &good_headers(&server)).into_bytes();
    bytes.extend(frame(FIN | TEXT, hello.as_bytes()));
    client.send(&bytes).await;
    assert_eq!(client.answer().await.map(|answer| answer.status), Some(101));
    assert!(matches!(client.next().await, Got::Json(welcome) if welcome["type"] == "welcome"));
}

#[tokio::test]
async fn a_token_with_the_upgrade_needs_none_in_hello() {
    let server = Server::start();
    let bearer = format!("Bearer {}", server.token);
    let headers = changed(&server, &[("Authorization", Some(&bearer))]);
    let mut client = Client::connect(&server).await;
    assert_eq!(client.ask(&request(LINE, &headers)).await.status, 101);
    client.send(&frame(FIN | TEXT, br#"{"type":"hello"}"#)).await;
    assert!(matches!(client.next().await, Got::Json(welcome) if welcome["user"] == "ada"));
}

#[tokio::test]
async fn a_bad_hello_is_closed_and_nothing_served() {
    let server = Server::start();
    for hello in [r#"{"type":"hello","token":"bad"}"#, r#"{"type":"hello"}"#] {
        let mut client = Client::upgraded(&server).await;
        client.send(&frame(FIN | TEXT, hello.as_bytes())).await;
        client.send(&frame(FIN | TEXT, br#"{"type":"ping","id":"x"}"#)).await;
        assert_eq!(client.next().await, Got::Close(Some(4401)), "{hello}");
    }
}

#[tokio::test]
async fn calls_have_their_second_door() {
    let server = Server::start();
    let call = |token: &str| {
        format!(
            "POST /v1/call/messages.list HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        )
    };
    assert_eq!(Client::connect(&server).await.ask(&call(&server.token)).await.status, 200);
    assert_eq!(Client::connect(&server).await.ask(&call("bad")).await.status, 401);
}
