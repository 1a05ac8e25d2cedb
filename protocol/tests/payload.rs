//! Opaque values: what is let in, what a type reads out of them, and that both encodings agree.

use bytes::Bytes;
use doorbell_protocol::{ConversationId, Encoding, ErrorCode, Payload};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::MsgPack];

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Send {
    conversation: ConversationId,
    text: String,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    media: Vec<Media>,
    #[serde(default)]
    state: Option<State>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Media {
    url: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Away,
    Busy,
}

fn untrusted(encoding: Encoding, bytes: impl Into<Vec<u8>>) -> Result<Payload, String> {
    Payload::from_untrusted(encoding, Bytes::from(bytes.into())).map_err(|error| {
        assert_eq!(error.code, ErrorCode::Invalid);
        error.message
    })
}

/// The error of reading `value` as a [`Send`], the same in both encodings.
fn refusal(value: &Value) -> String {
    let [json, msgpack] =
        BOTH.map(|encoding| Payload::encode(encoding, value).parse::<Send>().expect_err("it breaks a rule"));
    assert_eq!(json, msgpack);
    assert_eq!(json.code, ErrorCode::Invalid);
    json.message
}

#[test]
fn an_object_is_read_and_unknown_fields_are_ignored() {
    for encoding in BOTH {
        let value =
            json!({"conversation": "c1", "text": "hi", "media": [{"url": "u"}], "state": "busy", "new": [1]});
        let send = Payload::encode(encoding, &value).parse::<Send>().unwrap();
        assert_eq!((send.text.as_str(), send.limit, &send.state), ("hi", None, &Some(State::Busy)));
        assert_eq!(send.media, [Media { url: "u".into() }]);
        assert_eq!(Payload::encode(encoding, &send).to(Encoding::Json).parse::<Send>().unwrap(), send);
    }
}

#[test]
fn errors_name_the_field_and_its_rule() {
    for (value, message) in [
        (json!({"conversation": "c1"}), "missing field `text`"),
        (json!({"conversation": "c1", "text": 5}), "`text`: must be a string"),
        (
            json!({"conversation": "c1", "text": "t", "limit": "5"}),
            "`limit`: must be a whole number, not negative",
        ),
        (
            json!({"conversation": "c1", "text": "t", "limit": -5}),
            "`limit`: must be a whole number, not negative",
        ),
        (
            json!({"conversation": "c1", "text": "t", "limit": 1.5}),
            "`limit`: must be a whole number, not negative",
        ),
        (json!({"conversation": "c1", "text": "t", "media": {}}), "`media`: must be an array"),
        (
            json!({"conversation": "c1", "text": "t", "media": [{"url": "u"}, 7]}),
            "`media[1]`: must be an object",
        ),
        (json!({"conversation": "c1", "text": "t", "media": [{}]}), "`media[0]`: missing field `url`"),
        (json!({"conversation": "c1", "text": "t", "state": "asleep"}), "`state`: must be `away` or `busy`"),
        (
            json!({"conversation": "c/1", "text": "t"}),
            "`conversation`: conversation may hold only letters, digits, '_' and '-'",
        ),
        (json!([]), "the parameters must be an object"),
        (json!(null), "the parameters must be an object"),
    ] {
        assert_eq!(refusal(&value), message, "{value}");
    }
}

#[test]
fn errors_never_repeat_the_content() {
    let secret = "s3cret, expected s3cret at line 3";
    for value in [
        json!({"conversation": secret, "text": "t"}),
        json!({"conversation": "c1", "text": "t", "limit": secret}),
        json!({"conversation": "c1", "text": "t", "state": secret}),
        json!({"conversation": "c1", "text": "t", "media": secret}),
        json!({"conversation": "c1", "text": "t", "media": [{"url": {secret: 1}}]}),
    ] {
        assert!(!refusal(&value).contains("s3cret"), "{}", refusal(&value));
    }
    for encoding in BOTH {
        let topics = Payload::encode(encoding, &json!({"S3cret": "x"}));
        let error = topics.parse::<std::collections::HashMap<String, u64>>().unwrap_err();
        assert_eq!(error.message, "must be a whole number, not negative");
    }
}

#[test]
fn only_one_whole_object_is_let_in() {
    for bad in [
        "",
        " ",
        "[]",
        "1",
        "null",
        "\"x\"",
        "{",
        "{}{}",
        "{} x",
        "{\"a\":}",
        "{\"a\":1,}",
        "{'a':1}",
        "\u{feff}{}",
    ] {
        assert!(untrusted(Encoding::Json, bad).is_err(), "{bad:?}");
    }
    assert!(untrusted(Encoding::Json, *b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
    assert!(untrusted(Encoding::Json, " {\"a\": [1, {}]} \n").is_ok());
    for bad in
        [&[][..], &[0x90], &[0xc0], &[0x81, 0xa1, b'a'], &[0x80, 0x80], &[0xc1], &[0x81, 0xa1, 0xff, 0xc0]]
    {
        assert!(untrusted(Encoding::MsgPack, bad).is_err(), "{bad:?}");
    }
    assert!(untrusted(Encoding::MsgPack, [0x81, 0xa1, b'a', 0x91, 0x01]).is_ok());
}

#[test]
fn only_what_both_encodings_hold_is_let_in() {
    let field = |value: &[u8]| [&[0x81, 0xa1, b'a'], value].concat();
    for (value, says) in [
        (&[0xc4, 1, 0][..], "binary"),
        (&[0xd4, 5, 0], "extension"),
        (&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], "NaN"),
        (&[0xca, 0x7f, 0x80, 0, 0], "infinite"),
        (&[0x81, 1, 1], "strings as names"),
        (&[0x81, 0xc4, 1, b'a', 1], "strings as names"),
    ] {
        let error = untrusted(Encoding::MsgPack, field(value)).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    for bad in ["{\"a\":1e400}", "{\"a\":-1e400}", "{\"a\":\"\\ud800\"}", "{\"\\ud800\":1}"] {
        assert!(untrusted(Encoding::Json, bad).is_err(), "{bad}");
    }
}

#[test]
fn nesting_ends_at_the_limit() {
    let json = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let msgpack = |depth: usize| [vec![0x81, 0xa1, b'a'], vec![0x91; depth - 2], vec![0x90]].concat();
    assert!(untrusted(Encoding::Json, json(64)).is_ok());
    assert!(untrusted(Encoding::MsgPack, msgpack(64)).is_ok());
    for depth in [65, 10_000, 100_000] {
        assert!(untrusted(Encoding::Json, json(depth)).unwrap_err().contains("64"));
        assert!(untrusted(Encoding::MsgPack, msgpack(depth)).unwrap_err().contains("64"));
    }
}

#[test]
fn a_name_of_serde_jsons_own_is_refused() {
    // Read as a `Value`, this object would become the array inside its text.
    let token = "$serde_json::private::RawValue";
    assert_eq!(serde_json::from_str::<Value>(&format!("{{\"{token}\":\"[1]\"}}")).unwrap(), json!([1]));
    for name in [token, "\\u0024serde_json::private::RawValue", "$serde_json::private::Number"] {
        assert!(untrusted(Encoding::Json, format!("{{\"a\":{{\"{name}\":\"[1]\"}}}}")).is_err(), "{name}");
    }
    let map = [&[0x81, 0xa0 | 30][..], token.as_bytes(), &[0xa3], b"[1]"].concat();
    assert!(untrusted(Encoding::MsgPack, map).is_err());
}

#[test]
fn a_value_survives_both_encodings() {
    let text = r#"{"a":[1,-1,18446744073709551615,1.5,true,null,"é\u0000😀"],"b":{"":{}},"c":1e300}"#;
    let json = untrusted(Encoding::Json, text).unwrap();
    let msgpack = json.to(Encoding::MsgPack);
    assert_eq!(msgpack.encoding(), Encoding::MsgPack);
    let back = msgpack.to(Encoding::Json);
    assert_eq!(back.parse::<Value>().unwrap(), serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(untrusted(Encoding::MsgPack, msgpack.bytes().to_vec()).unwrap(), msgpack);
    assert_eq!(json.to(Encoding::Json), json);
}
