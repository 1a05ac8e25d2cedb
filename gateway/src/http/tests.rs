use std::sync::Mutex;

use async_trait::async_trait;
use doorbell_protocol::frames::Token;
use doorbell_protocol::{Timestamp, UserId};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::*;
use crate::auth::{Verified, api_keys};
use crate::uptime::{Moment, Uptime};

/// Answers what it is told to, and keeps what it was asked.
#[derive(Default)]
struct Told {
    answer: Mutex<Option<Result<&'static str, ErrorBody>>>,
    asked: Mutex<Vec<(String, String, Bytes)>>,
}

#[async_trait]
impl Messages for Told {
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        let CallRequest { caller, method, params } = request;
        self.asked.lock().unwrap().push((caller.user.to_string(), method, params.bytes().clone()));
        let answer = self.answer.lock().unwrap().take();
        match answer {
            Some(answer) => answer.and_then(|json| Payload::from_untrusted(Encoding::Json, json.into())),
            None => std::future::pending().await,
        }
    }
}

struct Everybody;

impl Authenticator for Everybody {
    fn verify(&self, token: &Token, now: Timestamp) -> Result<Verified, AuthError> {
        let user = UserId::new(&token.0).map_err(|_| AuthError::Bad)?;
        if token.0 == "nobody" {
            Err(AuthError::Expired)
        } else {
            Ok(Verified { user, expires: now, claims: None })
        }
    }
}

const BODY: BodyLimits = BodyLimits { bytes_max: 100, timeout: Duration::from_secs(10) };

fn rates() -> CallRates {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    CallRates::new(&crate::Config::default(), Uptime::from_fn(Moment::default), metrics)
}

fn door(answer: Option<Result<&'static str, ErrorBody>>) -> (CallDoor, Arc<Told>) {
    let told = Arc::new(Told { answer: Mutex::new(answer), ..Told::default() });
    let door = CallDoor {
        messages: told.clone(),
        authenticator: Arc::new(Everybody),
        api_keys: Arc::default(),
        rates: rates(),
        clock: Arc::new(|| Timestamp::from_millis(1)),
        body: BODY,
        call_timeout: Duration::from_secs(10),
    };
    (door, told)
}

fn post(path: &str, token: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::post(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Full::new(body.to_owned().into())).unwrap()
}

