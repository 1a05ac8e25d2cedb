//! TLS, against the binary: rustls and tungstenite as clients, and OpenSSL where it is.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::rig::{doorbell, run, scratch, text};
use crate::secure::{Authority, Files, SecureServer, put};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

const PATIENCE: Duration = Duration::from_secs(30);

async fn token(data: &Path, user: &str) -> String {
    let made = run(&mut doorbell(&["token", user, "--data-dir", data.to_str().unwrap()])).await;
    text(&made.stdout).trim_end().to_owned()
}

async fn upgrade(secure: &SecureServer, origin: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("wss://{}/v1/ws", secure.server.address).into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
    }
    Ok(client_async(request, secure.connect().await).await?.0)
}

async fn next_text(socket: &mut Socket) -> String {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("nothing came").unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Close(close) => panic!("closed with {close:?}"),
            _ => {}
        }
    }
}

async fn session(secure: &SecureServer, user: &str) -> Socket {
    let mut socket = upgrade(secure, None).await.unwrap();
    let hello = json!({"type": "hello", "token": token(&secure.data, user).await});
    socket.send(Message::text(hello.to_string())).await.unwrap();
    assert!(next_text(&mut socket).await.contains(r#""type":"welcome""#));
    socket
}

/// Has one user send another a message, over HTTP.
async fn send(secure: &SecureServer, from: &str, to: &str, key: &str) {
    let bearer = format!("Authorization: Bearer {}", token(&secure.data, from).await);
    let message = json!({"to": to, "key": key, "text": "hello"}).to_string();
    let sent = secure.request("POST", "/v1/call/messages.send", &[&bearer], &message).await;
    assert_eq!(sent.status, 200, "{sent:?}");
}

#[tokio::test]
async fn the_page_the_calls_and_the_sockets_come_over_tls_1_2_and_1_3() {
    let secure = SecureServer::start(&[]).await;
    assert_eq!(secure.server.scheme, "https");
    assert_eq!(secure.get("/readyz").await.body, r#"{"ready":true,"reasons":[]}"#);
    let page = secure.get("/").await;
    assert!(page.status == 200 && page.body.contains("<html"), "{page:?}");

    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let connector = secure.authority.connector(&[version], &["h2", "http/1.1"]);
        let mut stream = secure.connect_by(&connector).await.unwrap();
        let tls = stream.get_ref().1;
        assert_eq!(tls.protocol_version(), Some(version.version));
        assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
        let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("close_notify comes before the end");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let only_h2 = secure.authority.connector(rustls::ALL_VERSIONS, &["h2"]);
    assert!(secure.connect_by(&only_h2).await.is_err());

    let mut bob = session(&secure, "bob").await;
    send(&secure, "ada", "bob", "k1").await;
    while !next_text(&mut bob).await.contains(r#""type":"hint""#) {}
    bob.close(None).await.unwrap();
    while bob.next().await.is_some() {}
    let mut rest = Vec::new();
    bob.get_mut().read_to_end(&mut rest).await.expect("close_notify comes before the end");
}

#[tokio::test]
async fn a_page_may_open_a_socket_from_https_and_not_from_http() {
    let secure = SecureServer::start(&[]).await;
    let own = format!("https://{}", secure.server.address);
    upgrade(&secure, Some(&own)).await.unwrap();
    for origin in [own.replace("https", "http"), "https://evil.example".to_owned()] {
        let refused = upgrade(&secure, Some(&origin)).await.unwrap_err().to_string();
        assert!(refused.contains("403"), "{refused}");
    }
    let body = r#"{"user":"ada"}"#;
    for (origin, status) in [(own.clone(), 200), (own.replace("https", "http"), 403)] {
        let header = format!("Origin: {origin}");
        let answer = secure.request("POST", "/v1/demo/token", &[&header], body).await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_reads_why_and_is_counted() {
    let secure = SecureServer::start(&[]).await;
    let plain = secure.server.get("/readyz").await;
    assert_eq!(plain.status, 400);
    assert!(plain.body.contains("https:// or wss://"), "{plain:?}");
    secure.counted("doorbell_listener_tls_handshakes_total{outcome=\"plaintext\"} 1").await;

    let mut garbage = TcpStream::connect(&secure.server.address).await.unwrap();
    garbage.write_all(&[22, 9, 9, 255, 255, 0, 0]).await.unwrap();
    let mut alert = Vec::new();
    timeout(PATIENCE, garbage.read_to_end(&mut alert)).await.expect("it is not closed").unwrap();
    secure.counted("doorbell_listener_tls_handshakes_total{outcome=\"failed\"} 1").await;

    drop(TcpStream::connect(&secure.server.address).await.unwrap());
    secure.counted("doorbell_listener_tls_handshakes_total{outcome=\"lost\"} 1").await;
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_a_place_among_the_connections() {
    let secure = SecureServer::start(&[("DOORBELL_LISTENER__TLS_HANDSHAKE_TIMEOUT", "200ms")]).await;
    let mut silent = TcpStream::connect(&secure.server.address).await.unwrap();
    let mut slow = TcpStream::connect(&secure.server.address).await.unwrap();
    slow.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    for socket in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("it is not closed");
        assert_eq!(ended.unwrap_or_default(), 0);
    }
    secure.counted("doorbell_listener_tls_handshakes_total{outcome=\"late\"} 2").await;
}

#[tokio::test]
async fn a_full_house_is_full_of_handshakes_too() {
    let secure = SecureServer::start(&[("DOORBELL_LISTENER__CONNECTIONS_MAX", "1")]).await;
    let waits = TcpStream::connect(&secure.server.address).await.unwrap();
    let connector = secure.authority.connector(rustls::ALL_VERSIONS, &[]);
    // Until the first one is accepted, a second may come first.
    let refused = async {
        while secure.connect_by(&connector).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("a handshake does not count");
    drop(waits);
    let welcome = async {
        while secure.connect_by(&connector).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, welcome).await.expect("its place is never free again");
}

/// What the next handshake is shown.
async fn shown(secure: &SecureServer) -> Vec<u8> {
    let connector = secure.authority.connector(rustls::ALL_VERSIONS, &[]);
    let stream = secure.connect_by(&connector).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_new_certificate_is_shown_after_sighup_and_open_sockets_go_on() {
    let secure = SecureServer::start(&[]).await;
    let mut bob = session(&secure, "bob").await;
    let second = secure.authority.sign_until(2099);
    secure.counted("doorbell_server_certificate_expiry_timestamp_seconds 4102444800").await;

    secure.files.write(&second);
    secure.server.signal("-HUP").await;
    secure.counted("doorbell_server_certificate_expiry_timestamp_seconds 4070908800").await;
    assert_eq!(shown(&secure).await, second.der.as_ref());

    put(&secure.files.key, &secure.authority.sign_until(2100).key);
    secure.server.signal("-HUP").await;
    secure.counted("doorbell_server_certificate_fault 1").await;
    secure.counted("doorbell_server_rereads_total{outcome=\"failed\"} 1").await;
    assert_eq!(shown(&secure).await, second.der.as_ref(), "the last good pair stays");

    send(&secure, "ada", "bob", "k1").await;
    while !next_text(&mut bob).await.contains(r#""type":"hint""#) {}
    let ping = r#"{"type":"ping"}"#;
    bob.send(Message::text(ping)).await.unwrap();
    while !next_text(&mut bob).await.contains("pong") {}
}

#[tokio::test]
async fn a_changed_file_is_found_without_a_signal_and_a_bad_one_is_in_the_log_without_its_content() {
    let ((scratch, data), authority) = (scratch(), Authority::new());
    let files = Files::within(scratch.path());
    files.write(&authority.sign_until(2100));
    let mut command = doorbell(&["serve", "--listen", "127.0.0.1:0", "--log", "debug"]);
    command.arg("--data-dir").arg(&data).envs(files.env()).env("DOORBELL_TLS__REREAD_INTERVAL", "1s");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    let mut until = async |wanted: &str| {
        let found = async {
            loop {
                let line = log.next_line().await.unwrap().unwrap_or_else(|| panic!("the log ends: {seen}"));
                seen.push_str(&line);
                if line.contains(wanted) {
                    return line;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never logged: {wanted}"))
    };
    until("in a browser").await;

    let torn = &authority.sign_until(2099).key[..150];
    put(&files.key, torn);
    let line = until("the certificate's files cannot be used: the one in force stays").await;
    assert!(line.contains("ERROR") && line.contains("key.pem") && line.contains("`tls.key_file`"), "{line}");
    files.write(&authority.sign_until(2000));
    until("the certificate does not hold now").await;
    files.write(&authority.sign_until(2099));
    until("the certificate holds").await;

    for secret in torn.lines().skip(1) {
        assert!(!seen.contains(secret), "the log holds the key");
    }
}

#[tokio::test]
async fn check_and_serve_say_what_is_wrong_with_the_files() {
    let ((scratch, data), authority) = (scratch(), Authority::new());
    let files = Files::within(scratch.path());
    let command = |name: &str| {
        let mut command = doorbell(&[name, "--listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(&data).envs(files.env());
        command
    };
    let good = authority.sign_until(2100);

    let missing = run(&mut command("check")).await;
    files.write(&good);
    put(&files.key, &authority.sign_until(2100).key);
    let other = run(&mut command("check")).await;
    let start = run(&mut command("serve")).await;
    files.write(&authority.sign_until(2021));
    let expired = run(&mut command("check")).await;
    files.write(&good);
    let sound = run(&mut command("check")).await;
    let half = run(command("check").env_remove("DOORBELL_TLS__KEY_FILE")).await;

    for (output, words) in [
        (&missing, &["`tls.certificate_file`: cannot read", "chain.pem"][..]),
        (&other, &["`tls.key_file`", "key.pem", "not that of the certificate"]),
        (&start, &["`tls.key_file`", "key.pem", "not that of the certificate"]),
        (&expired, &["`tls.certificate_file` is", "chain.pem", "ended at 2021-01-01T00:00:00Z", "renew"]),
        (&half, &["`tls.certificate_file` needs its `tls.key_file`"]),
    ] {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} not in {said}");
    }
    assert!(sound.status.success(), "{}", text(&sound.stderr));
    assert!(sound.stderr.is_empty() || !text(&sound.stderr).contains("tls"), "{}", text(&sound.stderr));
}

#[tokio::test]
async fn openssl_agrees() {
    let secure = SecureServer::start(&[]).await;
    let ca = secure.files.chain.with_file_name("ca.pem");
    put(&ca, &secure.authority.pem);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut openssl = Command::new("openssl");
        openssl.args([
            "s_client",
            "-connect",
            &secure.server.address,
            "-verify_return_error",
            "-brief",
            version,
        ]);
        openssl.args(["-alpn", "http/1.1", "-CAfile"]).arg(&ca).stdin(Stdio::null()).kill_on_drop(true);
        let output = match timeout(PATIENCE, openssl.output()).await.expect("openssl hangs") {
            Ok(output) => output,
            Err(missing) => {
                assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped: {missing}");
                eprintln!("SKIPPED: no openssl: {missing}");
                return;
            }
        };
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(output.status.success() && said.contains("Verification: OK"), "{version}: {said}");
    }
}
