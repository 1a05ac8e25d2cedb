use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_protocol::Timestamp;
use doorbell_protocol::frames::{TOKEN_BYTES_MAX, Token};
use futures_util::FutureExt;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::*;
use crate::auth::{AuthError, Authenticator, Config, InvalidPublicKeys, SignedTokens};

/// 2033-05-18, in seconds.
const NOW: u64 = 2_000_000_000;

/// Somebody who signs.
struct Issuer {
    algorithm: Algorithm,
    pair: KeyPair,
    signing: EncodingKey,
}

impl Issuer {
    fn new(algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::RS256 => &PKCS_RSA_SHA256,
            Algorithm::ES256 => &PKCS_ECDSA_P256_SHA256,
            _ => &PKCS_ED25519,
        };
        crate::auth::keys::install_provider();
        let pair = KeyPair::generate_for(kind).unwrap();
        let pem = pair.serialize_pem();
        let signing = match algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
            _ => EncodingKey::from_ed_pem(pem.as_bytes()),
        };
        Self { algorithm, signing: signing.unwrap(), pair }
    }

    fn token(&self, header: Value, claims: &Value) -> String {
        signed(header, claims, self.algorithm, &self.signing)
    }

    fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self.algorithm {
            // The library reads no Ed25519 key of the form that rcgen writes back into a JWK.
            Algorithm::EdDSA => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.pair.public_key_raw())})
            }
            other => serde_json::to_value(Jwk::from_encoding_key(&self.signing, other).unwrap()).unwrap(),
        };
        jwk["kid"] = json!(kid);
        jwk
    }

    fn pem(&self, kid: &str) -> PublicKey {
        PublicKey::from_pem(kid, &self.pair.public_key_pem()).unwrap()
    }
}

static RSA: LazyLock<Issuer> = LazyLock::new(|| Issuer::new(Algorithm::RS256));
static EC: LazyLock<Issuer> = LazyLock::new(|| Issuer::new(Algorithm::ES256));
static ED: LazyLock<Issuer> = LazyLock::new(|| Issuer::new(Algorithm::EdDSA));

fn issuers() -> [(&'static str, &'static Issuer); 3] {
    [("RS256", &RSA), ("ES256", &EC), ("EdDSA", &ED)]
}

fn signed(header: Value, claims: &Value, algorithm: Algorithm, key: &EncodingKey) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn set(keys: &[Value]) -> PublicKeys {
    PublicKeys::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

fn good() -> Value {
    json!({"sub": "ada", "exp": NOW + 60})
}

fn verify(trusted: &Arc<TrustedKeys>, token: &str, config: &Config) -> Result<String, AuthError> {
    let tokens = SignedTokens::trusting(Arc::clone(trusted), config);
    let now = Timestamp::from_millis(NOW * 1000);
    tokens.verify(&Token(token.into()), now).map(|verified| verified.user.to_string())
}

fn takes(trusted: &Arc<TrustedKeys>, token: &str) -> Result<String, AuthError> {
    verify(trusted, token, &Config::default())
}

/// All three issuers by PEM, under their algorithms' names.
fn by_pem() -> Arc<TrustedKeys> {
    let fixed = issuers().map(|(name, issuer)| issuer.pem(name));
    Arc::new(TrustedKeys::new(Arc::new(KeySet::generate()), fixed.into()))
}

/// The same by a JWK Set.
fn by_jwks() -> Arc<TrustedKeys> {
    let trusted = TrustedKeys::new(Arc::new(KeySet::generate()), Vec::new());
    trusted.replace_fetched(set(&issuers().map(|(name, issuer)| issuer.jwk(name))), Instant::now());
    Arc::new(trusted)
}

/// Somebody reads a set for it, and has not yet.
fn reading() -> Arc<TrustedKeys> {
    Arc::new(TrustedKeys::new(Arc::new(KeySet::generate()), Vec::new()).with_source())
}

#[test]
fn each_algorithm_holds_by_pem_and_by_jwks_with_and_without_a_kid() {
    for trusted in [by_pem(), by_jwks()] {
        for (name, issuer) in issuers() {
            for header in [json!({"alg": name, "kid": name}), json!({"alg": name, "typ": "JWT"})] {
                assert_eq!(takes(&trusted, &issuer.token(header, &good())), Ok("ada".into()), "{name}");
            }
        }
    }
}

#[test]
fn the_installations_own_tokens_hold_beside_them() {
    let own = Arc::new(KeySet::generate());
    let user = doorbell_protocol::UserId::new("bob").unwrap();
    let now = Timestamp::from_millis(NOW * 1000);
    let token = own.issue(&user, std::time::Duration::from_secs(60), now);
    let trusted = Arc::new(TrustedKeys::new(own, vec![RSA.pem("rsa")]));
    trusted.replace_fetched(set(&[EC.jwk("ec")]), Instant::now());
    assert_eq!(takes(&trusted, &token.0), Ok("bob".into()));
}

#[test]
fn a_keys_algorithm_is_never_the_tokens_choice() {
    for trusted in [by_pem(), by_jwks()] {
        // The public key, which everybody has, as an HMAC secret: in each spelling that a careless library takes.
        for (name, issuer) in issuers() {
            let pem = issuer.pair.public_key_pem();
            let raw = issuer.pair.public_key_raw().to_vec();
            for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), &raw] {
                let secret = EncodingKey::from_secret(secret);
                for header in [json!({"alg": "HS256", "kid": name}), json!({"alg": "HS256"})] {
                    let token = signed(header, &good(), Algorithm::HS256, &secret);
                    assert_eq!(takes(&trusted, &token), Err(AuthError::Bad), "{name}");
                }
            }
            for other in [
                "none", "None", "HS256", "HS512", "RS384", "RS512", "PS256", "ES384", "RS256", "ES256",
                "EdDSA",
            ] {
                if other != name {
                    let token = issuer.token(json!({"alg": other, "kid": name}), &good());
                    assert_eq!(takes(&trusted, &token), Err(AuthError::Bad), "{name} as {other}");
                }
            }
            let none = issuer.token(json!({"alg": "none", "kid": name}), &good());
            let bare = format!("{}.", none.rsplit_once('.').unwrap().0);
            assert_eq!(takes(&trusted, &bare), Err(AuthError::Bad));
        }
    }
}

