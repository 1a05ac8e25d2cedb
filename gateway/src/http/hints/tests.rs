use std::sync::Mutex;

use async_trait::async_trait;
use doorbell_protocol::backends::{Ring, Rung};
use doorbell_protocol::frames::Token;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use crate::auth::api_keys::{Written, digest, generate};

/// Counts users as queued, and keeps what it was asked. Told to hang, it never answers.
#[derive(Default)]
struct Told {
    hangs: bool,
    asked: Mutex<Vec<Ring>>,
}

#[async_trait]
impl Ingress for Told {
    async fn ring(&self, rings: Vec<Ring>) -> Result<Vec<Rung>, ErrorBody> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let count = |ring: &Ring| ring.users.as_ref().map_or(1, |users| users.len() as u64);
        let rung = rings.iter().map(|ring| Rung { queued: count(ring), ..Rung::default() }).collect();
        self.asked.lock().unwrap().extend(rings);
        Ok(rung)
    }
}

struct Rig {
    door: HintsDoor,
    told: Arc<Told>,
    key: Token,
    desk: Token,
}

fn rig(told: Told) -> Rig {
    let count = |number| NonZeroU32::new(number).unwrap();
    let config = Config {
        body_bytes_max: 400.try_into().unwrap(),
        hints_max: 4.try_into().unwrap(),
        users_max: 5.try_into().unwrap(),
        users_per_second: count(1),
        users_burst: count(8),
        calls_in_flight_max: 1.try_into().unwrap(),
        ..Config::default()
    };
    let (key, desk, keys) = (generate(), generate(), Arc::new(ApiKeys::default()));
    let shop = Written {
        name: "shop".into(),
        sha256: digest(&key),
        hints: true,
        act_as: Vec::new(),
        throttle: None,
    };
    let system = doorbell_protocol::UserId::new("system").unwrap();
    let clerk = Written {
        name: "desk".into(),
        sha256: digest(&desk),
        hints: false,
        act_as: vec![system],
        throttle: None,
    };
    keys.replace(vec![shop, clerk]).unwrap();
    let told = Arc::new(told);
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let door = HintsDoor::new(Arc::clone(&told) as _, keys, config, Duration::from_secs(10), metrics);
    Rig { door, told, key, desk }
}

impl Rig {
    async fn post(&self, token: &str, body: &str) -> (u16, HeaderMap, Value) {
        let mut request = Request::post(HINTS_PATH);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = self.door.serve(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap())
    }

    async fn ring(&self, body: &Value) -> (u16, Value) {
        let (status, _, body) = self.post(&self.key.0, &body.to_string()).await;
        (status, body)
    }
}

#[tokio::test]
async fn each_hint_reaches_the_ingress_and_is_counted_in_its_place() {
    let rig = rig(Told::default());

    let (status, body) = rig
        .ring(&json!({"hints": [
            {"topic": "order:1", "version": 3, "users": ["ada", "bob"]},
            {"topic": "order:2", "version": 1, "users": []},
            {"topic": "news:all", "version": 9},
        ]}))
        .await;

    let rung = |queued| json!({"queued": queued, "merged": 0, "offline": 0});
    assert_eq!((status, body), (200, json!({"hints": [rung(2), rung(0), rung(1)]})));
    let asked = rig.told.asked.lock().unwrap();
    assert_eq!(asked[2].users, None);
}

