//! `messages.send` and `messages.list`.

use std::future::poll_fn;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::task::Poll;

use doorbell_message_svc::Config;
use doorbell_protocol::{Encoding, ErrorBody, ErrorCode};
use serde_json::{Value, json};

use crate::support::{House, config, fresh_key};

#[tokio::test]
async fn what_is_sent_is_read_back_by_every_member_in_order() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "one").await;
    assert_eq!(house.send("bob", &conversation, "two").await, 2);
    assert_eq!(house.send("ada", &conversation, "three").await, 3);

    for member in ["ada", "bob"] {
        assert_eq!(house.texts(member, &conversation, 0).await, ["one", "two", "three"]);
        assert_eq!(house.texts(member, &conversation, 2).await, ["three"]);
    }
}

#[tokio::test]
async fn a_message_comes_back_whole_in_either_encoding() {
    let house = House::new();
    let text = "grüße 👋 \u{0}\n\"\\ \u{202e}".to_owned();
    let meta = json!({"a": [1, -1, 2.5, null, true, "x"], "b": {"c": 9_007_199_254_740_993_u64}});
    let media = json!(["https://example.org/a?b=c#d", "http://[::1]/x"]);
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let params = json!({"to": "bob", "key": fresh_key(), "text": text, "media": media, "meta": meta});
        let sent = house.call_in(encoding, "ada", "messages.send", &params).await.unwrap();
        for reader in [Encoding::Json, Encoding::MsgPack] {
            let params = json!({"conversation": sent["conversation"]});
            let page = house.call_in(reader, "bob", "messages.list", &params).await.unwrap();
            let message = page["messages"].as_array().unwrap().last().unwrap();
            assert_eq!(message["text"], text.as_str());
            assert_eq!(message["meta"], meta);
            assert_eq!(message["media"], media);
            assert_eq!(message["kind"], "message");
            assert_eq!(message["from"], "ada");
            for field in ["version", "id", "sent_at_ms"] {
                assert_eq!(message[field], sent[field], "{field}");
            }
        }
    }
}

async fn versions(house: &House, conversation: &str, params: Value) -> (Vec<u64>, bool) {
    let mut params = params;
    params["conversation"] = conversation.into();
    let page = house.ok("ada", "messages.list", params).await;
    let versions = page["messages"].as_array().unwrap().iter().map(|m| m["version"].as_u64().unwrap());
    (versions.collect(), page["more"].as_bool().unwrap())
}

#[tokio::test]
async fn each_way_to_ask_for_a_part_of_a_log_answers_just_that_part() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "1").await;
    for text in 2..=10 {
        house.send("ada", &conversation, &text.to_string()).await;
    }
    let table: &[(Value, &[u64], bool)] = &[
        (json!({}), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false),
        (json!({"limit": 3}), &[8, 9, 10], true),
        (json!({"after": 0, "limit": 3}), &[1, 2, 3], true),
        (json!({"after": 7}), &[8, 9, 10], false),
        (json!({"after": 7, "limit": 3}), &[8, 9, 10], false),
        (json!({"after": 10}), &[], false),
        (json!({"after": 99}), &[], false),
        (json!({"after": 9_007_199_254_740_991_u64}), &[], false),
        (json!({"after": 2, "to": 4}), &[3, 4], false),
        (json!({"after": 2, "to": 4, "limit": 1}), &[3], true),
        (json!({"after": 2, "to": 2}), &[], false),
        (json!({"after": 8, "to": 99}), &[9, 10], false),
        (json!({"before": 4}), &[1, 2, 3], false),
        (json!({"before": 4, "limit": 2}), &[2, 3], true),
        (json!({"before": 1}), &[], false),
        (json!({"before": 0}), &[], false),
        (json!({"before": 99, "limit": 2}), &[9, 10], true),
        (json!({"limit": 9_999}), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false),
    ];
    for (params, expected, more) in table {
        let answer = versions(&house, &conversation, params.clone()).await;
        assert_eq!(answer, (expected.to_vec(), *more), "{params}");
    }
}

#[tokio::test]
async fn an_empty_log_has_no_page() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    for params in [json!({}), json!({"after": 0}), json!({"before": 5}), json!({"after": 0, "to": 5})] {
        assert_eq!(versions(&house, &conversation, params).await, (vec![], false));
    }
}

#[tokio::test]
async fn combinations_that_mean_nothing_are_refused() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "1").await;
    for mut params in [
        json!({"after": 1, "before": 3}),
        json!({"to": 3}),
        json!({"to": 3, "before": 3}),
        json!({"after": 3, "to": 2}),
        json!({"limit": 0}),
        json!({"limit": -1}),
        json!({"after": -1}),
        json!({"after": 1.5}),
        json!({"after": u64::MAX}),
        json!({"after": "1"}),
    ] {
        params["conversation"] = conversation.as_str().into();
        assert_eq!(house.code("ada", "messages.list", params.clone()).await, ErrorCode::Invalid, "{params}");
    }
}

