//! What is committed is announced (K3, R6): to whom, with what, and after which faults.

use doorbell_protocol::{DirtyMap, Hint, TopicId, UserId, Version};
use doorbell_rpc::{Missed, Mutes};
use serde_json::json;

use crate::support::{House, fresh_key};

fn topic(conversation: &str) -> String {
    format!("conversation:{conversation}")
}

#[tokio::test]
async fn a_message_rings_every_member_and_nobody_else() {
    let mut house = House::new();
    house.run();
    let conversation = house.group("ada", &["bob", "eve"]).await;
    house.send_to("ada", "mallory", "elsewhere").await;
    house.send("bob", &conversation, "x").await;

    for member in ["ada", "bob", "eve"] {
        house.bells.rung(member, &topic(&conversation), 1).await;
        house.bells.rung(member, &format!("inbox:{member}"), 1).await;
    }

    house.stop().await;
    let told = house.bells.told();
    assert!(!told.contains_key(&("mallory".into(), topic(&conversation))), "{told:?}");
    assert!(
        told.keys().all(|(user, topic)| !topic.starts_with("inbox:") || *topic == format!("inbox:{user}"))
    );
}

#[tokio::test]
async fn a_read_mark_moves_the_readers_inbox_alone() {
    let mut house = House::new();
    let conversation = house.send_to("ada", "bob", "x").await;
    house.run();
    house.bells.rung("bob", "inbox:bob", 1).await;
    house.bells.rung("ada", "inbox:ada", 1).await;

    let mark = json!({"conversation": conversation, "version": 1});
    house.ok("bob", "conversations.mark_read", mark.clone()).await;
    house.bells.rung("bob", "inbox:bob", 2).await;
    house.ok("bob", "conversations.mark_read", mark).await;

    house.stop().await;
    let told = house.bells.told();
    assert_eq!(told[&("ada".into(), "inbox:ada".into())], 1);
    assert_eq!(told[&("bob".into(), "inbox:bob".into())], 2, "a mark that does not move moves nothing");
}

/// R5, R6.
#[tokio::test]
async fn sends_go_on_while_the_queue_fails_and_are_announced_when_it_is_back() {
    let mut house = House::new();
    house.run();
    house.bells.fail(3);
    let conversation = house.send_to("ada", "bob", "one").await;
    house.bells.asked().await;
    for i in 2..=20 {
        assert_eq!(house.send("ada", &conversation, "more").await, i);
    }
    house.bells.rung("bob", &topic(&conversation), 20).await;
    house.stop().await;
}

#[tokio::test]
async fn what_was_not_announced_before_the_end_is_announced_after_the_next_start() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "never announced: nothing runs").await;
    house.send("bob", &conversation, "neither").await;

    let mut house = house.reopen().await;
    house.run();

    for member in ["ada", "bob"] {
        house.bells.rung(member, &topic(&conversation), 2).await;
        house.bells.rung(member, &format!("inbox:{member}"), 1).await;
    }
    house.stop().await;
}

#[tokio::test]
async fn what_was_announced_is_not_announced_again() {
    let mut house = House::new();
    house.run();
    let conversation = house.send_to("ada", "bob", "x").await;
    house.bells.rung("bob", &topic(&conversation), 1).await;
    house.bells.rung("bob", "inbox:bob", 1).await;

    let mut house = house.reopen().await;
    house.run();
    house.send_to("carol", "dave", "y").await;
    house.bells.rung("dave", "inbox:dave", 1).await;
    house.bells.rung("carol", "inbox:carol", 1).await;
    house.stop().await;

    let told = house.bells.told();
    assert!(told.keys().all(|(user, _)| user != "ada" && user != "bob"), "{told:?}");
}

#[tokio::test]
async fn many_commits_that_wait_are_announced_in_few_calls() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    for _ in 0..300 {
        house.send("ada", &conversation, "x").await;
    }
    let mut house = house.reopen().await;
    house.run();
    house.bells.rung("bob", &topic(&conversation), 300).await;
    house.stop().await;
    assert!(house.bells.calls() <= 12, "{} calls", house.bells.calls());
}

#[tokio::test]
async fn after_the_stop_calls_are_refused_and_may_be_repeated() {
    let mut house = House::new();
    house.run();
    house.send_to("ada", "bob", "x").await;
    house.stop().await;
    let params = json!({"to": "bob", "key": fresh_key(), "text": "late"});
    let refused = house.call("ada", "messages.send", params).await.unwrap_err();
    assert_eq!(refused.code, doorbell_protocol::ErrorCode::Unavailable);
    assert!(refused.retry_after_ms.is_some());
    assert!(!house.service().is_sound());
}

#[tokio::test]
async fn a_member_without_a_session_is_reported_with_what_they_missed() {
    let mut house = House::new();
    let conversation = house.send_to("ada", "bob", "x").await;
    house.run();
    house.stop().await;

    assert!(house.bells.has_missed("bob", &topic(&conversation)));
    assert!(house.bells.has_missed("bob", "inbox:bob"));
    assert!(!house.bells.has_missed("bob", "inbox:ada"));
}

#[tokio::test]
async fn what_a_member_has_muted_or_left_is_left_out_for_them_alone() {
    let house = House::new();
    let left = house.group("ada", &["bob", "eve"]).await;
    house.ok("bob", "members.remove", json!({"conversation": left, "users": ["bob"]})).await;
    let (loud, quiet) = (house.send_to("ada", "bob", "x").await, house.send_to("eve", "bob", "x").await);
    house.ok("bob", "conversations.update", json!({"conversation": quiet, "muted": true})).await;
    let missed = |user: &str, topics: &[&str]| {
        let mut news = DirtyMap::default();
        for topic in topics {
            news.hint(Hint { topic: TopicId::new(*topic).unwrap(), version: Version::new(1).unwrap() });
        }
        Missed { user: UserId::new(user).unwrap(), news }
    };
    let (loud, quiet, left) = (topic(&loud), topic(&quiet), topic(&left));

    let all = missed("bob", &[&loud, &quiet, &left, "inbox:bob", "conversation:none", "order:1"]);
    let others = missed("eve", &[&quiet, &left]);
    let rest = house.service().unmuted(vec![all, others.clone()]).await.unwrap();
    let nothing =
        house.service().unmuted(vec![missed("bob", &[&quiet]), missed("bob", &[&left])]).await.unwrap();

    assert_eq!(rest, [missed("bob", &[&loud, "inbox:bob", "order:1"]), others]);
    assert_eq!(nothing, []);
}
