//! Frames from bytes: what is read, what is answered, what ends the socket.

use doorbell_protocol::codec::{decode_client, decode_server, encode_client, encode_server};
use doorbell_protocol::{CallId, ClientFrame, DecodeError, Encoding, ErrorCode, Payload, ServerFrame};
use serde_json::json;

fn client(text: &str) -> Result<ClientFrame, DecodeError> {
    decode_client(Encoding::Json, text.as_bytes())
}

fn rejection(text: &str) -> (Option<CallId>, ErrorCode, String) {
    match client(text) {
        Err(DecodeError::Rejected { id, error }) => (id, error.code, error.message),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_reply_in_the_other_encoding_is_rewritten() {
    let value = json!({"a": [1, "é"]});
    for (frame_in, payload_in) in [
        (Encoding::Json, Encoding::MsgPack),
        (Encoding::MsgPack, Encoding::Json),
        (Encoding::Json, Encoding::Json),
    ] {
        let outcome = Ok(Payload::encode(payload_in, &value));
        let mut bytes = Vec::new();
        encode_server(frame_in, &ServerFrame::Reply { id: CallId::Number(1), outcome }, &mut bytes);
        let ServerFrame::Reply { outcome: Ok(result), .. } = decode_server(frame_in, &bytes).unwrap() else {
            panic!("no result");
        };
        assert_eq!(result, Payload::encode(frame_in, &value));
    }
}

#[test]
fn encoding_appends() {
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let frame = ClientFrame::Ping { id: None };
        let mut out = b"before".to_vec();
        encode_client(encoding, &frame, &mut out);
        assert_eq!(decode_client(encoding, out.strip_prefix(b"before").unwrap()), Ok(frame));
    }
}

#[test]
fn spaces_escapes_and_the_order_of_fields_make_no_difference() {
    let call = client(
        "  { \"params\" : {\"a\" : 1} , \"meth\\u006fd\":\"m\",\"id\":7, \"\\u0074ype\":\"c\\u0061ll\" }\n",
    );
    let Ok(ClientFrame::Call { id: CallId::Number(7), method, params }) = call else { panic!("{call:?}") };
    assert_eq!((method.as_str(), &params.bytes()[..]), ("m", &b"{\"a\" : 1}"[..]));
}

#[test]
fn null_is_absent_where_a_field_is_optional_and_a_fault_where_it_is_not() {
    assert_eq!(client(r#"{"type":"ping","id":null}"#), Ok(ClientFrame::Ping { id: None }));
    let params = Payload::empty_object(Encoding::Json);
    let call = ClientFrame::Call { id: CallId::Number(1), method: "m".into(), params };
    assert_eq!(client(r#"{"type":"call","id":1,"method":"m","params":null}"#), Ok(call.clone()));
    assert_eq!(client(r#"{"type":"call","id":1,"method":"m"}"#), Ok(call));
    assert_eq!(rejection(r#"{"type":"token","token":null}"#).2, "token: `token` must be a string");
}

#[test]
fn a_field_of_another_kind_of_frame_is_unknown_here() {
    assert_eq!(client(r#"{"type":"ping","data":1,"data":2,"token":[]}"#), Ok(ClientFrame::Ping { id: None }));
}

#[test]
fn a_repeated_field_is_a_fault_and_a_repeated_id_is_not_usable() {
    let (id, code, message) = rejection(r#"{"type":"call","id":1,"method":"a","method":"b"}"#);
    assert_eq!((id, code), (Some(CallId::Number(1)), ErrorCode::Invalid));
    assert_eq!(message, "call: `method` must stand only once");
    assert_eq!(rejection(r#"{"type":"call","id":1,"id":2,"method":"a"}"#).0, None);
    let (id, _, message) = rejection(r#"{"type":"call","type":"ping","id":1}"#);
    assert_eq!((id, message.as_str()), (Some(CallId::Number(1)), "`type` must stand only once"));
}

#[test]
fn deep_nesting_is_answered_and_never_overflows() {
    for depth in [65, 10_000, 1_000_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let (id, code, message) =
            rejection(&format!(r#"{{"type":"call","id":"x","method":"m","params":{{"a":{deep}}}}}"#));
        assert_eq!((id, code), (Some(CallId::Text("x".into())), ErrorCode::Invalid));
        assert_eq!(message, "call: `params` must not be nested deeper than 64");
        for field in ["token", "topics", "unknown", "id", "client"] {
            let _ = client(&format!(r#"{{"type":"hello","{field}":{deep}}}"#));
            let _ = client(&format!(r#"{{"type":"subscribe","id":1,"{field}":{deep}}}"#));
        }
    }
}

#[test]
fn a_declared_length_is_not_believed() {
    for head in [&[0xdf_u8, 0xff, 0xff, 0xff, 0xff][..], &[0xde, 0xff, 0xff], &[0xdd, 0xff, 0xff, 0xff, 0xff]]
    {
        assert!(matches!(decode_client(Encoding::MsgPack, head), Err(DecodeError::NotProtocol(_))));
        let inside = [&[0x82, 0xa4][..], b"type", &[0xa4], b"ping", &[0xa1, b'x'], head].concat();
        assert!(matches!(decode_client(Encoding::MsgPack, &inside), Err(DecodeError::NotProtocol(_))));
    }
}

#[test]
fn each_limit_is_the_last_value_that_is_taken() {
    let topics = |count: usize| (0..count).map(|n| format!("\"t:{n}\"")).collect::<Vec<_>>();
    let frames: [(usize, &dyn Fn(usize) -> String); 7] = [
        (1_000, &|n| {
            let versions = topics(n).into_iter().map(|topic| topic + ":0").collect::<Vec<_>>().join(",");
            format!(r#"{{"type":"subscribe","id":1,"topics":{{{versions}}}}}"#)
        }),
        (1_000, &|n| format!(r#"{{"type":"unsubscribe","id":1,"topics":[{}]}}"#, topics(n).join(","))),
        (128, &|n| format!(r#"{{"type":"hello","client":"{}"}}"#, "x".repeat(n))),
        (128, &|n| format!(r#"{{"type":"hello","device":"{}"}}"#, "x".repeat(n))),
        (64, &|n| format!(r#"{{"type":"call","id":1,"method":"{}"}}"#, "x".repeat(n))),
        (64, &|n| format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(n))),
        (1_024, &|n| format!(r#"{{"type":"signal","topic":"t:1","data":"{}"}}"#, "x".repeat(n - 2))),
    ];
    for (limit, frame) in frames {
        assert!(client(&frame(limit)).is_ok(), "{:.60}", frame(limit));
        let (_, code, message) = rejection(&frame(limit + 1));
        assert!(matches!(code, ErrorCode::Invalid | ErrorCode::TooLarge), "{code:?}");
        assert!(message.contains(&limit.to_string()), "{message}");
    }
}

#[test]
fn a_reply_has_a_result_or_an_error() {
    let server = |text: &str| decode_server(Encoding::Json, text.as_bytes());
    let error = r#""error":{"code":"internal","message":"m"}"#;
    assert!(server(&format!(r#"{{"type":"reply","id":1,{error}}}"#)).is_ok());
    assert!(server(&format!(r#"{{"type":"reply","id":1,"result":null,{error}}}"#)).is_err());
    assert!(server(r#"{"type":"reply","id":1}"#).is_err());
}

#[test]
fn tokens_never_show() {
    let Ok(frame) = client(r#"{"type":"hello","token":"s3cret"}"#) else { panic!("a good hello") };
    assert!(!format!("{frame:?}").contains("s3cret"));
}