#[tokio::test]
async fn a_page_of_large_messages_ends_early_and_the_next_one_goes_on() {
    let house = House::new();
    let conversation = house.group("ada", &[]).await;
    // Escaped, each of these characters takes six bytes; a float takes nine as MessagePack, and four as JSON.
    let text = "\u{1}".repeat(10_000);
    let meta = json!({"x": vec![0.5; 1_000]});
    for _ in 0..12 {
        let params = json!({"conversation": conversation, "key": fresh_key(), "text": text, "meta": meta});
        house.ok("ada", "messages.send", params).await;
    }
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let (mut seen, mut after) = (Vec::new(), 0);
        loop {
            let params = json!({"conversation": conversation, "after": after});
            let page = house.call_in(encoding, "ada", "messages.list", &params).await.unwrap();
            let messages = page["messages"].as_array().unwrap();
            assert!(messages.iter().all(|m| m["text"] == text.as_str()));
            seen.extend(messages.iter().map(|m| m["version"].as_u64().unwrap()));
            after = *seen.last().unwrap();
            if page["more"] == false {
                break;
            }
        }
        assert_eq!(seen, (1..=12).collect::<Vec<_>>());
    }
    let backwards = house.ok("ada", "messages.list", json!({"conversation": conversation})).await;
    let messages = backwards["messages"].as_array().unwrap();
    assert!(messages.len() < 12 && backwards["more"] == true);
    assert_eq!(messages.last().unwrap()["version"], 12, "the newest are the ones that fit");
}

#[tokio::test]
async fn a_foreign_conversation_and_an_absent_one_answer_alike() {
    let house = House::new();
    let foreign = house.send_to("ada", "bob", "private").await;
    let mut answers = Vec::new();
    for conversation in [foreign.as_str(), "d-0000000000000000000000000000000000000000", "x"] {
        for (method, mut params) in [
            ("messages.list", json!({})),
            ("messages.send", json!({"key": "k", "text": "x"})),
            ("conversations.get", json!({})),
            ("conversations.mark_read", json!({"version": 1})),
        ] {
            params["conversation"] = conversation.into();
            let error = house.call("eve", method, params).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::NotFound, "{method}");
            answers.push(error);
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(house.texts("ada", &foreign, 0).await, ["private"]);
}

#[tokio::test]
async fn a_read_sees_the_callers_writes_that_were_called_before_it_without_waiting_for_them() {
    let house = House::with(Config { shards: NonZeroU16::MIN, ..config() });
    let members: Vec<String> = (0..60).map(|i| format!("member-{i}")).collect();
    let conversation = house.group("ada", &members.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for _ in 0..200 {
        house.send("ada", &conversation, "x").await;
    }
    for member in &members {
        house.send(member, &conversation, "x").await;
    }

    let methods = ["messages.list", "conversations.get", "conversations.list", "topics.changes"];
    for (method, mark) in methods.into_iter().zip([80, 100, 120, 140]) {
        let version = house.send("ada", &conversation, "before").await + 1;
        // These keep the writer busy: it has to count through the log for each, far from either end.
        let busy = members.iter().map(|member| {
            let params = json!({"conversation": conversation, "version": mark});
            house.call(member, "conversations.mark_read", params)
        });
        let mut calls: Vec<Call<'_>> = busy.map(|call| Box::pin(call) as Call<'_>).collect();
        let params = json!({"conversation": conversation, "key": fresh_key(), "text": "x"});
        calls.push(Box::pin(house.call("ada", "messages.send", params)));
        let params = json!({"conversation": conversation, "limit": 200});
        calls.push(Box::pin(house.call("ada", method, params)));

        let answers = in_order(calls).await;

        let [.., sent, seen] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(sent.as_ref().unwrap()["version"], version);
        let seen = seen.as_ref().unwrap();
        let seen = match method {
            "messages.list" => &seen["messages"].as_array().unwrap().last().unwrap()["version"],
            "conversations.get" => &seen["version"],
            "conversations.list" => &seen["conversations"][0]["version"],
            _ => &seen["topics"][&format!("conversation:{conversation}")],
        };
        assert_eq!(*seen, version, "{method}");
    }
}

/// Polls each call once, in order, before it waits for any of them.
async fn in_order(mut calls: Vec<Call<'_>>) -> Vec<Result<Value, ErrorBody>> {
    let mut answers = Vec::new();
    for call in &mut calls {
        answers.push(poll_once(call).await);
    }
    let mut all = Vec::new();
    for (call, answer) in calls.into_iter().zip(answers) {
        all.push(match answer {
            Some(answer) => answer,
            None => call.await,
        });
    }
    all
}

type Call<'a> = Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + 'a>>;

async fn poll_once(call: &mut Call<'_>) -> Option<Result<Value, ErrorBody>> {
    poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
