//! `messages.edit` and `messages.delete`.

use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::{Encoding, ErrorCode};
use serde_json::{Value, json};

use crate::support::{House, config, fresh_key};

async fn edit(house: &House, user: &str, conversation: &str, of: u64, text: &str) -> u64 {
    let params = json!({"conversation": conversation, "of": of, "key": fresh_key(), "text": text});
    house.ok(user, "messages.edit", params).await["version"].as_u64().unwrap()
}

async fn delete(house: &House, user: &str, conversation: &str, of: u64) -> u64 {
    let params = json!({"conversation": conversation, "of": of, "key": fresh_key()});
    house.ok(user, "messages.delete", params).await["version"].as_u64().unwrap()
}

async fn log(house: &House, user: &str, conversation: &str) -> Vec<Value> {
    let page = house.ok(user, "messages.list", json!({"conversation": conversation})).await;
    page["messages"].as_array().unwrap().clone()
}

async fn get(house: &House, user: &str, conversation: &str) -> Value {
    house.ok(user, "conversations.get", json!({"conversation": conversation})).await
}

#[tokio::test]
async fn an_edit_is_an_entry_of_its_own_and_rings_like_one() {
    let mut house = House::new();
    house.run();
    let conversation = house.send_to("ada", "bob", "tpyo").await;

    assert_eq!(edit(&house, "ada", &conversation, 1, "typo").await, 2);

    house.bells.rung("bob", &format!("conversation:{conversation}"), 2).await;
    let entries = log(&house, "bob", &conversation).await;
    assert_eq!(entries[0]["text"], "tpyo", "a closed range does not change under a cache");
    let shown = ["kind", "of", "text", "from"].map(|field| entries[1][field].clone());
    assert_eq!(shown, [json!("edit"), json!(1), json!("typo"), json!("ada")]);
    let seen = get(&house, "bob", &conversation).await;
    assert_eq!((&seen["unread"], &seen["version"]), (&json!(1), &json!(2)));
    let last = &seen["last"];
    assert_eq!((&last["version"], &last["text"], &last["edited"]), (&json!(1), &json!("typo"), &json!(2)));
    house.ok("bob", "conversations.mark_read", json!({"conversation": conversation, "version": 2})).await;
    assert_eq!(get(&house, "bob", &conversation).await["unread"], 0);
}

#[tokio::test]
async fn a_deleted_message_and_its_edits_stay_as_entries_without_content_everywhere() {
    let house = House::new();
    let secret = "the launch code";
    let params = json!({"to": "bob", "key": "k", "text": secret, "media": ["https://x.org/launch"], "meta": {"launch": 1}});
    let sent = house.ok("ada", "messages.send", params.clone()).await;
    let conversation = sent["conversation"].as_str().unwrap().to_owned();
    house.send("bob", &conversation, "between").await;
    for n in 0..3 {
        edit(&house, "ada", &conversation, 1, &format!("launch {n}")).await;
    }
    assert_eq!(delete(&house, "ada", &conversation, 1).await, 6);

    let look = async |house: &House| {
        let entries = log(house, "bob", &conversation).await;
        let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["message", "message", "edit", "edit", "edit", "delete"]);
        for at in [0, 2, 3, 4] {
            let entry = &entries[at];
            assert_eq!((&entry["deleted"], &entry["text"]), (&json!(true), &json!("")));
            assert_eq!((entry.get("media"), entry.get("meta")), (None, None));
            assert_eq!(entry["from"], "ada");
        }
        assert_eq!((entries[1].get("deleted"), &entries[1]["text"]), (None, &json!("between")));
        assert_eq!((&entries[5]["of"], entries[5].get("deleted")), (&json!(1), None));
        for encoding in [Encoding::Json, Encoding::MsgPack] {
            for (method, more) in [
                ("messages.list", json!({"after": 0, "to": 1})),
                ("messages.list", json!({"before": 6})),
                ("conversations.get", json!({})),
                ("conversations.list", json!({})),
                ("topics.changes", json!({})),
            ] {
                let mut params = more;
                params["conversation"] = conversation.as_str().into();
                let answer = house.call_in(encoding, "bob", method, &params).await.unwrap();
                assert!(!answer.to_string().contains("launch"), "{method}: {answer}");
            }
        }
        assert_eq!(house.ok("ada", "messages.send", params.clone()).await, sent, "its key stays its own");
    };
    look(&house).await;
    look(&house.reopen().await).await;
}