#[test]
fn a_kid_is_a_name_to_compare_and_nothing_else() {
    let trusted = by_jwks();
    for kid in [
        "EdDSA",
        "unknown",
        "../../../../dev/null",
        "/etc/passwd",
        "RS256\0",
        "rs256",
        "' OR 1=1 --",
        "http://x/",
        "",
    ] {
        let token = RSA.token(json!({"alg": "RS256", "kid": kid}), &good());
        assert_eq!(takes(&trusted, &token), Err(AuthError::Bad), "{kid:?}");
    }
    // A key that the token itself brings, or points to, is not looked at.
    let stranger = Issuer::new(Algorithm::ES256);
    for header in [
        json!({"alg": "ES256", "jwk": stranger.jwk("ES256")}),
        json!({"alg": "ES256", "kid": "ES256", "jku": "http://127.0.0.1/keys", "x5u": "http://127.0.0.1/cert"}),
    ] {
        assert_eq!(takes(&trusted, &stranger.token(header, &good())), Err(AuthError::Bad));
    }
}

#[test]
fn times_names_and_types_are_checked_for_every_algorithm() {
    let config = Config {
        token_issuer: Some("https://id.example".into()),
        token_audience: Some("doorbell".into()),
        token_leeway: std::time::Duration::from_secs(60),
        ..Config::default()
    };
    let trusted = by_jwks();
    let claims = |changes: Value| {
        let mut claims = good();
        let whole = json!({"iss": "https://id.example", "aud": "doorbell"});
        for (name, value) in whole.as_object().unwrap().iter().chain(changes.as_object().unwrap()) {
            claims[name] = value.clone();
        }
        claims
    };
    for (name, issuer) in issuers() {
        let answer = |changes| {
            let token = issuer.token(json!({"alg": name, "kid": name}), &claims(changes));
            verify(&trusted, &token, &config)
        };
        for fine in
            [json!({}), json!({"aud": ["x", "doorbell"]}), json!({"exp": NOW - 59}), json!({"nbf": NOW + 60})]
        {
            assert_eq!(answer(fine.clone()), Ok("ada".into()), "{name} {fine}");
        }
        for (bad, error) in [
            (json!({"exp": NOW - 60}), AuthError::Expired),
            (json!({"exp": null}), AuthError::Bad),
            (json!({"nbf": NOW + 61}), AuthError::Bad),
            (json!({"iss": "https://evil.example"}), AuthError::Bad),
            (json!({"iss": null}), AuthError::Bad),
            (json!({"aud": "somebody else"}), AuthError::Bad),
            (json!({"aud": []}), AuthError::Bad),
        ] {
            assert_eq!(answer(bad.clone()), Err(error), "{name} {bad}");
        }
        for typ in ["JWT", "at+jwt", "application/at+jwt", "AT+JWT"] {
            let token = issuer.token(json!({"alg": name, "kid": name, "typ": typ}), &claims(json!({})));
            assert_eq!(verify(&trusted, &token, &config), Ok("ada".into()), "{typ}");
        }
        for typ in ["dpop+jwt", "JWE", ""] {
            let token = issuer.token(json!({"alg": name, "kid": name, "typ": typ}), &claims(json!({})));
            assert_eq!(verify(&trusted, &token, &config), Err(AuthError::Bad), "{typ}");
        }
    }
}