async fn answered(door: &CallDoor, request: Request<Full<Bytes>>) -> (StatusCode, HeaderMap, String) {
    let (head, body) = door.serve(request).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_call_passes_the_user_the_method_and_the_parameters() {
    let (door, told) = door(Some(Ok(r#"{"version":7}"#)));
    let (status, headers, body) =
        answered(&door, post("/v1/call/messages.send", "ada", r#"{"text":"hi"}"#)).await;

    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"version":7}"#));
    assert_eq!(headers["content-type"], "application/json");
    assert!(!headers.contains_key("access-control-allow-origin"));
    let asked = ("ada".to_owned(), "messages.send".to_owned(), Bytes::from(r#"{"text":"hi"}"#));
    assert_eq!(*told.asked.lock().unwrap(), [asked]);
}

#[tokio::test]
async fn beyond_the_rate_of_a_socket_a_user_is_told_to_wait_and_nobody_else() {
    let (door, told) = door(None);
    // Refused after they were counted.
    for _ in 0..200 {
        assert_eq!(answered(&door, post("/v1/call/", "ada", "")).await.0, StatusCode::NOT_FOUND);
    }

    let (status, headers, body) = answered(&door, post("/v1/call/a.b", "ada", "{}")).await;

    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(headers["retry-after"], "1");
    assert!(body.contains("\"rate_limited\"") && body.contains("\"retry_after_ms\""), "{body}");
    assert!(told.asked.lock().unwrap().is_empty());
    *told.answer.lock().unwrap() = Some(Ok("{}"));
    assert_eq!(answered(&door, post("/v1/call/a.b", "bob", "{}")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn no_body_means_no_parameters() {
    let (door, told) = door(Some(Ok("{}")));
    assert_eq!(answered(&door, post("/v1/call/topics.changes", "ada", "")).await.0, StatusCode::OK);
    assert_eq!(told.asked.lock().unwrap()[0].2, "{}");
}

#[tokio::test]
async fn what_is_refused_never_reaches_the_service() {
    let long = "x".repeat(METHOD_BYTES_MAX + 1);
    for (path, token, body, status, code) in [
        ("/v1/call/a.b", "", "{}", 401, "unauthorized"),
        ("/v1/call/a.b", "nobody", "{}", 401, "unauthorized"),
        ("/v1/call/", "ada", "{}", 404, "unknown_method"),
        ("/v1/call/a/b", "ada", "{}", 404, "unknown_method"),
        ("/v1/call/%2e%2e", "ada", "{}", 404, "unknown_method"),
        (&format!("/v1/call/{long}"), "ada", "{}", 404, "unknown_method"),
        ("/v1/call/a.b", "ada", "{", 400, "invalid"),
        ("/v1/call/a.b", "ada", "[]", 400, "invalid"),
        ("/v1/call/a.b", "ada", "{} {}", 400, "invalid"),
        ("/v1/call/a.b", "ada", &format!("{{\"a\":\"{}\"}}", "x".repeat(93)), 413, "too_large"),
    ] {
        let (door, told) = door(Some(Ok("{}")));
        let (got, headers, answer) = answered(&door, post(path, token, body)).await;
        assert_eq!(got.as_u16(), status, "{path} {body}");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["code"], code, "{path} {body}");
        assert_eq!(headers.contains_key("www-authenticate"), status == 401);
        assert!(told.asked.lock().unwrap().is_empty(), "{path} {body}");
    }
    let (door, _) = door(None);
    let request = Request::get("/v1/call/a.b").body(Full::default()).unwrap();
    let (status, headers, _) = answered(&door, request).await;
    assert_eq!((status.as_u16(), &headers["allow"]), (405, &HeaderValue::from_static("POST")));
}

#[tokio::test]
async fn a_user_named_in_the_header_is_for_api_keys_alone() {
    let (key, (mut door, told)) = (api_keys::generate(), door(Some(Ok("{}"))));
    let keys = ApiKeys::default();
    let act_as = vec![UserId::new("system").unwrap()];
    let sha256 = api_keys::digest(&key);
    keys.replace(vec![api_keys::Written {
        name: "desk".into(),
        sha256,
        hints: true,
        act_as,
        throttle: None,
    }])
    .unwrap();
    door.api_keys = Arc::new(keys);
    let named = |token: &str, user: &str| {
        let mut request = post("/v1/call/messages.send", token, "{}");
        request.headers_mut().insert(USER_HEADER, user.parse().unwrap());
        request
    };

    for (token, user, status) in [("ada", "system", 403), ("ada", "ada", 403), (&*key.0, "ada", 403)] {
        assert_eq!(answered(&door, named(token, user)).await.0.as_u16(), status, "{user}");
    }
    let (status, headers, _) = answered(&door, named(&api_keys::generate().0, "system")).await;
    assert_eq!((status.as_u16(), headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    assert!(told.asked.lock().unwrap().is_empty());

    assert_eq!(answered(&door, named(&key.0, "system")).await.0, StatusCode::OK);
    assert_eq!(told.asked.lock().unwrap()[0].0, "system");
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken() {
    let (door, _) = door(Some(Ok("{}")));
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(92));
    assert_eq!(body.len(), BODY.bytes_max);
    assert_eq!(answered(&door, post("/v1/call/a.b", "ada", &body)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn every_error_code_has_its_status() {
    for (code, status) in [
        (ErrorCode::Invalid, 400),
        (ErrorCode::Unauthorized, 401),
        (ErrorCode::Forbidden, 403),
        (ErrorCode::NotFound, 404),
        (ErrorCode::Conflict, 409),
        (ErrorCode::TooLarge, 413),
        (ErrorCode::RateLimited, 429),
        (ErrorCode::Unavailable, 503),
        (ErrorCode::UnknownType, 400),
        (ErrorCode::UnknownMethod, 404),
        (ErrorCode::Unsupported, 501),
        (ErrorCode::Internal, 500),
    ] {
        let (door, _) = door(Some(Err(ErrorBody::retry_after(code, "why", 1500))));
        let (got, headers, body) = answered(&door, post("/v1/call/a.b", "ada", "{}")).await;
        assert_eq!(got.as_u16(), status, "{code:?}");
        assert_eq!(headers["retry-after"], "2");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["message"], "why");
        assert_eq!(body["error"]["retry_after_ms"], 1500);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_as_unavailable() {
    let (door, told) = door(None);
    let (status, headers, _) = answered(&door, post("/v1/call/a.b", "ada", "{}")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"));
    assert_eq!(told.asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_cut_at_its_deadline() {
    let started = tokio::time::Instant::now();
    let trickle = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
    });
    let error = read_body(Request::new(StreamBody::new(Box::pin(trickle))), BODY).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert_eq!(started.elapsed(), BODY.timeout);
}

#[tokio::test]
async fn a_body_without_a_length_is_counted_while_it_is_read() {
    let chunks = |count: usize| {
        let chunk = |_| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(&[b'x'; 10])));
        Request::new(StreamBody::new(stream::iter((0..count).map(chunk))))
    };
    assert_eq!(read_body(chunks(10), BODY).await.unwrap().len(), 100);
    assert_eq!(read_body(chunks(11), BODY).await.unwrap_err().code, ErrorCode::TooLarge);
    assert_eq!(read_body(chunks(100_000), BODY).await.unwrap_err().code, ErrorCode::TooLarge);
}

#[tokio::test]
async fn the_body_of_a_refused_call_is_read_within_bounds() {
    let (door, _) = door(None);
    for (sent, read_at_most) in [(10, 10), (100_000, 81)] {
        let read = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&read);
        let chunk = move |_| {
            *counter.lock().unwrap() += 1;
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(&[b'x'; 10])))
        };
        let body = StreamBody::new(stream::iter((0..sent).map(chunk)));
        let response = door.serve(Request::post("/v1/call/a.b").body(body).unwrap()).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(*read.lock().unwrap(), read_at_most, "of {sent}");
    }
}
