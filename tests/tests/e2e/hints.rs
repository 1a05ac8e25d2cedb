//! Other back ends: they ring users with an API key, and act as users of theirs.

use std::time::Duration;

use doorbell_protocol::{ErrorCode, TopicId};
use doorbell_tests::{Client, Doorbell, Minter, Options, api_key};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::join;

/// A server that knows keys of these rights, in a file that can be changed.
struct Keyed {
    doorbell: Doorbell,
    scratch: TempDir,
}

impl Keyed {
    async fn start() -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let file = scratch.path().join("api-keys.toml");
        std::fs::write(&file, "")?;
        let options = Options::default().with("DOORBELL_API_KEYS_FILE", &file.display().to_string());
        Ok(Self { doorbell: Doorbell::start_with(options).await?, scratch })
    }

    /// Makes a key, has the server read it, and waits until it holds.
    async fn key(&self, name: &str, rights: &[&str]) -> anyhow::Result<String> {
        let key = api_key(&self.scratch.path().join("api-keys.toml"), name, rights).await?;
        self.doorbell.hang_up().await?;
        tokio::time::timeout(Duration::from_secs(20), async {
            while self.post("/v1/hints", &key, &[], &json!({"hints": []})).await?.0 == 401 {
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        })
        .await??;
        Ok(key)
    }

    async fn post(
        &self,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> anyhow::Result<(u16, Value)> {
        let authorization = format!("Bearer {key}");
        let headers = [&[("authorization", &*authorization)], headers].concat();
        let (status, answer) = self.doorbell.http("POST", path, &headers, &body.to_string()).await?;
        Ok((status, serde_json::from_str(&answer)?))
    }
}

#[tokio::test]
async fn a_back_end_rings_a_user_and_learns_who_was_offline() -> anyhow::Result<()> {
    let keyed = Keyed::start().await?;
    let key = keyed.key("shop", &["--hints"]).await?;
    let mut ada = join(&keyed.doorbell, "ada").await?;

    let hint = json!({"topic": "order:17", "version": 3, "users": ["ada", "eve"]});
    let (status, answer) = keyed.post("/v1/hints", &key, &[], &json!({"hints": [hint]})).await?;

    assert_eq!((status, &answer), (200, &json!({"hints": [{"queued": 1, "merged": 0, "offline": 1}]})));
    ada.hinted("order:17", 3).await?;
    let counted =
        keyed.doorbell.metric(r#"doorbell_notifier_ingress_users_total{outcome="offline"}"#).await?;
    assert!((counted - 1.0).abs() < f64::EPSILON);
    Ok(())
}

#[tokio::test]
async fn a_hint_without_users_is_for_the_followers_of_its_topic() -> anyhow::Result<()> {
    let keyed = Keyed::start().await?;
    let key = keyed.key("shop", &["--hints"]).await?;
    let publish = async |version: u64| {
        let body = json!({"hints": [{"topic": "news:all", "version": version}]});
        keyed.post("/v1/hints", &key, &[], &body).await
    };

    let nobody = json!({"hints": [{"queued": 0, "merged": 0, "offline": 0}]});
    assert_eq!(publish(7).await?, (200, nobody.clone()));
    assert_eq!(publish(3).await?, (200, nobody), "an older version is no news");
    let raised = keyed.doorbell.metric("doorbell_channel_topics").await?;
    assert!(raised.abs() < f64::EPSILON, "nobody follows: {raised}");
    Ok(())
}

#[tokio::test]
async fn a_hint_without_users_rings_whom_their_token_lets_follow_and_nobody_else() -> anyhow::Result<()> {
    let keyed = Keyed::start().await?;
    let key = keyed.key("shop", &["--hints"]).await?;
    let minter = Minter::of(&keyed.doorbell)?;
    let mut followers = Vec::new();
    for (user, grant) in [("ada", "news:all"), ("bob", "news:*")] {
        let token = minter.token(user, &json!({"topics": [grant]}))?;
        let mut client = Client::connect(keyed.doorbell.address(), &token).await?;
        let followed = client.subscribe(&["news:all"]).await?.expect("its token grants it");
        assert_eq!(followed["topics"], json!({"news:all": 0}));
        followers.push(client);
    }
    let token = minter.token("eve", &json!({"topics": ["news:other"]}))?;
    let mut eve = Client::connect(keyed.doorbell.address(), &token).await?;
    assert_eq!(eve.subscribe(&["news:all"]).await?.expect_err("no grant").code, ErrorCode::NotFound);

    let body = json!({"hints": [{"topic": "news:all", "version": 7}]});
    assert_eq!(keyed.post("/v1/hints", &key, &[], &body).await?.0, 200);

    for client in &mut followers {
        client.hinted("news:all", 7).await?;
    }
    // An answer comes behind every hint that was written before it.
    eve.call("topics.changes", json!({})).await?;
    assert!(!eve.versions().contains_key(&TopicId::new("news:all")?), "a hint outside the audience");
    Ok(())
}

#[tokio::test]
async fn what_a_back_end_may_not_is_refused() -> anyhow::Result<()> {
    let keyed = Keyed::start().await?;
    let key = keyed.key("shop", &["--hints"]).await?;
    let token = keyed.doorbell.token("ada").await?;
    let ring = |topic: &str| json!({"hints": [{"topic": topic, "version": 1, "users": ["ada"]}]});
    for (key, body, status, place) in [
        (&key, ring("conversation:x"), 403, "`hints[0].topic`"),
        (&key, ring("inbox:ada"), 403, "`hints[0].topic`"),
        (&key, json!({"hints": [{"topic": "news", "version": 1}]}), 400, "`hints[0].topic`"),
        (&token, ring("order:1"), 401, "no API key"),
    ] {
        let (got, answer) = keyed.post("/v1/hints", key, &[], &body).await?;
        assert_eq!(got, status, "{answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|said| said.starts_with(place)), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_back_end_acts_as_its_own_user_and_no_other() -> anyhow::Result<()> {
    let keyed = Keyed::start().await?;
    let key = keyed.key("desk", &["--act-as", "system"]).await?;
    let mut ada = join(&keyed.doorbell, "ada").await?;
    let message = json!({"to": "ada", "key": "k", "text": "maintenance at noon"});

    let as_user = |user| [("doorbell-user", user)];
    let (status, sent) = keyed.post("/v1/call/messages.send", &key, &as_user("system"), &message).await?;
    assert_eq!(status, 200, "{sent}");
    let conversation = sent["conversation"].as_str().unwrap_or_default().to_owned();
    ada.hinted(&format!("conversation:{conversation}"), 1).await?;
    assert_eq!(ada.pull(&conversation, 0).await?[0]["from"], "system");

    for headers in [&as_user("bob")[..], &[]] {
        let (status, _) = keyed.post("/v1/call/messages.send", &key, headers, &message).await?;
        assert_eq!(status, if headers.is_empty() { 400 } else { 403 });
    }
    assert_eq!(keyed.post("/v1/hints", &key, &[], &json!({"hints": []})).await?.0, 403);
    Ok(())
}

#[tokio::test]
async fn a_fault_in_the_file_of_the_keys_leaves_those_in_force() -> anyhow::Result<()> {
    let keyed = Keyed::start().await?;
    let key = keyed.key("shop", &["--hints"]).await?;
    let file = keyed.scratch.path().join("api-keys.toml");
    let good = std::fs::read_to_string(&file)?;

    std::fs::write(&file, "[[api_key]]\nname = 1\n")?;
    keyed.doorbell.hang_up().await?;
    let failed = r#"doorbell_server_rereads_total{outcome="failed"}"#;
    tokio::time::timeout(Duration::from_secs(20), async {
        while keyed.doorbell.metric(failed).await? < 1.0 {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    })
    .await??;
    std::fs::write(&file, good)?;
    let second = keyed.key("desk", &["--hints"]).await?;

    for key in [key, second] {
        assert_eq!(keyed.post("/v1/hints", &key, &[], &json!({"hints": []})).await?.0, 200);
    }
    Ok(())
}