#[test]
fn a_token_beyond_its_limit_and_two_in_one_are_refused() {
    let trusted = by_jwks();
    let long = RSA.token(
        json!({"alg": "RS256", "kid": "RS256"}),
        &json!({"sub": "ada", "exp": NOW + 60, "pad": "x".repeat(100_000)}),
    );
    assert!(long.len() > 100_000 && long.len() > TOKEN_BYTES_MAX);
    assert_eq!(takes(&trusted, &long), Err(AuthError::Bad));
    let one = RSA.token(json!({"alg": "RS256"}), &good());
    for two in [format!("{one}{one}"), format!("{one} {one}"), format!("{one},{one}"), format!("{one}.{one}")]
    {
        assert_eq!(takes(&trusted, &two), Err(AuthError::Bad));
    }
}

#[test]
fn a_fetched_set_is_replaced_whole_and_an_unknown_kid_is_told_once() {
    let trusted = reading();
    trusted.replace_fetched(set(&[EC.jwk("ES256")]), Instant::now());
    let fresh = Issuer::new(Algorithm::ES256);
    let token = fresh.token(json!({"alg": "ES256", "kid": "next"}), &good());
    assert_eq!(trusted.unknown_kid().now_or_never(), None);
    for _ in 0..3 {
        assert_eq!(takes(&trusted, &token), Err(AuthError::Undecided));
    }
    assert_eq!(trusted.unknown_kid().now_or_never(), Some(()));
    assert_eq!(trusted.unknown_kid().now_or_never(), None, "three tokens are one wake");

    let old = EC.token(json!({"alg": "ES256", "kid": "ES256"}), &good());
    assert_eq!(takes(&trusted, &old), Ok("ada".into()));
    trusted.replace_fetched(set(&[fresh.jwk("next")]), Instant::now());
    assert_eq!(takes(&trusted, &token), Ok("ada".into()));
    assert_eq!(takes(&trusted, &old), Err(AuthError::Undecided), "a reading may be behind");
    trusted.replace_fetched(set(&[fresh.jwk("next")]), Instant::now());
    assert_eq!(takes(&trusted, &old), Err(AuthError::Bad), "it was read once more, and lacks the key");

    let user = doorbell_protocol::UserId::new("bob").unwrap();
    let now = Timestamp::from_millis(NOW * 1000);
    let foreign = KeySet::generate().issue(&user, std::time::Duration::from_secs(60), now);
    assert_eq!(takes(&trusted, &foreign.0), Err(AuthError::Bad), "no set has keys of HS256");
}

#[test]
fn a_token_is_refused_only_by_who_can_know_and_undecided_before_that() {
    let trusted = reading();
    let (named, bare) = (json!({"alg": "ES256", "kid": "ES256"}), json!({"alg": "ES256"}));
    for header in [&named, &bare] {
        assert_eq!(
            takes(&trusted, &EC.token(header.clone(), &good())),
            Err(AuthError::Undecided),
            "{header}"
        );
        let over = json!({"sub": "ada", "exp": NOW - 1});
        assert_eq!(takes(&trusted, &EC.token(header.clone(), &over)), Err(AuthError::Expired), "{header}");
    }
    assert_eq!(takes(&trusted, "no token"), Err(AuthError::Bad));

    trusted.replace_fetched(set(&[EC.jwk("ES256")]), Instant::now());
    let stranger = Issuer::new(Algorithm::ES256);
    for header in [named, bare] {
        assert_eq!(takes(&trusted, &EC.token(header.clone(), &good())), Ok("ada".into()), "{header}");
        assert_eq!(
            takes(&trusted, &stranger.token(header.clone(), &good())),
            Err(AuthError::Bad),
            "{header}"
        );
    }
}

