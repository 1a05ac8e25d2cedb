use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::{Encoding, ErrorBody, ErrorCode, Hint, Payload, TopicId, UserId, Version};
use doorbell_rpc::{Audiences, CallRequest, Messages};
use doorbell_upstream::{Config, Error, Metrics, Parts, Secret, Upstream};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::{Behaviour, Server};

fn upstream_with(config: Config) -> Upstream {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    Upstream::new(parts(config, metrics)).unwrap()
}

fn parts(config: Config, metrics: Metrics) -> Parts {
    let question_timeout = config.call_timeout;
    Parts { config, secret: Secret::new("s3cret".into()), question_timeout, metrics }
}

fn config(url: &str) -> Config {
    Config {
        url: format!("{url}/app"),
        secret_file: "secret".into(),
        call_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_millis(500),
        response_bytes_max: 1_000.try_into().unwrap(),
        breaker_failures_max: 3.try_into().unwrap(),
        breaker_open_for: Duration::from_secs(1),
        ..Config::default()
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn call(method: &str, params: Payload) -> CallRequest {
    CallRequest { caller: user("Zoë").into(), method: method.into(), params }
}

fn params() -> Payload {
    Payload::from_untrusted(Encoding::Json, Bytes::from_static(br#"{"text":"hi"}"#)).unwrap()
}

fn answer(status: u16, body: &Value) -> Behaviour {
    Behaviour::Answer(status, Vec::new(), body.to_string())
}

async fn refused(upstream: &Upstream) -> ErrorBody {
    upstream.call(call("notes.add", params())).await.unwrap_err()
}

async fn call_as(upstream: &Upstream, name: &str) -> Result<Payload, ErrorBody> {
    upstream.call(CallRequest { caller: user(name).into(), ..call("notes.add", params()) }).await
}

#[tokio::test]
async fn a_call_is_a_post_with_the_user_the_secret_and_json() {
    let server = Server::start(answer(200, &json!({"version": 7}))).await;
    let upstream = upstream_with(config(&server.url));

    let result = upstream.call(call("notes.add", params())).await.unwrap();
    let packed = upstream.call(call("notes.add", params().to(Encoding::MsgPack))).await.unwrap();

    assert_eq!(result.bytes(), r#"{"version":7}"#);
    assert_eq!((packed.encoding(), packed.to(Encoding::Json)), (Encoding::MsgPack, result));
    for asked in server.asked() {
        assert_eq!((&*asked.path, &*asked.body), ("/app/notes.add", &br#"{"text":"hi"}"#[..]));
        assert_eq!(asked.headers["authorization"], "Bearer s3cret");
        assert_eq!(asked.headers["doorbell-user"], "Zo%C3%AB");
        assert_eq!(asked.headers["content-type"], "application/json");
    }
    assert_eq!(server.connections(), 1, "the connection is kept");
}

#[tokio::test]
async fn what_it_refuses_passes_as_it_stands_and_the_rest_by_its_status() {
    let server =
        Server::start(answer(409, &json!({"error": {"code": "conflict", "message": "taken"}}))).await;
    let upstream = upstream_with(config(&server.url));
    assert_eq!(refused(&upstream).await, ErrorBody::new(ErrorCode::Conflict, "taken"));

    server.now_does(Behaviour::Answer(429, vec![("retry-after", "3".into())], "<html>".into()));
    let error = refused(&upstream).await;
    assert_eq!((error.code, error.retry_after_ms), (ErrorCode::RateLimited, Some(3_000)));

    let elsewhere = vec![("location", format!("{}/elsewhere", server.url))];
    server.now_does(Behaviour::Answer(307, elsewhere, String::new()));
    assert_eq!(refused(&upstream).await.code, ErrorCode::Unavailable);
    assert!(server.asked().iter().all(|asked| asked.path == "/app/notes.add"), "no redirect is followed");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept() {
    let server = Server::start(answer(200, &json!({"text": "x".repeat(1_000)}))).await;
    let upstream = upstream_with(config(&server.url));
    assert_eq!(refused(&upstream).await.code, ErrorCode::TooLarge);
}

#[tokio::test]
async fn methods_alone_are_reached_and_never_the_gateways_question() {
    let server = Server::start(answer(200, &json!({}))).await;
    let upstream = upstream_with(config(&server.url));
    for method in ["../admin", "..", "a/b", "a?b", "", "topics.authorize", "http://127.0.0.1:1/"] {
        let error = upstream.call(call(method, params())).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::UnknownMethod, "{method}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn no_answer_is_unavailable_and_after_some_it_is_spared_until_a_probe_succeeds() {
    for silent in [Behaviour::Hang, Behaviour::Close, answer(503, &json!({}))] {
        let server = Server::start(silent.clone()).await;
        let upstream = upstream_with(config(&server.url));
        for name in ["ada", "bob", "cleo"] {
            let error = call_as(&upstream, name).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Unavailable, "{silent:?}: {error:?}");
            assert!(error.retry_after_ms.is_some());
        }

        let spared = refused(&upstream).await;
        assert_eq!(spared.code, ErrorCode::Unavailable);
        assert!(spared.retry_after_ms.is_some_and(|wait| wait <= 1_500), "{spared:?}");
        assert_eq!(server.asked().len(), 3, "{silent:?}: a call that is spared is not sent");

        server.now_does(answer(200, &json!({})));
        let back = async {
            while upstream.call(call("notes.add", params())).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), back).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_is_not_there_is_unavailable() {
    let server = Server::start(answer(200, &json!({}))).await;
    let url = server.url.clone();
    drop(server);
    assert_eq!(refused(&upstream_with(config(&url))).await.code, ErrorCode::Unavailable);
}

#[tokio::test]
async fn a_fault_of_one_method_does_not_spare_the_others() {
    let server = Server::start(answer(500, &json!({}))).await;
    let upstream = upstream_with(config(&server.url));
    for _ in 0..5 {
        assert_eq!(refused(&upstream).await.code, ErrorCode::Unavailable);
    }
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn beyond_the_calls_under_way_one_is_refused_at_once() {
    let server = Server::start(Behaviour::Hang).await;
    let upstream =
        upstream_with(Config { calls_in_flight_max: 1.try_into().unwrap(), ..config(&server.url) });

    let (first, second) = tokio::join!(refused(&upstream), refused(&upstream));

    assert!(first.message.contains("may have taken effect"), "{first:?}");
    assert!(second.message.contains("too many"), "{second:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn slow_calls_of_one_user_spare_nobody_the_upstream() {
    let server = Server::scripted(vec![Behaviour::Hang; 12], answer(200, &json!({}))).await;
    let upstream = upstream_with(Config { call_timeout: Duration::from_secs(2), ..config(&server.url) });
    let slow = join_all((0..12).map(|_| call_as(&upstream, "eve")));
    let others = async {
        server.nth(11).await;
        call_as(&upstream, "ada").await.unwrap();
    };

    let (late, ()) = tokio::join!(slow, others);

    assert!(late.iter().all(Result::is_err), "{late:?}");
    call_as(&upstream, "ada").await.unwrap();
}

#[tokio::test]
async fn one_user_never_holds_the_places_of_all_nor_those_of_the_gateways_questions() {
    let server = Server::scripted(vec![Behaviour::Hang; 3], answer(200, &json!({"news:a": 1}))).await;
    let upstream = upstream_with(Config {
        calls_in_flight_max: 16.try_into().unwrap(),
        call_timeout: Duration::from_secs(2),
        ..config(&server.url)
    });
    let topics = vec![TopicId::new("news:a").unwrap()];
    let (one, two) = (call_as(&upstream, "eve"), call_as(&upstream, "eve"));
    let eve = user("eve");
    let question = upstream.authorize(&eve, topics.clone());
    let others = async {
        server.nth(2).await;
        let beyond = call_as(&upstream, "eve").await.unwrap_err();
        assert_eq!(beyond.code, ErrorCode::RateLimited, "{beyond:?}");
        assert!(beyond.retry_after_ms.is_some());
        assert!(upstream.authorize(&eve, topics.clone()).await.is_err(), "an eighth of half as many");
        call_as(&upstream, "ada").await.unwrap();
        assert_eq!(upstream.authorize(&user("ada"), topics.clone()).await.unwrap().len(), 1);
    };

    let (one, two, question, ()) = tokio::join!(one, two, question, others);

    assert!(one.is_err() && two.is_err() && question.is_err());
}

#[tokio::test]
async fn the_gateways_question_is_answered_for_what_was_asked() {
    let topic = |topic: &str| TopicId::new(topic).unwrap();
    let server = Server::start(answer(200, &json!({"news:a": 4, "news:other": 1}))).await;
    let upstream = upstream_with(config(&server.url));

    let allowed = upstream.authorize(&user("ada"), vec![topic("news:a"), topic("news:b")]).await.unwrap();

    assert_eq!(allowed, [Hint { topic: topic("news:a"), version: Version::new(4).unwrap() }]);
    let asked = &server.asked()[0];
    assert_eq!(
        (&*asked.path, &asked.headers["doorbell-user"]),
        ("/app/topics.authorize", &"ada".parse().unwrap())
    );
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body, json!({"user": "ada", "topics": ["news:a", "news:b"]}));
    assert_eq!(upstream.large_topics(vec![user("ada")]).await.unwrap(), [[]]);

    let not_found = json!({"error": {"code": "not_found", "message": "no such page"}});
    for absent in [answer(404, &json!({})), answer(404, &not_found), answer(405, &json!({}))] {
        server.now_does(absent);
        assert!(upstream.authorize(&user("ada"), vec![topic("news:a")]).await.unwrap().is_empty());
    }
    for fault in [answer(200, &json!({"news:a": -1})), answer(500, &json!({}))] {
        server.now_does(fault);
        assert!(upstream.authorize(&user("ada"), vec![topic("news:a")]).await.is_err());
    }
}

#[tokio::test]
async fn a_question_without_an_answer_is_late_before_its_gateway_gives_up_and_counts_as_a_failure() {
    let server = Server::start(Behaviour::Hang).await;
    let registry = prometheus::Registry::new();
    let config = Config { call_timeout: Duration::from_secs(3_600), ..config(&server.url) };
    let question_timeout = Duration::from_millis(100);
    let metrics = Metrics::register(&registry).unwrap();
    let upstream = Upstream::new(Parts { question_timeout, ..parts(config, metrics) }).unwrap();
    let topics = vec![TopicId::new("news:a").unwrap()];

    let ask = async |name| {
        let (asker, patience) = (user(name), Duration::from_secs(20));
        let asked = tokio::time::timeout(patience, upstream.authorize(&asker, topics.clone()));
        asked.await.unwrap().unwrap_err().to_string()
    };
    for name in ["ada", "bob", "cleo"] {
        let error = ask(name).await;
        assert!(error.contains("no answer of the upstream"), "{error}");
    }

    let spared = ask("dora").await;
    assert!(spared.contains("does not answer"), "{spared}");
    assert_eq!(server.asked().len(), 3);
    let shown = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(shown.contains("doorbell_upstream_calls_total{outcome=\"late\"} 3"), "{shown}");
}

#[tokio::test]
async fn a_secret_that_cannot_stand_in_a_header_is_refused() {
    for secret in ["", "two words", "line\n", "ü"] {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let parts =
            Parts { secret: Secret::new(secret.into()), ..parts(config("http://127.0.0.1:1"), metrics) };
        assert!(matches!(Upstream::new(parts), Err(Error::Secret)), "{secret:?}");
    }
}
