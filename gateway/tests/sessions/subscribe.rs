//! GW-15: `subscribe`, `unsubscribe`, and what was taken away.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_protocol::frames::Token;
use doorbell_protocol::{CallId, ClientFrame, ErrorCode, Version};
use serde_json::json;

use crate::client::Client;
use crate::neighbours::{Store, topic};
use crate::rig::Rig;

const BOB: &str = "presence:bob";
const EVE: &str = "presence:eve";

/// Looks never, as far as a test goes.
fn blind() -> Config {
    Config { channel_look_interval: Duration::from_secs(3_600), ..Config::default() }
}

/// Reviews again and again.
fn reviewing() -> Config {
    Config { authorize_interval: Duration::from_millis(50), ..blind() }
}

async fn subscribe(client: &mut Client, id: u64, topics: &[(&str, u64)]) {
    let topics = topics.iter().map(|(name, known)| (topic(name), Version::new(*known).unwrap())).collect();
    client.send(&ClientFrame::Subscribe { id: CallId::Number(id), topics }).await;
}

async fn unsubscribe(client: &mut Client, id: u64, name: &str) {
    client.send(&ClientFrame::Unsubscribe { id: CallId::Number(id), topics: vec![topic(name)] }).await;
}

#[tokio::test]
async fn each_topic_is_answered_for_itself_and_followed_from_then_on() {
    let rig = Rig::with(blind());
    rig.members.allow("ada", BOB, 7);
    let mut ada = rig.session("ada").await;
    subscribe(&mut ada, 1, &[(BOB, 7), (EVE, 0)]).await;
    let reply = ada.reply().await;
    assert_eq!(reply, (1, Ok(json!({"topics": {BOB: 7}, "not_found": [EVE]}))));

    rig.publish(BOB, 8).await;
    let hint = ada.hint().await;
    assert_eq!(hint.topics, [(topic(BOB), Version::new(8).unwrap())]);
    rig.publish(EVE, 8).await;
    assert_eq!(ada.settle().await, [], "what was denied is not followed");
    rig.until("it is told", || rig.ears.followers(BOB) == Some(1)).await;

    unsubscribe(&mut ada, 2, BOB).await;
    assert_eq!(ada.reply().await, (2, Ok(json!({}))));
    rig.publish(BOB, 9).await;
    assert_eq!(ada.settle().await, []);
    rig.until("it is told", || rig.ears.followers(BOB).is_none()).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_is_absent_and_what_is_not_yours_answer_alike() {
    let rig = Rig::with(blind());
    let mut ada = rig.session("ada").await;
    subscribe(&mut ada, 1, &[(EVE, 0)]).await;
    let (1, Err(error)) = ada.reply().await else { panic!() };
    assert_eq!((error.code, error.retry_after_ms), (ErrorCode::NotFound, None));
    subscribe(&mut ada, 2, &[]).await;
    assert_eq!(ada.reply().await, (2, Ok(json!({"topics": {}}))));
    rig.stop().await;
}

#[tokio::test]
async fn a_topic_beyond_what_the_client_has_is_hinted_after_the_reply() {
    let rig = Rig::with(blind());
    rig.members.allow("ada", BOB, 7);
    let mut ada = rig.session("ada").await;
    subscribe(&mut ada, 1, &[(BOB, 5)]).await;
    assert!(ada.reply().await.1.is_ok());
    assert_eq!(ada.hint().await.topics, [(topic(BOB), Version::new(7).unwrap())]);
    // The gateway knows more by now than whoever allows it.
    rig.publish(BOB, 9).await;
    ada.hint().await;
    subscribe(&mut ada, 2, &[(BOB, 9)]).await;
    assert_eq!(ada.reply().await, (2, Ok(json!({"topics": {BOB: 9}}))));
    assert_eq!(ada.settle().await, []);
    rig.stop().await;
}

#[tokio::test]
async fn a_session_follows_so_many_and_no_more() {
    let rig = Rig::with(Config { subscriptions_max: NonZeroUsize::new(1).unwrap(), ..blind() });
    rig.members.allow("ada", BOB, 1);
    rig.members.allow("ada", EVE, 1);
    let mut ada = rig.connect().await;
    ada.hello("ada").await;
    assert_eq!(ada.welcome().await.limits.subscriptions, 1);
    subscribe(&mut ada, 1, &[(BOB, 1)]).await;
    assert!(ada.reply().await.1.is_ok());
    subscribe(&mut ada, 2, &[(EVE, 1)]).await;
    assert_eq!(ada.reply().await.1.unwrap_err().code, ErrorCode::TooLarge);
    unsubscribe(&mut ada, 3, BOB).await;
    ada.reply().await.1.unwrap();
    subscribe(&mut ada, 4, &[(EVE, 1)]).await;
    assert!(ada.reply().await.1.is_ok());
    rig.stop().await;
}

#[tokio::test]
async fn the_sessions_last_word_counts_however_late_the_answer_is() {
    let rig = Rig::with(blind());
    rig.members.allow("ada", BOB, 1);
    let mut ada = rig.session("ada").await;
    rig.members.hold();
    subscribe(&mut ada, 1, &[(BOB, 1)]).await;
    unsubscribe(&mut ada, 2, BOB).await;
    assert_eq!(ada.reply().await.0, 2);
    rig.members.let_go();
    assert_eq!(ada.reply().await.0, 1);
    rig.publish(BOB, 2).await;
    assert_eq!(ada.settle().await, []);
    assert_eq!(rig.metric("doorbell_gateway_followed_topics"), 0.0);
    rig.stop().await;
}

#[tokio::test]
async fn without_an_answer_nothing_is_followed_and_trying_again_helps() {
    let rig = Rig::with(Config { audience_timeout: Duration::from_millis(20), ..blind() });
    rig.members.allow("ada", BOB, 1);
    let mut ada = rig.session("ada").await;
    rig.members.fail();
    subscribe(&mut ada, 1, &[(BOB, 1)]).await;
    let error = ada.reply().await.1.unwrap_err();
    assert!(error.code == ErrorCode::Unavailable && error.retry_after_ms.is_some());
    rig.publish(BOB, 2).await;
    assert_eq!(ada.settle().await, []);
    rig.members.recover();
    subscribe(&mut ada, 2, &[(BOB, 1)]).await;
    assert!(ada.reply().await.1.is_ok());
    rig.stop().await;
}

#[tokio::test]
async fn what_a_token_grants_nobody_else_is_asked_about() {
    let rig = Rig::with(blind());
    rig.store.put("news:sport", 5);
    let mut ada = rig.session("ada+news:*").await;
    subscribe(&mut ada, 1, &[("news:sport", 5), ("news:music", 0)]).await;
    assert_eq!(ada.reply().await.1, Ok(json!({"topics": {"news:sport": 5, "news:music": 0}})));
    rig.publish("news:music", 1).await;
    assert_eq!(ada.hint().await.topics, [(topic("news:music"), Version::new(1).unwrap())]);
    assert!(rig.members.authorized.lock().is_empty());
    rig.stop().await;
}

/// As where everybody comes back at once.
#[tokio::test]
async fn a_crowd_shares_the_reads_and_nobody_is_told_what_was_read_before_they_asked() {
    let rig = Rig::with(Config { channel_timeout: Duration::from_secs(60), ..blind() });
    rig.store.put("news:sport", 5);
    rig.store.hold_answers();
    let mut ada = rig.session("ada+news:*").await;
    subscribe(&mut ada, 1, &[("news:sport", 5)]).await;
    rig.until("it is read for her", || rig.store.reads.load(Ordering::SeqCst) == 1).await;
    rig.store.put("news:sport", 6);
    let mut crowd = Vec::new();
    for nth in 0..20 {
        let mut client = rig.session(&format!("user-{nth}+news:*")).await;
        subscribe(&mut client, 1, &[("news:sport", 6)]).await;
        assert_eq!(client.settle().await, []);
        crowd.push(client);
    }

    rig.store.let_answers_go();

    assert_eq!(ada.reply().await.1, Ok(json!({"topics": {"news:sport": 5}})));
    for client in &mut crowd {
        assert_eq!(client.reply().await.1, Ok(json!({"topics": {"news:sport": 6}})));
    }
    // Hers, the crowd's, and those of the topic's first follower.
    let reads = rig.store.reads.load(Ordering::SeqCst);
    assert!(reads <= 4, "{reads}");
    rig.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_read_that_fails_is_told_and_the_next_one_is_answered() {
    let rig = Rig::with(Config { channel_timeout: Duration::from_millis(100), ..blind() });
    rig.store.put("news:sport", 5);
    let (mut ada, mut bob) = (rig.session("ada+news:*").await, rig.session("bob+news:*").await);
    let [fail, recover, hold, let_go]: [fn(&Store); 4] =
        [Store::fail, Store::recover, Store::hold_answers, Store::let_answers_go];
    for (nth, (harm, heal)) in [(1, (fail, recover)), (2, (hold, let_go))] {
        harm(&rig.store);
        for client in [&mut ada, &mut bob] {
            subscribe(client, nth, &[("news:sport", 5)]).await;
        }
        for client in [&mut ada, &mut bob] {
            let (_, Err(error)) = client.reply().await else { panic!() };
            assert_eq!(error.code, ErrorCode::Unavailable);
        }
        heal(&rig.store);
        subscribe(&mut bob, 10 + nth, &[("news:sport", 5)]).await;
        assert_eq!(bob.reply().await.1, Ok(json!({"topics": {"news:sport": 5}})));
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_a_fresh_token_does_not_grant_is_gone() {
    let rig = Rig::with(blind());
    let mut ada = rig.session("ada+news:*").await;
    subscribe(&mut ada, 1, &[("news:sport", 0)]).await;
    assert!(ada.reply().await.1.is_ok());
    ada.send(&ClientFrame::Token(Token("ada+blog:*".into()))).await;
    rig.until("it is gone", || rig.metric("doorbell_gateway_followers") == 0.0).await;
    rig.publish("news:sport", 1).await;
    assert_eq!(ada.settle().await, []);
    rig.stop().await;
}

#[tokio::test]
async fn what_a_fresh_token_does_not_grant_is_gone_also_where_it_comes_before_the_answer() {
    let rig = Rig::with(Config { channel_timeout: Duration::from_secs(60), ..blind() });
    let mut ada = rig.session("ada+news:*").await;
    rig.store.hold_answers();
    subscribe(&mut ada, 1, &[("news:sport", 0)]).await;
    rig.until("it is read", || rig.store.reads.load(Ordering::SeqCst) == 1).await;
    ada.send(&ClientFrame::Token(Token("ada+blog:*".into()))).await;
    assert_eq!(ada.settle().await, []);

    rig.store.let_answers_go();

    assert!(ada.reply().await.1.is_ok());
    rig.until("it is gone", || rig.metric("doorbell_gateway_followers") == 0.0).await;
    rig.publish("news:sport", 1).await;
    assert_eq!(ada.settle().await, []);
    rig.stop().await;
}

#[tokio::test]
async fn nothing_is_reviewed_that_rests_on_a_token_alone() {
    let rig = Rig::with(reviewing());
    for (user, name) in [("bob", BOB), ("eve", "news:sport")] {
        rig.members.allow(user, name, 1);
    }
    // Her topic rests on message-svc, until her next token.
    let mut eve = rig.session("eve").await;
    subscribe(&mut eve, 1, &[("news:sport", 1)]).await;
    assert!(eve.reply().await.1.is_ok());
    eve.send(&ClientFrame::Token(Token("eve+news:*".into()))).await;
    assert_eq!(eve.settle().await, []);
    let (mut ada, mut bob) = (rig.session("ada+news:*").await, rig.session("bob").await);
    for (client, name) in [(&mut ada, "news:sport"), (&mut bob, BOB)] {
        subscribe(client, 1, &[(name, 1)]).await;
        assert!(client.reply().await.1.is_ok());
    }
    let asked = || rig.members.authorized.lock().len();

    rig.until("his is reviewed again and again", || asked() > 8).await;

    // Each ask, ada's word, and eve's with her token.
    let judged = rig.metric("doorbell_gateway_authorizations_total");
    let most = f64::from(u32::try_from(asked()).unwrap()) + 2.0;
    assert!((3.0..=most).contains(&judged), "{judged}, {most}");
    rig.stop().await;
}

#[tokio::test]
async fn of_what_rests_on_a_token_and_on_message_svc_the_latter_is_reviewed() {
    let rig = Rig::with(reviewing());
    rig.members.allow("ada", BOB, 1);
    let mut ada = rig.session("ada+news:*").await;
    subscribe(&mut ada, 1, &[("news:sport", 1), (BOB, 1)]).await;
    assert!(ada.reply().await.1.is_ok());

    rig.members.forbid("ada", BOB);

    rig.until("it is gone", || rig.metric("doorbell_gateway_followers") == 1.0).await;
    rig.publish("news:sport", 2).await;
    assert_eq!(ada.hint().await.topics, [(topic("news:sport"), Version::new(2).unwrap())]);
    rig.stop().await;
}

#[tokio::test]
async fn what_was_taken_away_is_not_hinted_later_than_an_interval() {
    let rig = Rig::with(reviewing());
    rig.members.allow("ada", BOB, 1);
    rig.members.allow("ada", EVE, 1);
    let mut ada = rig.session("ada").await;
    subscribe(&mut ada, 1, &[(BOB, 1), (EVE, 1)]).await;
    assert!(ada.reply().await.1.is_ok());
    rig.members.forbid("ada", BOB);
    rig.until("it is gone", || rig.metric("doorbell_gateway_followers") == 1.0).await;
    rig.publish(BOB, 2).await;
    rig.publish(EVE, 2).await;
    assert_eq!(ada.hint().await.topics, [(topic(EVE), Version::new(2).unwrap())]);
    assert_eq!(ada.settle().await, []);
    rig.stop().await;
}

#[tokio::test]
async fn a_fresh_token_brings_back_what_it_grants_while_nobody_can_say_of_the_rest() {
    let rig = Rig::with(reviewing());
    for name in ["news:sport", BOB] {
        rig.members.allow("ada", name, 1);
    }
    let mut ada = rig.session("ada").await;
    subscribe(&mut ada, 1, &[("news:sport", 1), (BOB, 1)]).await;
    assert!(ada.reply().await.1.is_ok());
    rig.members.fail();
    rig.until("both are suspended", || rig.metric("doorbell_gateway_followers") == 0.0).await;
    rig.store.put("news:sport", 2);

    ada.send(&ClientFrame::Token(Token("ada+news:*".into()))).await;

    assert_eq!(ada.hint().await.topics, [(topic("news:sport"), Version::new(2).unwrap())]);
    rig.publish(BOB, 2).await;
    assert_eq!(ada.settle().await, []);
    rig.stop().await;
}

#[tokio::test]
async fn when_nobody_can_say_in_time_the_topics_are_suspended_until_somebody_does() {
    let rig = Rig::with(reviewing());
    rig.members.allow("ada", BOB, 1);
    let mut ada = rig.session("ada").await;
    subscribe(&mut ada, 1, &[(BOB, 1)]).await;
    assert!(ada.reply().await.1.is_ok());
    rig.members.fail();
    rig.until("it is suspended", || rig.metric("doorbell_gateway_followers") == 0.0).await;
    rig.publish(BOB, 2).await;
    assert_eq!(ada.settle().await, []);

    rig.members.allow("ada", BOB, 2);
    rig.members.recover();
    assert_eq!(ada.hint().await.topics, [(topic(BOB), Version::new(2).unwrap())], "nothing was missed");
    rig.publish(BOB, 3).await;
    assert_eq!(ada.hint().await.topics, [(topic(BOB), Version::new(3).unwrap())]);
    rig.stop().await;
}

#[tokio::test]
async fn a_large_topic_subscribed_to_is_let_go_with_the_membership() {
    let rig = Rig::with(blind());
    let large = "conversation:large";
    rig.members.join("ada", large, 4);
    rig.members.allow("ada", large, 4);
    let mut ada = rig.session("ada").await;
    ada.hint().await;
    subscribe(&mut ada, 1, &[(large, 4)]).await;
    assert_eq!(ada.reply().await.1, Ok(json!({"topics": {large: 4}})), "one's own is answered as any");
    rig.members.leave("ada", large);
    rig.mark("ada").await;
    rig.publish(large, 5).await;
    assert_eq!(ada.settle().await, []);
    rig.stop().await;
}