#[tokio::test]
async fn bad_input_is_refused_whole_with_its_place() {
    let one =
        |hint: Value| json!({"hints": [{"topic": "a:b", "version": 1, "users": ["ada"]}, hint]}).to_string();
    let many = |users: usize| (0..users).map(|user| format!("u{user}")).collect::<Vec<_>>();
    let long = "x".repeat(129);
    for (body, status, said) in [
        (String::new(), 400, "the body must be"),
        ("{".to_owned(), 400, "the body must be"),
        ("[]".to_owned(), 400, "the body must be an object"),
        ("{}".to_owned(), 400, "missing field `hints`"),
        (r#"{"hints": {}}"#.to_owned(), 400, "`hints`: must be an array"),
        (r#"{"hints": [], "hint": 1}"#.to_owned(), 400, "`hint`: must be `hints`"),
        (one(json!({"version": 1})), 400, "`hints[1]`: missing field `topic`"),
        (one(json!({"topic": "a:b"})), 400, "`hints[1]`: missing field `version`"),
        (one(json!({"topic": "news", "version": 1})), 400, "`hints[1].topic`: topic must be kind:key"),
        (one(json!({"topic": "a:b", "version": -1})), 400, "`hints[1].version`: must be a whole number"),
        (
            one(json!({"topic": "a:b", "version": 1_u64 << 53})),
            400,
            "`hints[1].version`: a version is at most",
        ),
        (
            one(json!({"topic": "a:b", "version": 1, "users": null})),
            400,
            "`hints[1].users`: must be an array",
        ),
        (
            one(json!({"topic": "a:b", "version": 1, "users": "ada"})),
            400,
            "`hints[1].users`: must be an array",
        ),
        (
            one(json!({"topic": "a:b", "version": 1, "users": ["bob", ""]})),
            400,
            "`hints[1].users[1]`: user must not",
        ),
        (
            one(json!({"topic": "a:b", "version": 1, "users": [long]})),
            400,
            "`hints[1].users[0]`: user must be at most",
        ),
        (one(json!({"topic": "a:b", "version": 1, "user": ["bob"]})), 400, "`hints[1].user`: must be one of"),
        (
            one(json!({"topic": "a:b", "version": 1, "users": many(6)})),
            413,
            "`hints[1].users`: must be at most 5",
        ),
        (
            json!({"hints": vec![json!({"topic": "a:b", "version": 1}); 5]}).to_string(),
            413,
            "`hints`: must be at most 4",
        ),
        (
            json!({"hints": vec![json!({"topic": "a:b", "version": 1, "users": many(3)}); 3]}).to_string(),
            413,
            "`hints`: must ring at most 8 users",
        ),
        (format!(r#"{{"hints": [{}]}}"#, " ".repeat(400)), 413, "the body must be at most 400 bytes"),
    ] {
        let rig = rig(Told::default());
        let (got, _, answer) = rig.post(&rig.key.0, &body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(got, status, "{body}: {message}");
        assert!(message.starts_with(said), "{body}: {message}");
        assert!(rig.told.asked.lock().unwrap().is_empty(), "{body}");
    }
}

#[tokio::test]
async fn only_a_key_with_the_right_to_hint_comes_in() {
    let rig = rig(Told::default());
    let body = r#"{"hints":[{"topic":"a:b","version":1,"users":["ada"]}]}"#;
    for (token, status, code) in [
        ("", 401, "unauthorized"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.x", 401, "unauthorized"),
        (&*generate().0, 401, "unauthorized"),
        (&rig.desk.0, 403, "forbidden"),
    ] {
        let (got, headers, answer) = rig.post(token, body).await;
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)));
        assert_eq!(headers.contains_key("www-authenticate"), status == 401);
    }
    assert!(rig.told.asked.lock().unwrap().is_empty());
    let request = Request::get(HINTS_PATH).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(rig.door.serve(request).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn beyond_the_rate_a_key_waits_and_another_does_not() {
    let rig = rig(Told::default());
    let body = json!({"hints": [{"topic": "a:b", "version": 1, "users": ["ada", "bob", "eve", "mo"]}]});
    assert_eq!(rig.ring(&body).await.0, 200);
    assert_eq!(rig.ring(&body).await.0, 200);

    let (status, headers, answer) = rig.post(&rig.key.0, &body.to_string()).await;

    assert_eq!((status, answer["error"]["code"].as_str()), (429, Some("rate_limited")));
    assert!(answer["error"]["retry_after_ms"].as_u64().is_some_and(|wait| (1..=4_000).contains(&wait)));
    assert!(headers.contains_key("retry-after"));
    assert_eq!(rig.ring(&json!({"hints": []})).await.0, 200, "what rings nobody costs nothing");
    let desk = rig.door.api_keys.find(&rig.desk).unwrap();
    assert!(rig.door.take(&desk, 8).is_ok(), "another key has a rate of its own");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_holds_one_place_until_the_deadline() {
    let rig = rig(Told { hangs: true, ..Told::default() });
    let body = json!({"hints": [{"topic": "a:b", "version": 1, "users": ["ada"]}]});

    let ((first, answer), (second, refused)) = tokio::join!(rig.ring(&body), rig.ring(&body));

    assert_eq!((first, answer["error"]["code"].as_str()), (503, Some("unavailable")));
    assert!(answer["error"]["retry_after_ms"].is_u64());
    assert_eq!((second, refused["error"]["code"].as_str()), (429, Some("rate_limited")));
    assert!(rig.door.places.available_permits() == 1, "the place is free again");
}
