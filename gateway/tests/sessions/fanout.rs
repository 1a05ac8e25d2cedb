//! A slow session never delays the others, and costs a constant.

use std::num::NonZeroUsize;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_protocol::{ErrorCode, ServerFrame};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Rig, conversation};

#[tokio::test]
async fn a_client_that_reads_no_replies_is_not_read_and_loses_none() {
    let rig = Rig::new();
    let mut slow = rig.session("ada").await;
    for id in 0..100 {
        slow.call(id, "page").await;
    }
    rig.until("its socket is full", || rig.metric("doorbell_gateway_slow_sockets") == 1.0).await;
    let mut other = rig.session("bob").await;
    other.settle().await;
    assert!(rig.service.started.lock().len() < 40, "{}", rig.service.started.lock().len());

    for id in 0..100 {
        let (replied, outcome) = slow.reply().await;
        assert_eq!(replied, id);
        assert!(outcome.is_ok_and(|page| page["text"].as_str().unwrap().len() == 64 * 1024));
    }
    slow.settle().await;
    rig.stop().await;
}

#[tokio::test]
async fn answers_beyond_what_may_wait_unread_become_errors_that_can_be_retried() {
    let unsent_bytes_max = NonZeroUsize::new(200 * 1024).unwrap();
    let rig = Rig::with(Config { unsent_bytes_max, ..Config::default() });
    let mut slow = rig.session("ada").await;
    for id in 0..16 {
        slow.call(id, "page-later").await;
    }
    rig.until("all are started", || rig.service.started.lock().len() == 16).await;
    rig.service.go.notify_waiters();
    rig.until("all are answered", || rig.metric("doorbell_gateway_calls_in_flight") == 0.0).await;

    let (mut pages, mut refused) = (0, 0);
    for _ in 0..16 {
        match slow.reply().await.1 {
            Ok(_) => pages += 1,
            Err(error) => {
                assert!(error.code == ErrorCode::Unavailable && error.retry_after_ms.is_some());
                refused += 1;
            }
        }
    }
    assert!(pages >= 3 && refused >= 3, "{pages} pages, {refused} refused");
    slow.settle().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_slow_client_that_shows_life_is_not_closed() {
    use futures_util::SinkExt;

    let rig = Rig::new();
    let mut slow = rig.session("ada").await;
    let mut version = 0;
    while rig.metric("doorbell_gateway_slow_sockets") == 0.0 {
        version += 1;
        rig.ring("ada", "conversation:c", version).await;
        // Its task sees the full socket.
        tokio::task::yield_now().await;
    }
    for round in 0..20 {
        let heard = rig.metric("doorbell_gateway_frames_in_total");
        slow.socket().send(Message::Pong(Default::default())).await.unwrap();
        rig.until("the pong is heard", || rig.metric("doorbell_gateway_frames_in_total") > heard).await;
        rig.advance(30);
        rig.ring("ada", "conversation:d", round + 1).await;
    }
    assert_eq!(rig.metric("doorbell_gateway_closes_total"), 0.0);
    let mut last = conversation("d", 0);
    while last != conversation("d", 20) {
        for topic in slow.hint().await.topics {
            last = topic;
        }
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_many_writers_never_interleave() {
    let rig = std::sync::Arc::new(Rig::new());
    let mut client = rig.session("ada").await;
    let ringers: Vec<_> = (0..4)
        .map(|ringer| {
            let rig = std::sync::Arc::clone(&rig);
            tokio_util::task::TaskTracker::new().spawn(async move {
                for version in 1..=5_000 {
                    rig.ring("ada", &format!("conversation:r{ringer}"), version).await;
                }
            })
        })
        .collect();
    let mut latest = std::collections::BTreeMap::new();
    let mut calls = 0;
    while latest.values().filter(|version| **version == 5_000).count() < 4 {
        match client.next().await.expect("the socket is open, every frame is whole") {
            ServerFrame::Hint(hint) => {
                for (topic, version) in hint.topics {
                    latest.insert(topic, version.get());
                }
                if calls < 150 {
                    calls += 1;
                    client.call(calls, "echo").await;
                }
            }
            ServerFrame::Reply { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    for ringer in ringers {
        tokio::time::timeout(Duration::from_secs(20), ringer).await.unwrap().unwrap();
    }
}