#[tokio::test]
async fn the_last_message_of_a_list_is_gone_as_well() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "first").await;
    house.send("ada", &conversation, "secret").await;
    edit(&house, "ada", &conversation, 2, "still secret").await;
    delete(&house, "ada", &conversation, 2).await;
    let seen = get(&house, "bob", &conversation).await;
    let last = &seen["last"];
    assert_eq!((&last["version"], &last["deleted"], &last["text"]), (&json!(2), &json!(true), &json!("")));
    assert_eq!(last.get("edited"), None);
    assert_eq!(seen["unread"], 2, "it is still an entry that bob has not seen");
}

#[tokio::test]
async fn a_key_stands_for_one_entry_of_whatever_kind() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    house.send("ada", &conversation, "one").await;
    house.send("ada", &conversation, "two").await;
    let call = |method: &'static str, more: Value| {
        let mut params = more;
        params["conversation"] = conversation.as_str().into();
        params["key"] = params.get("key").cloned().unwrap_or("k".into());
        house.call("ada", method, params)
    };
    let edited = call("messages.edit", json!({"of": 1, "text": "uno"})).await.unwrap();
    assert_eq!(call("messages.edit", json!({"of": 1, "text": "uno"})).await.unwrap(), edited);
    for (method, other) in [
        ("messages.edit", json!({"of": 1, "text": "dos"})),
        ("messages.edit", json!({"of": 2, "text": "uno"})),
        ("messages.delete", json!({"of": 1})),
        ("messages.send", json!({"text": "uno"})),
    ] {
        assert_eq!(call(method, other).await.unwrap_err().code, ErrorCode::Conflict, "{method}");
    }
    let deleted = call("messages.delete", json!({"of": 1, "key": "d"})).await.unwrap();
    assert_eq!(call("messages.delete", json!({"of": 1, "key": "d"})).await.unwrap(), deleted);
    assert_eq!(
        call("messages.delete", json!({"of": 1, "key": "e"})).await.unwrap(),
        deleted,
        "it stays deleted"
    );
    assert_eq!(
        call("messages.delete", json!({"of": 2, "key": "e"})).await.unwrap_err().code,
        ErrorCode::Conflict
    );
    assert_eq!(
        call("messages.edit", json!({"of": 1, "text": "uno"})).await.unwrap(),
        edited,
        "as it was answered"
    );
    assert_eq!(log(&house, "bob", &conversation).await.len(), 4);
    let house = house.reopen().await;
    let params = json!({"conversation": conversation, "of": 1, "key": "e"});
    assert_eq!(house.ok("ada", "messages.delete", params).await, deleted);
}

#[tokio::test]
async fn many_in_one_commit_are_decided_one_after_the_other() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    house.send("ada", &conversation, "1").await;
    let call = |method: &'static str, more: Value| {
        let mut params = more;
        params["conversation"] = conversation.as_str().into();
        params["key"] = fresh_key().into();
        house.call("ada", method, params)
    };
    // All of them are in the writer's queue before the first is answered: they may share a commit.
    let (sent, edit_new, edit_old, gone, gone_new, late) = tokio::join!(
        call("messages.send", json!({"text": "2"})),
        call("messages.edit", json!({"of": 2, "text": "two"})),
        call("messages.edit", json!({"of": 1, "text": "one"})),
        call("messages.delete", json!({"of": 1})),
        call("messages.delete", json!({"of": 2})),
        call("messages.edit", json!({"of": 2, "text": "late"})),
    );
    let versions =
        [sent, edit_new, edit_old, gone, gone_new].map(|answer| answer.unwrap()["version"].clone());
    assert_eq!(versions, [2, 3, 4, 5, 6]);
    assert_eq!(late.unwrap_err().code, ErrorCode::Conflict);
    let house = house.reopen().await;
    let entries = log(&house, "bob", &conversation).await;
    let shown: Vec<_> =
        entries.iter().map(|entry| (entry["text"].clone(), entry["deleted"] == true)).collect();
    let gone = (json!(""), true);
    let delete = (json!(""), false);
    assert_eq!(shown, [gone.clone(), gone.clone(), gone.clone(), gone, delete.clone(), delete]);
}

