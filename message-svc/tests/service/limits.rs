//! What is refused, and how it says so.

use doorbell_message_svc::Config;
use doorbell_protocol::{Encoding, ErrorCode, UserId};
use doorbell_rpc::{CallRequest, Messages};
use serde_json::{Value, json};

use crate::support::{House, config, fresh_key, raw};

#[tokio::test]
async fn every_limit_of_a_message_holds_and_names_its_field() {
    let house = House::new();
    let emoji = "👋".repeat(10_000);
    let deep = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    let link = |bytes: usize| json!([format!("https://x/{}", "a".repeat(bytes - 10))]);
    let (ok, invalid, large) = (None, Some(ErrorCode::Invalid), Some(ErrorCode::TooLarge));
    let table: Vec<(Value, Option<ErrorCode>, &str)> = vec![
        (json!({"text": emoji}), ok, ""),
        (json!({"text": format!("{emoji}x")}), large, "text"),
        (json!({"text": ""}), invalid, "text"),
        (json!({}), invalid, "text"),
        (json!({"text": null, "media": []}), invalid, "text"),
        (json!({"text": "", "media": ["https://x.org"]}), ok, ""),
        (json!({"text": 5}), invalid, "text"),
        (json!({"media": vec!["https://x.org"; 10]}), ok, ""),
        (json!({"media": vec!["https://x.org"; 11]}), large, "media"),
        (json!({"media": link(2_048)}), ok, ""),
        (json!({"media": link(2_049)}), large, "media"),
        (json!({"media": ["ftp://x.org"]}), invalid, "media"),
        (json!({"media": ["javascript:alert(1)"]}), invalid, "media"),
        (json!({"media": ["https://"]}), invalid, "media"),
        (json!({"media": ["https:///x"]}), invalid, "media"),
        (json!({"media": ["https://x.org/a b"]}), invalid, "media"),
        (json!({"media": ["https://x.org/\u{0}"]}), invalid, "media"),
        (json!({"media": "https://x.org"}), invalid, "media"),
        (json!({"text": "x", "meta": deep(16)}), ok, ""),
        (json!({"text": "x", "meta": deep(17)}), large, "meta"),
        (json!({"text": "x", "meta": {"a": "b".repeat(4_096 - 8)}}), ok, ""),
        (json!({"text": "x", "meta": {"a": "b".repeat(4_096 - 7)}}), large, "meta"),
        (json!({"text": "x", "meta": []}), invalid, "meta"),
        (json!({"text": "x", "meta": "x"}), invalid, "meta"),
        (json!({"text": "x", "key": ""}), invalid, "key"),
        (json!({"text": "x", "key": "k k"}), invalid, "key"),
        (json!({"text": "x", "key": "k".repeat(129)}), invalid, "key"),
        (json!({"text": "x", "key": null}), invalid, "key"),
        (json!({"text": "x", "to": ""}), invalid, "to"),
        (json!({"text": "x", "to": "ada"}), invalid, "to"),
        (json!({"text": "x", "to": null}), invalid, "to"),
        (json!({"text": "x", "conversation": "c"}), invalid, "conversation"),
    ];
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        for (fields, code, names) in &table {
            let mut params = json!({"to": "bob", "key": fresh_key()});
            params.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let answer = house.call_in(encoding, "ada", "messages.send", &params).await;
            let shown: String = fields.to_string().chars().take(80).collect();
            assert_eq!(answer.as_ref().err().map(|e| e.code), *code, "{shown}: {answer:?}");
            if let Err(error) = answer {
                assert!(error.message.contains(names), "{shown}: {error:?}");
                assert_eq!(error.retry_after_ms, None);
            }
        }
    }
}

