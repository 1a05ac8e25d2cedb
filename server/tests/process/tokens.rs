//! Tokens of somebody else's keys, against the binary.

use std::path::Path;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;

use crate::rig::{Server, run, scratch, text};

/// Somebody who signs with ES256.
struct Issuer {
    kid: &'static str,
    pair: KeyPair,
    signing: EncodingKey,
}

impl Issuer {
    fn new(kid: &'static str) -> Self {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let signing = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self { kid, pair, signing }
    }

    fn token(&self) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.into());
        // 2100: the binary goes by the wall clock.
        jsonwebtoken::encode(&header, &json!({"sub": "ada", "exp": 4_102_444_800_u64}), &self.signing)
            .unwrap()
    }

    /// Puts a set with these issuers' keys where the server reads it, whole at once.
    fn publish(path: &Path, issuers: &[&Self]) {
        let jwk = |issuer: &&Self| {
            let mut jwk = Jwk::from_encoding_key(&issuer.signing, Algorithm::ES256).unwrap();
            jwk.common.key_id = Some(issuer.kid.into());
            jwk
        };
        let keys: Vec<_> = issuers.iter().map(jwk).collect();
        let draft = path.with_extension("draft");
        std::fs::write(&draft, json!({ "keys": keys }).to_string()).unwrap();
        std::fs::rename(draft, path).unwrap();
    }
}

async fn status(server: &Server, token: &str) -> u16 {
    let bearer = format!("Authorization: Bearer {token}");
    server.request("POST", "/v1/call/topics.changes", &[&bearer], "{}").await.status
}

#[tokio::test]
async fn keys_rotate_through_the_set_without_a_restart_and_our_own_tokens_hold_throughout() {
    let (scratch, data) = scratch();
    let (set, config) = (scratch.path().join("keys.json"), scratch.path().join("doorbell.toml"));
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    Issuer::publish(&set, &[&old]);
    // This test asks as often as it can.
    let keys = "[gateway]\nframes_burst = 1000000\n[auth]\njwks_refresh = '1s'";
    std::fs::write(&config, format!("{keys}\njwks = '{}'", set.display())).unwrap();
    let server = Server::start(&data, &["--config", config.to_str().unwrap()]).await;
    let key = data.join("key");
    let made = run(&mut crate::rig::doorbell(&["token", "bob", "--key-file", key.to_str().unwrap()])).await;
    let own = text(&made.stdout).trim().to_owned();

    assert_eq!((status(&server, &old.token()).await, status(&server, &new.token()).await), (200, 503));
    assert_eq!(status(&server, &own).await, 200);

    Issuer::publish(&set, &[&old, &new]);
    becomes(&server, &new, 200).await;
    assert_eq!(status(&server, &old.token()).await, 200);

    Issuer::publish(&set, &[&new]);
    // Undecided until the set was read once more.
    becomes(&server, &old, 401).await;

    std::fs::write(&set, "no set").unwrap();
    let failed = "doorbell_server_jwks_readings_total{outcome=\"failed\"}";
    while !server.get("/metrics").await.body.contains(failed) {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&server, &new.token()).await, 200, "the last good set counts");
    assert_eq!(status(&server, &own).await, 200);
}

async fn becomes(server: &Server, issuer: &Issuer, wanted: u16) {
    let looked = async {
        while status(server, &issuer.token()).await != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looked).await.expect("the set is never read");
}

#[tokio::test]
async fn while_a_set_was_never_read_its_users_are_told_to_come_back_and_ours_are_served() {
    let (scratch, data) = scratch();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", free.local_addr().unwrap());
    drop(free);
    let config = scratch.path().join("doorbell.toml");
    std::fs::write(&config, format!("[auth]\njwks = '{url}'")).unwrap();
    let server = Server::start(&data, &["--config", config.to_str().unwrap()]).await;
    let foreign = format!("Authorization: Bearer {}", Issuer::new("elsewhere").token());
    let answer = server.request("POST", "/v1/call/topics.changes", &[&foreign], "{}").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("unavailable") && answer.body.contains("retry_after_ms"), "{}", answer.body);
    assert_eq!(status(&server, "x.y.z").await, 401);
    let key = data.join("key");
    let made = run(&mut crate::rig::doorbell(&["token", "bob", "--key-file", key.to_str().unwrap()])).await;
    assert_eq!(status(&server, text(&made.stdout).trim()).await, 200);
}

#[tokio::test]
async fn a_public_key_file_is_taken_and_a_private_one_is_refused_by_name() {
    let (scratch, data) = scratch();
    let issuer = Issuer::new("2026-11");
    let (public, config) = (scratch.path().join("2026-11.pem"), scratch.path().join("doorbell.toml"));
    std::fs::write(&public, issuer.pair.public_key_pem()).unwrap();
    std::fs::write(&config, format!("[auth]\npublic_key_files = ['{}']", public.display())).unwrap();
    let server = Server::start(&data, &["--config", config.to_str().unwrap()]).await;
    assert_eq!(status(&server, &issuer.token()).await, 200);
    drop(server);

    std::fs::write(&public, issuer.pair.serialize_pem()).unwrap();
    let elsewhere = scratch.path().join("other");
    let args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", elsewhere.to_str().unwrap()];
    let config = ["--config", config.to_str().unwrap()];
    let output = run(&mut crate::rig::doorbell(&[&args[..], &config].concat())).await;
    let said = text(&output.stderr);
    assert!(said.contains("2026-11.pem") && said.contains("private key"), "{said}");
    assert!(!said.contains("PRIVATE KEY-----"), "{said}");
}
