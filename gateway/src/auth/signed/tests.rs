use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_rpc::Caller;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::*;
use crate::auth::Grants;

/// 2033-05-18, in seconds.
const NOW: u64 = 2_000_000_000;
const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 40] = [2; 40];
const UNNAMED: [u8; 32] = [3; 32];
const FOREIGN: [u8; 32] = [4; 32];

fn keys() -> Arc<KeySet> {
    let jwk = |kid: &str, secret: &[u8]| {
        format!(r#"{{"kty":"oct","alg":"HS256"{kid},"k":"{}"}}"#, URL_SAFE_NO_PAD.encode(secret))
    };
    let all = [jwk(r#","kid":"new""#, &NEW), jwk(r#","kid":"old""#, &OLD), jwk("", &UNNAMED)];
    Arc::new(KeySet::parse(&format!(r#"{{"keys":[{}]}}"#, all.join(","))).unwrap())
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000)
}

fn verify(token: &str, config: &Config) -> Result<Verified, AuthError> {
    SignedTokens::new(keys(), config).verify(&Token(token.into()), now())
}

/// A token of any header and claims, signed with HMAC-SHA256.
fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn header() -> Value {
    json!({"alg": "HS256", "typ": "JWT", "kid": "new"})
}

fn good() -> Value {
    json!({"sub": "ada", "exp": NOW + 60})
}

fn with(mut value: Value, name: &str, changed: Value) -> Value {
    value[name] = changed;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

#[test]
fn an_issued_token_holds_until_its_end() {
    let user = UserId::new("Ada Lovelace").unwrap();
    let token = keys().issue(&user, Duration::from_millis(59_001), now());
    let tokens = SignedTokens::new(keys(), &Config::default());
    let expires = now().plus(Duration::from_secs(60));

    assert_eq!(tokens.verify(&token, now()), Ok(Verified { user, expires, claims: None }));
    let last = Timestamp::from_millis(expires.as_millis() - 1);
    assert!(tokens.verify(&token, last).is_ok());
    assert_eq!(tokens.verify(&token, expires), Err(AuthError::Expired));
}

#[test]
fn a_token_issued_for_a_configuration_holds_under_it() {
    let user = UserId::new("ada").unwrap();
    let config = Config {
        token_issuer: Some("https://id.example".into()),
        token_audience: Some("doorbell".into()),
        ..Config::default()
    };
    let minute = Duration::from_secs(60);

    assert!(
        verify(&keys().issue_for(&config, &user, &Grants::default(), (minute, now())).0, &config).is_ok()
    );
    assert_eq!(verify(&keys().issue(&user, minute, now()).0, &config), Err(AuthError::Bad));
}

#[test]
fn each_key_of_the_set_verifies() {
    for (kid, secret) in [(Some("new"), &NEW[..]), (Some("old"), &OLD), (None, &OLD), (None, &UNNAMED)] {
        let header = kid.map_or_else(|| without(header(), "kid"), |kid| with(header(), "kid", json!(kid)));
        assert!(verify(&signed(&header, &good(), secret), &Config::default()).is_ok(), "{kid:?}");
    }
}

#[test]
fn headers_that_ask_for_anything_else_are_refused() {
    let longest = "k".repeat(4000);
    for (changed, secret) in [
        (with(header(), "alg", json!("none")), &NEW[..]),
        (with(header(), "alg", json!("HS384")), &NEW),
        (with(header(), "alg", json!("RS256")), &NEW),
        (with(header(), "alg", json!("hs256")), &NEW),
        (without(header(), "alg"), &NEW),
        (with(header(), "kid", json!("old")), &NEW),
        (with(header(), "kid", json!("unknown")), &NEW),
        (with(header(), "kid", json!("../../key")), &NEW),
        (with(header(), "kid", json!("' OR 1=1 --")), &NEW),
        (with(header(), "kid", json!(longest)), &NEW),
        (with(header(), "kid", json!(7)), &NEW),
        (with(header(), "crit", json!(["b64"])), &NEW),
        (with(header(), "crit", json!([])), &NEW),
        (with(header(), "typ", json!("dpop+jwt")), &NEW),
        (with(header(), "cty", json!("JWT")), &NEW),
        (header(), &FOREIGN),
        (without(header(), "kid"), &FOREIGN),
    ] {
        let token = signed(&changed, &good(), secret);
        assert_eq!(verify(&token, &Config::default()), Err(AuthError::Bad), "{changed}");
    }
}

#[test]
fn claims_must_all_hold() {
    for (claims, expected) in [
        (without(good(), "exp"), AuthError::Bad),
        (without(good(), "sub"), AuthError::Bad),
        (with(good(), "sub", json!("")), AuthError::Bad),
        (with(good(), "sub", json!("a\nb")), AuthError::Bad),
        (with(good(), "sub", json!("x".repeat(129))), AuthError::Bad),
        (with(good(), "sub", json!(7)), AuthError::Bad),
        (with(good(), "exp", json!("2000000060")), AuthError::Bad),
        (with(good(), "exp", json!(-1)), AuthError::Bad),
        (with(good(), "exp", json!(1e300)), AuthError::Bad),
        (with(good(), "exp", json!(null)), AuthError::Bad),
        (with(good(), "exp", json!(NOW)), AuthError::Expired),
        (with(good(), "exp", json!(0)), AuthError::Expired),
        (with(good(), "nbf", json!(NOW + 1)), AuthError::Bad),
        (with(good(), "nbf", json!(-5)), AuthError::Bad),
        (with(good(), "nbf", json!("soon")), AuthError::Bad),
        (with(good(), "aud", json!("somebody else")), AuthError::Bad),
        (json!([]), AuthError::Bad),
    ] {
        let token = signed(&header(), &claims, &NEW);
        assert_eq!(verify(&token, &Config::default()), Err(expected), "{claims}");
    }
    let fine = with(with(good(), "nbf", json!(NOW)), "exp", json!(NOW as f64 + 0.5));
    let verified = verify(&signed(&header(), &fine, &NEW), &Config::default()).unwrap();
    assert_eq!(verified.expires, now().plus(Duration::from_millis(500)));
}

#[test]
fn leeway_moves_both_ends() {
    let config = Config { token_leeway: Duration::from_secs(10), ..Config::default() };
    let late = |exp: u64| verify(&signed(&header(), &with(good(), "exp", json!(exp)), &NEW), &config);
    assert_eq!(late(NOW - 9).unwrap().expires, now().plus(Duration::from_secs(1)));
    assert_eq!(late(NOW - 10), Err(AuthError::Expired));

    let early = |nbf: u64| verify(&signed(&header(), &with(good(), "nbf", json!(nbf)), &NEW), &config);
    assert!(early(NOW + 10).is_ok());
    assert_eq!(early(NOW + 11), Err(AuthError::Bad));
}

#[test]
fn issuer_and_audience_are_demanded_where_configured() {
    let config = Config {
        token_issuer: Some("https://id.example".into()),
        token_audience: Some("doorbell".into()),
        ..Config::default()
    };
    let named = with(with(good(), "iss", json!("https://id.example")), "aud", json!(["x", "doorbell"]));
    assert!(verify(&signed(&header(), &named, &NEW), &config).is_ok());
    for bad in [
        without(named.clone(), "iss"),
        without(named.clone(), "aud"),
        with(named.clone(), "iss", json!("https://evil.example")),
        with(named, "aud", json!("doorbell.evil.example")),
    ] {
        assert_eq!(verify(&signed(&header(), &bad, &NEW), &config), Err(AuthError::Bad), "{bad}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let whole = signed(&header(), &good(), &NEW);
    let (message, signature) = whole.rsplit_once('.').unwrap();
    let twice = json!({"alg": "HS256"}).to_string().replace('}', r#","alg":"none"}"#);
    let double = signed(&header(), &good(), &NEW).replacen(
        whole.split('.').next().unwrap(),
        &URL_SAFE_NO_PAD.encode(twice),
        1,
    );
    let padded = signed(&header(), &with(good(), "pad", json!("x".repeat(TOKEN_BYTES_MAX))), &NEW);
    let empty = String::new();
    for bad in [
        &empty,
        &"x".to_owned(),
        &"..".to_owned(),
        &"a.b.c.d.e".to_owned(),
        &message.to_owned(),
        &format!("{message}."),
        &format!("{message}.{signature}x"),
        &format!("{message}.{}", &signature[1..]),
        &format!("{whole}={whole}"),
        &format!(" {whole}"),
        &format!("{whole}\n"),
        &double,
        &padded,
    ] {
        assert_eq!(verify(bad, &Config::default()), Err(AuthError::Bad), "{bad}");
    }
}

#[test]
fn what_a_token_grants_comes_with_it_and_a_bad_grant_is_a_bad_token() {
    let granted = |name: &str, value: Value| {
        verify(&signed(&header(), &with(good(), name, value), &NEW), &Config::default())
    };
    let claims = granted("topics", json!(["news:*"])).unwrap().claims.unwrap();
    assert!(claims.topics.allows(&doorbell_protocol::TopicId::new("news:a").unwrap()));
    let bot = Caller::from(granted("throttle", json!(50)).unwrap());
    assert_eq!(bot.throttle.map(std::num::NonZeroU32::get), Some(50));
    let device = granted("device", json!("phone")).unwrap().claims.unwrap().device.clone();
    assert_eq!(device.unwrap().as_str(), "phone");

    assert_eq!(granted("note", json!(1)).unwrap().claims, None);
    for (name, bad) in [
        ("topics", json!(["*"])),
        ("topics", json!("news:a")),
        ("throttle", json!(0)),
        ("throttle", json!("50")),
        ("device", json!(7)),
    ] {
        assert_eq!(granted(name, bad.clone()), Err(AuthError::Bad), "{name} {bad}");
    }
}