#[tokio::test]
async fn the_sender_and_the_owner_of_a_group_may_and_nobody_else() {
    let house = House::new();
    let group = house.group("ada", &["bob", "eve"]).await;
    house.send("bob", &group, "bob's").await;
    let pair = house.send_to("ada", "bob", "ada's").await;
    house.send("bob", &pair, "bob's").await;
    for method in ["messages.edit", "messages.delete"] {
        for (user, conversation, of, code) in [
            ("eve", &group, 1, ErrorCode::Forbidden),
            ("mallory", &group, 1, ErrorCode::NotFound),
            ("ada", &pair, 2, ErrorCode::Forbidden),
            ("bob", &pair, 1, ErrorCode::Forbidden),
            ("bob", &group, 2, ErrorCode::NotFound),
            ("bob", &group, 0, ErrorCode::NotFound),
        ] {
            let params = json!({"conversation": conversation, "of": of, "key": fresh_key(), "text": "x"});
            assert_eq!(house.code(user, method, params).await, code, "{method} by {user}");
        }
    }
    assert_eq!(edit(&house, "ada", &group, 1, "the owner's words").await, 2);
    assert_eq!(delete(&house, "ada", &group, 1).await, 3);
    assert_eq!(delete(&house, "bob", &pair, 2).await, 3);
}

#[tokio::test]
async fn only_messages_are_changed_and_limits_hold() {
    let house = House::new();
    let group = house.group("ada", &["bob"]).await;
    house.send("ada", &group, "x").await;
    edit(&house, "ada", &group, 1, "y").await;
    house.ok("ada", "conversations.update", json!({"conversation": group, "title": "t"})).await;
    house.send("ada", &group, "z").await;
    delete(&house, "ada", &group, 4).await;
    for (of, text, code) in [
        (2, json!("x"), ErrorCode::Invalid),
        (3, json!("x"), ErrorCode::Invalid),
        (5, json!("x"), ErrorCode::Invalid),
        (4, json!("x"), ErrorCode::Conflict),
        (1, json!(""), ErrorCode::Invalid),
        (1, json!(null), ErrorCode::Invalid),
        (1, json!("x".repeat(10_001)), ErrorCode::TooLarge),
    ] {
        let params = json!({"conversation": group, "of": of, "key": fresh_key(), "text": text});
        assert_eq!(house.code("ada", "messages.edit", params).await, code, "{of}");
    }
    for of in [2, 3, 5] {
        let params = json!({"conversation": group, "of": of, "key": fresh_key()});
        assert_eq!(house.code("ada", "messages.delete", params).await, ErrorCode::Invalid);
    }
    let params =
        json!({"conversation": group, "key": fresh_key(), "text": "a caption", "media": ["https://x.org"]});
    house.ok("ada", "messages.send", params).await;
    assert_eq!(edit(&house, "ada", &group, 6, "").await, 7, "a picture needs no words");
}

#[tokio::test]
async fn a_message_takes_a_thousand_edits_and_one_delete_takes_them_all_away() {
    let house = House::new();
    let pair = house.send_to("ada", "bob", "0").await;
    for n in 1..=1_000 {
        edit(&house, "ada", &pair, 1, &format!("edit {n}")).await;
    }
    let params = json!({"conversation": pair, "of": 1, "key": fresh_key(), "text": "one more"});
    assert_eq!(house.code("ada", "messages.edit", params).await, ErrorCode::Invalid);
    assert_eq!(delete(&house, "ada", &pair, 1).await, 1_002);
    let house = house.reopen().await;
    assert!(house.texts("bob", &pair, 0).await.iter().all(String::is_empty));
    assert!(house.texts("bob", &pair, 500).await.iter().all(String::is_empty));
}

#[tokio::test]
async fn edits_and_deletes_count_for_the_throttle_and_repeats_do_not() {
    let house =
        House::with(Config { throttle_messages: 3, throttle_period: Duration::from_secs(3_600), ..config() });
    let pair = house.send_to("ada", "bob", "x").await;
    let edit = json!({"conversation": pair, "of": 1, "key": "e", "text": "y"});
    let delete = json!({"conversation": pair, "of": 1, "key": "d"});
    for _ in 0..5 {
        house.ok("ada", "messages.edit", edit.clone()).await;
    }
    for _ in 0..5 {
        house.ok("ada", "messages.delete", delete.clone()).await;
    }
    let again = json!({"conversation": pair, "of": 1, "key": "d2"});
    assert_eq!(house.code("ada", "messages.delete", again).await, ErrorCode::RateLimited);
}