#[test]
fn the_operator_learns_which_check_failed() {
    let registry = prometheus::Registry::new();
    let config = Config {
        token_issuer: Some("https://id.example".into()),
        token_audience: Some("doorbell".into()),
        ..Config::default()
    };
    let metrics = crate::auth::TokenMetrics::register(&registry).unwrap();
    let tokens = SignedTokens::trusting(by_jwks(), &config).counted_by(metrics);
    let whole = json!({"sub": "ada", "exp": NOW + 60, "iss": "https://id.example", "aud": "doorbell"});
    let with = |name: &str, value: Value| {
        let mut claims = whole.clone();
        claims[name] = value;
        EC.token(json!({"alg": "ES256", "kid": "ES256"}), &claims)
    };
    let stranger = Issuer::new(Algorithm::ES256);
    for (token, cause) in [
        ("x.y.z".to_owned(), "malformed"),
        (EC.token(json!({"alg": "ES256", "kid": "other"}), &whole), "unknown_key"),
        (stranger.token(json!({"alg": "ES256", "kid": "ES256"}), &whole), "signature"),
        (with("iss", json!("https://id.example/")), "issuer"),
        (with("aud", json!("other")), "audience"),
        (with("sub", json!("")), "claims"),
        (with("nbf", json!(NOW + 9)), "early"),
        (with("exp", json!(NOW)), "expired"),
    ] {
        let count = || {
            let families = registry.gather();
            let mut all = families[0].get_metric().iter();
            all.find(|metric| metric.get_label()[0].value() == cause).unwrap().get_counter().get_value()
        };
        let before = count();
        tokens.verify(&Token(token.as_str().into()), Timestamp::from_millis(NOW * 1000)).unwrap_err();
        assert_eq!(count() - before, 1.0, "{cause}");
    }
}

#[test]
fn a_token_without_a_kid_costs_few_checks() {
    let fixed = (0..20).map(|number| EC.pem(&format!("k{number}"))).collect();
    let trusted = TrustedKeys::new(Arc::new(KeySet::generate()), fixed);
    let mut tried = 0;
    let none = trusted.judge(&Header::new(Algorithm::ES256), 8, |_, _| {
        tried += 1;
        Err::<(), _>(Flaw::Signature)
    });
    assert_eq!((none, tried), (Err(Flaw::Signature), 8));
}

#[test]
fn what_is_no_public_key_is_refused_with_what_to_do() {
    let said = |pem: &str| PublicKey::from_pem("k", pem).err().unwrap();
    assert_eq!(said(&RSA.pair.serialize_pem()), InvalidPublicKeys::Private);
    let both = format!("{}{}", EC.pair.public_key_pem(), EC.pair.serialize_pem());
    assert_eq!(said(&both), InvalidPublicKeys::Private);
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
    let two = EC.pair.public_key_pem().repeat(2);
    for bad in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &p384, &two] {
        assert_eq!(said(bad), InvalidPublicKeys::Pem, "{bad}");
    }
}

#[test]
fn of_a_set_only_what_is_for_us_is_taken() {
    let with = |name: &str, value: Value| {
        let mut jwk = EC.jwk("a");
        jwk[name] = value;
        jwk
    };
    let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
    let left_out = [
        with("use", json!("enc")),
        with("key_ops", json!(["encrypt"])),
        with("alg", json!("ES384")),
        with("crv", json!("P-384")),
        with("x", json!("AAAA")),
        with("kid", json!("")),
        json!({"kty": "oct", "alg": "HS256", "kid": "s", "k": URL_SAFE_NO_PAD.encode([1; 32])}),
        json!({"kty": "RSA", "kid": "short", "n": short, "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "nothing"}),
        json!(7),
    ];
    let mut keys = left_out.to_vec();
    keys.push(with("alg", Value::Null));
    let read = set(&keys);
    assert_eq!((read.len(), read.left_out), (1, left_out.len()));
    let parse = |json: Value| PublicKeys::parse(json.to_string().as_bytes()).unwrap_err();
    assert_eq!(parse(json!({"keys": left_out})), InvalidPublicKeys::NothingUsable { keys: left_out.len() });
    assert_eq!(parse(json!({"keys": []})), InvalidPublicKeys::NothingUsable { keys: 0 });
    assert_eq!(parse(json!({"keys": vec![json!(0); 65]})), InvalidPublicKeys::TooMany);
    assert!(matches!(parse(json!([])), InvalidPublicKeys::Shape { .. }));
}
