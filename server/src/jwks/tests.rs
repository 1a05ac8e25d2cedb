use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::*;
use doorbell_gateway::auth::{AuthError, Authenticator, KeySet, SignedTokens};
use doorbell_protocol::frames::Token;

fn jwk(kid: &str) -> serde_json::Value {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
    serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid})
}

fn set(kids: &[&str]) -> String {
    serde_json::json!({"keys": kids.iter().map(|kid| jwk(kid)).collect::<Vec<_>>()}).to_string()
}

fn reader(source: Source, timeout: Duration) -> Jwks {
    let own = Arc::new(KeySet::generate());
    Jwks {
        source,
        trusted: Arc::new(TrustedKeys::new(own, Vec::new()).with_source()),
        refresh: Duration::from_secs(300),
        timeout,
        wall: clock::wall(),
        metrics: Metrics::register(&prometheus::Registry::new()).unwrap(),
        state: State::Unread,
    }
}

/// Answers each connection with the same bytes, and counts them.
async fn serve(answer: Vec<u8>) -> (http::Uri, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    TaskTracker::new().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 1024];
            let _ = socket.read(&mut head).await;
            let _ = socket.write_all(&answer).await;
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
        }
    });
    (url, asked)
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn over(url: http::Uri, timeout: Duration) -> Source {
    Source::url(url, timeout).expect("plain HTTP needs no certificates")
}

#[tokio::test]
async fn a_set_is_read_over_http() {
    let (url, _) = serve(answer("200 OK", &set(&["a", "b"]))).await;
    let mut jwks = reader(over(url, Duration::from_secs(10)), Duration::from_secs(10));
    jwks.read().await.unwrap();
    assert_eq!(jwks.state, State::Good(2, 0));
    assert_eq!((jwks.metrics.readings("ok"), jwks.metrics.readings("failed")), (1, 0));
}

#[tokio::test]
async fn an_answer_that_is_no_set_changes_nothing() {
    let redirect =
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec();
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(300 * 1024)).into_bytes();
    for bad in [
        answer("500 Oops", &set(&["a"])),
        answer("200 OK", "[]"),
        answer("200 OK", r#"{"keys":[]}"#),
        redirect,
        endless,
    ] {
        let (url, _) = serve(bad.clone()).await;
        let mut jwks = reader(over(url, Duration::from_secs(10)), Duration::from_secs(10));
        assert!(jwks.read().await.is_err(), "{}", String::from_utf8_lossy(&bad[..60.min(bad.len())]));
        assert_eq!(jwks.state, State::Failing);
        assert!(jwks.read_first().await.is_ok(), "a URL that fails is no reason not to start");
    }
}

#[tokio::test]
async fn a_source_that_does_not_answer_is_left_at_its_deadline() {
    let (url, _) = serve(Vec::new()).await;
    let mut jwks = reader(over(url, Duration::from_millis(50)), Duration::from_millis(50));
    let said = format!("{:#}", jwks.read().await.unwrap_err());
    assert!(said.contains("its URL") && said.contains("did not answer in time"), "{said}");
}

#[tokio::test]
async fn a_file_is_read_and_a_bad_one_at_the_start_is_an_error_that_names_it() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("keys.json");
    let mut jwks = reader(Source::File(path.clone()), Duration::from_secs(10));
    let said = format!("{:#}", jwks.read_first().await.unwrap_err());
    assert!(said.contains("auth.jwks") && said.contains("keys.json"), "{said}");

    std::fs::write(&path, set(&["a"])).unwrap();
    jwks.read_first().await.unwrap();
    std::fs::write(&path, " ".repeat(300 * 1024)).unwrap();
    assert!(format!("{:#}", jwks.read().await.unwrap_err()).contains("larger than"));
    assert_eq!(jwks.state, State::Failing);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_ask_once_a_minute_and_failures_soon_again() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("keys.json");
    std::fs::write(&path, set(&["a"])).unwrap();
    let jwks = reader(Source::File(path.clone()), Duration::from_secs(10));
    let (trusted, metrics, stop) =
        (Arc::clone(&jwks.trusted), jwks.metrics.clone(), CancellationToken::new());
    let started = Instant::now();
    let until = |readings: u64, outcome: &'static str| {
        let metrics = metrics.clone();
        async move {
            // The paused clock moves when nothing else is to be done, so never during the reading of a file.
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            while metrics.readings(outcome) < readings {
                ticks.tick().await;
            }
            started.elapsed().as_secs()
        }
    };
    let task = TaskTracker::new().spawn(jwks.run(stop.clone()));

    for _ in 0..1_000 {
        name_a_key(&trusted, "x", AuthError::Undecided);
    }
    let first = until(1, "ok").await;
    assert!((60..65).contains(&first), "{first}");
    name_a_key(&trusted, "x", AuthError::Bad);
    name_a_key(&trusted, "y", AuthError::Undecided);
    let second = until(2, "ok").await;
    assert!((120..130).contains(&second), "{second}");
    let third = until(3, "ok").await;
    assert!(third >= second + 295, "{third}: nobody asked, so the interval counts");

    std::fs::remove_file(&path).unwrap();
    let failed = until(1, "failed").await;
    let again = until(2, "failed").await;
    assert!((failed + 9..failed + 15).contains(&again), "{failed} {again}");
    stop.cancel();
    task.await.unwrap();
}

/// A token names a key; nobody looks at its signature where there is no key.
fn name_a_key(trusted: &Arc<TrustedKeys>, kid: &str, expected: AuthError) {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let now = (clock::wall())();
    let payload = part(serde_json::json!({"sub": "ada", "exp": now.as_millis() / 1000 + 60}));
    let token = format!("{}.{payload}.AAAA", part(serde_json::json!({"alg": "EdDSA", "kid": kid})));
    let tokens = SignedTokens::trusting(Arc::clone(trusted), &Default::default());
    assert_eq!(tokens.verify(&Token(token.as_str().into()), now), Err(expected), "{kid}");
}
