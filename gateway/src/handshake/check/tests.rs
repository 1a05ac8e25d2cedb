use doorbell_protocol::UserId;
use doorbell_protocol::frames::Token;
use http::Request;

use super::*;
use crate::auth::AuthError;
use crate::handshake::origin::Origin;
use crate::socket::Transport;

/// Knows one token.
struct OneToken;

impl Authenticator for OneToken {
    fn verify(&self, token: &Token, now: Timestamp) -> Result<Verified, AuthError> {
        match token.0.as_str() {
            "good" => Ok(Verified { user: UserId::new("ada").unwrap(), expires: now, claims: None }),
            "old" => Err(AuthError::Expired),
            _ => Err(AuthError::Bad),
        }
    }
}

const GOOD: &[(&str, &str)] = &[
    ("host", "127.0.0.1:8080"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn parts(headers: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().uri("/v1/ws");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn checked(head: &request::Parts) -> Result<Acceptance, Refusal> {
    let origins = Origins::new(vec![Origin::parse("https://chat.example").unwrap()], Transport::Plain);
    check(head, Rules { origins: &origins, authenticator: &OneToken }, Timestamp::from_millis(5))
}

/// The good request, one header replaced or, with no value, left out.
fn with(name: &str, value: Option<&str>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = GOOD
        .iter()
        .filter(|(other, _)| *other != name)
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    headers
}

fn outcome(headers: &[(String, String)]) -> Result<Acceptance, Refusal> {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    checked(&parts(&headers))
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let expected = Acceptance {
        accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(),
        encoding: Encoding::Json,
        offered: Offered::Nothing,
        verified: None,
    };
    assert_eq!(checked(&parts(GOOD)), Ok(expected));
}

#[test]
fn one_header_wrong_is_one_refusal() {
    for (name, value, refusal) in [
        ("host", None, Refusal::Host),
        ("host", Some(""), Refusal::Host),
        ("host", Some("a b"), Refusal::Host),
        ("host", Some("user@127.0.0.1"), Refusal::Host),
        ("host", Some("127.0.0.1:99999"), Refusal::Host),
        ("upgrade", None, Refusal::NotAnUpgrade),
        ("upgrade", Some("h2c"), Refusal::NotAnUpgrade),
        ("connection", None, Refusal::NotAnUpgrade),
        ("connection", Some("keep-alive"), Refusal::NotAnUpgrade),
        ("connection", Some("notupgrade"), Refusal::NotAnUpgrade),
        ("sec-websocket-version", None, Refusal::WebSocketVersion),
        ("sec-websocket-version", Some("8"), Refusal::WebSocketVersion),
        ("sec-websocket-version", Some("99"), Refusal::WebSocketVersion),
        ("sec-websocket-version", Some("13, 8"), Refusal::WebSocketVersion),
        ("sec-websocket-key", None, Refusal::Key),
        ("sec-websocket-key", Some(""), Refusal::Key),
        ("sec-websocket-key", Some("YWJj"), Refusal::Key),
        ("sec-websocket-key", Some("!!!!not-base64-at-all!!!"), Refusal::Key),
        ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ"), Refusal::Key),
        ("sec-websocket-protocol", Some("doorbell.v2.json"), Refusal::Subprotocol),
        ("sec-websocket-protocol", Some(""), Refusal::Subprotocol),
        ("sec-websocket-protocol", Some("DOORBELL.V1.JSON"), Refusal::Subprotocol),
        ("origin", Some("null"), Refusal::Origin),
        ("origin", Some("https://evil.example"), Refusal::Origin),
        ("origin", Some("http://127.0.0.1:8443"), Refusal::Origin),
        ("content-length", Some("5"), Refusal::Body),
        ("transfer-encoding", Some("chunked"), Refusal::Body),
        ("authorization", Some("Bearer bad"), Refusal::Token(AuthError::Bad)),
        ("authorization", Some("Bearer old"), Refusal::Token(AuthError::Expired)),
        ("authorization", Some("Basic good"), Refusal::Token(AuthError::Bad)),
    ] {
        assert_eq!(outcome(&with(name, value)), Err(refusal), "{name}: {value:?}");
    }
}

#[test]
fn what_the_rfc_leaves_open_is_taken() {
    for (name, value) in [
        ("upgrade", "WebSocket"),
        ("upgrade", "h2c, websocket"),
        ("connection", "keep-alive, upgrade"),
        ("host", "chat.example"),
        ("origin", "http://127.0.0.1:8080"),
        ("origin", "https://chat.example"),
        ("content-length", "0"),
        ("sec-websocket-extensions", "permessage-deflate; server_max_window_bits=99"),
        ("sec-websocket-extensions", ";;,,="),
    ] {
        assert!(outcome(&with(name, Some(value))).is_ok(), "{name}: {value}");
    }
    let mut two_lines = with("connection", Some("keep-alive"));
    two_lines.push(("connection".into(), "Upgrade".into()));
    assert!(outcome(&two_lines).is_ok());
}

#[test]
fn repeated_headers_are_refused() {
    for (name, refusal) in [
        ("host", Refusal::Host),
        ("upgrade", Refusal::Repeated),
        ("sec-websocket-key", Refusal::Repeated),
        ("sec-websocket-version", Refusal::WebSocketVersion),
    ] {
        let mut headers = with(name, None);
        let (_, value) = GOOD.iter().find(|(other, _)| *other == name).unwrap();
        headers.extend(vec![(name.to_owned(), (*value).to_owned()); 2]);
        assert_eq!(outcome(&headers), Err(refusal), "{name}");
    }
    for name in ["origin", "authorization"] {
        let mut headers = with(name, Some("http://127.0.0.1:8080"));
        headers.push((name.into(), "http://127.0.0.1:8080".into()));
        assert!(outcome(&headers).is_err(), "{name}");
    }
}

#[test]
fn the_first_sub_protocol_that_is_spoken_is_agreed() {
    let agreed = |offer: &str| {
        outcome(&with("sec-websocket-protocol", Some(offer)))
            .map(|acceptance| (acceptance.encoding, acceptance.offered))
    };
    assert_eq!(agreed("doorbell.v1.json"), Ok((Encoding::Json, Offered::Some)));
    assert_eq!(agreed("x, doorbell.v1.msgpack ,doorbell.v1.json"), Ok((Encoding::MsgPack, Offered::Some)));

    let mut two_lines = with("sec-websocket-protocol", Some("x"));
    two_lines.push(("sec-websocket-protocol".into(), "doorbell.v1.msgpack".into()));
    assert_eq!(outcome(&two_lines).unwrap().encoding, Encoding::MsgPack);
}

#[test]
fn a_token_with_the_request_is_verified() {
    let verified = outcome(&with("authorization", Some("Bearer good"))).unwrap().verified.unwrap();
    assert_eq!(verified.user.as_str(), "ada");
}

#[test]
fn a_token_in_the_target_is_not_read() {
    let mut head = parts(GOOD);
    head.uri = "/v1/ws?token=good&access_token=good".parse().unwrap();
    assert_eq!(checked(&head).unwrap().verified, None);
}

#[test]
fn method_version_and_target_are_checked() {
    for method in ["POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "GETT", "get"] {
        let mut head = parts(GOOD);
        head.method = method.parse().unwrap();
        assert_eq!(checked(&head), Err(Refusal::Method), "{method}");
    }
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        let mut head = parts(GOOD);
        head.version = version;
        assert_eq!(checked(&head), Err(Refusal::HttpVersion), "{version:?}");
    }
    for (target, fine) in [("http://127.0.0.1:8080/v1/ws", true), ("http://evil.example/v1/ws", false)] {
        let mut head = parts(GOOD);
        head.uri = target.parse().unwrap();
        assert_eq!(checked(&head).is_ok(), fine, "{target}");
    }
}

#[test]
fn every_refusal_is_a_clear_answer() {
    for (refusal, status) in [
        (Refusal::Method, 405),
        (Refusal::HttpVersion, 505),
        (Refusal::Body, 400),
        (Refusal::Host, 400),
        (Refusal::NotAnUpgrade, 426),
        (Refusal::Repeated, 400),
        (Refusal::WebSocketVersion, 426),
        (Refusal::Key, 400),
        (Refusal::Subprotocol, 400),
        (Refusal::Origin, 403),
        (Refusal::Token(AuthError::Bad), 401),
    ] {
        let response = refusal.response();
        assert_eq!(response.status(), status, "{refusal:?}");
        assert_eq!(response.headers()["content-type"], "application/json");
        let expected = match status {
            405 => "allow",
            426 => "sec-websocket-version",
            401 => "www-authenticate",
            _ => continue,
        };
        assert!(response.headers().contains_key(expected), "{refusal:?} has {expected}");
    }
}