#[tokio::test]
async fn every_limit_of_a_conversation_holds() {
    let house = House::new();
    let members = |count: usize| (0..count).map(|i| format!("member-{i}")).collect::<Vec<_>>();
    let twice = [members(999), members(999), vec!["ada".to_owned()]].concat();
    let (ok, invalid, large) = (None, Some(ErrorCode::Invalid), Some(ErrorCode::TooLarge));
    let table: Vec<(Value, Option<ErrorCode>)> = vec![
        (json!({"members": members(999)}), ok),
        (json!({"members": members(1_000)}), large),
        (json!({"members": twice}), ok),
        (json!({"members": ["bob"], "title": "ü".repeat(200)}), ok),
        (json!({"members": ["bob"], "title": "ü".repeat(201)}), large),
        (json!({"members": ["bob"], "title": ""}), invalid),
        (json!({"members": ["bob"], "title": "  "}), invalid),
        (json!({"members": ["bob"], "title": "a\nb"}), invalid),
        (json!({"members": ["bob"], "title": "a\u{7f}"}), invalid),
        (json!({"members": ["a\u{0}"]}), invalid),
        (json!({"members": "bob"}), invalid),
        (json!({"members": null}), invalid),
        (json!({"members": ["bob"], "key": null}), invalid),
        (json!({}), invalid),
    ];
    for (fields, code) in table {
        let mut params = json!({"key": fresh_key()});
        params.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = house.call("ada", "conversations.create", params).await;
        assert_eq!(answer.as_ref().err().map(|e| e.code), code, "{fields}: {answer:?}");
    }
    let few = House::with(Config { members_max: std::num::NonZeroUsize::new(3).unwrap(), ..config() });
    let params = json!({"members": members(3), "key": "k"});
    let error = few.call("ada", "conversations.create", params).await.unwrap_err();
    assert!(error.message.contains("at most 3 members"), "{error:?}");
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_refused() {
    let house = House::new();
    for method in ["", "messages", "messages.sent", "Messages.send", "topics.changes ", "\u{0}"] {
        assert_eq!(house.code("ada", method, json!({})).await, ErrorCode::UnknownMethod, "{method:?}");
    }
}

#[tokio::test]
async fn an_error_never_repeats_what_was_sent() {
    let house = House::new();
    let secret = "s3cr3t-and-private";
    for (method, params) in [
        ("messages.send", format!(r#"{{"to":"bob","key":"k","text":{{"x":"{secret}"}}}}"#)),
        ("messages.send", format!(r#"{{"to":["{secret}"],"key":"k","text":"x"}}"#)),
        ("messages.send", format!(r#"{{"to":"bob","key":"{secret} with spaces","text":"x"}}"#)),
        ("messages.send", format!(r#"{{"to":"bob","key":"k","text":"x","meta":"{secret}"}}"#)),
        ("topics.changes", format!(r#"{{"cursor":"{secret}"}}"#)),
        ("topics.changes", format!(r#"{{"limit":"{secret}"}}"#)),
        ("messages.list", format!(r#"{{"conversation":"{secret}","after":"{secret}"}}"#)),
        ("messages.list", format!(r#"{{"conversation":"{secret}"}}"#)),
        (secret, "{}".to_owned()),
    ] {
        let user = UserId::new("ada").unwrap();
        let request = CallRequest { caller: user.into(), method: method.into(), params: raw(&params) };
        let error = house.service().call(request).await.unwrap_err();
        assert!(!serde_json::to_string(&error).unwrap().contains("s3cr3t"), "{error:?}");
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let house = House::new();
    let params = json!({"to": "bob", "key": "k", "text": "x", "colour": "blue", "later": [1, 2]});
    assert_eq!(house.ok("ada", "messages.send", params).await["version"], 1);
}

#[tokio::test]
async fn numbers_that_are_none_are_refused() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "x").await;
    for version in ["-1", "1.5", "1e400", "18446744073709551615", "9007199254740992", "\"1\"", "null", "true"]
    {
        let params = format!(r#"{{"conversation":"{conversation}","version":{version}}}"#);
        let Ok(params) = doorbell_protocol::Payload::from_untrusted(Encoding::Json, params.into()) else {
            continue;
        };
        let user = UserId::new("ada").unwrap();
        let request = CallRequest { caller: user.into(), method: "conversations.mark_read".into(), params };
        assert_eq!(house.service().call(request).await.unwrap_err().code, ErrorCode::Invalid, "{version}");
    }
}
