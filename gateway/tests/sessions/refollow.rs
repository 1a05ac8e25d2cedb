//! GW-11, GW-12: a user joins or leaves a large audience, and the marks that say so.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_protocol::{DirtyMap, Hint, UserId};
use doorbell_rpc::{DeliverRequest, Delivered, GatewayApi};
use tokio_util::task::TaskTracker;

use crate::neighbours::hint;
use crate::rig::{Rig, conversation};

const LARGE: &str = "conversation:large";

/// Looks never, as far as a test goes.
fn blind() -> Config {
    Config { channel_look_interval: Duration::from_secs(3_600), ..Config::default() }
}

#[tokio::test]
async fn whoever_joins_follows_before_the_mark_is_answered_and_is_hinted_the_head() {
    let rig = Rig::with(blind());
    let mut ada = rig.session("ada").await;
    rig.asked(1).await;
    rig.members.join("ada", LARGE, 4);
    assert_eq!(rig.mark("ada").await, Delivered::Sessions(1));
    rig.publish(LARGE, 5).await;
    assert_eq!(ada.hint().await.topics, [conversation("large", 4)]);
    assert_eq!(ada.hint().await.topics, [conversation("large", 5)]);
    rig.stop().await;
}

#[tokio::test]
async fn whoever_left_is_not_hinted_after_the_mark_was_answered() {
    let rig = Rig::with(blind());
    for name in ["ada", "bob"] {
        rig.members.join(name, LARGE, 4);
    }
    let mut ada = rig.session("ada").await;
    let mut bob = rig.session("bob").await;
    assert_eq!(ada.hint().await.topics, [conversation("large", 4)]);
    assert_eq!(bob.hint().await.topics, [conversation("large", 4)]);

    rig.members.leave("ada", LARGE);
    assert_eq!(rig.mark("ada").await, Delivered::Sessions(1));
    rig.publish(LARGE, 5).await;
    assert_eq!(bob.hint().await.topics, [conversation("large", 5)]);
    assert_eq!(ada.settle().await, []);
    rig.stop().await;
}

#[tokio::test]
async fn a_slow_session_that_left_is_not_told_what_waited_but_what_the_queue_brought() {
    let rig = Rig::with(blind());
    for topic in [LARGE, "conversation:crossed"] {
        rig.members.join("ada", topic, 4);
    }
    let mut ada = rig.session("ada").await;
    ada.hint().await;
    // It reads nothing until its socket is full.
    let mut version = 0;
    while rig.metric("doorbell_gateway_slow_sockets") == 0.0 {
        version += 1;
        rig.ring("ada", "conversation:small", version).await;
        // Its task sees the full socket.
        tokio::task::yield_now().await;
    }
    for topic in [LARGE, "conversation:crossed"] {
        rig.publish(topic, 7).await;
    }
    rig.until("both are merged", || rig.metric("doorbell_gateway_fan_outs_total") >= 2.0).await;
    rig.ring("ada", "conversation:crossed", 6).await;
    for topic in [LARGE, "conversation:crossed"] {
        rig.members.leave("ada", topic);
    }
    assert_eq!(rig.mark("ada").await, Delivered::Sessions(1));

    rig.ring("ada", "conversation:end", 1).await;
    let mut topics = Vec::new();
    while !topics.contains(&conversation("end", 1)) {
        topics.extend(ada.hint().await.topics);
    }
    assert!(
        !topics.iter().any(|(topic, version)| topic.as_str() == LARGE && version.get() == 7),
        "{topics:?}"
    );
    assert!(topics.contains(&conversation("crossed", 6)), "the queue's own word stays");
    rig.stop().await;
}

#[tokio::test]
async fn a_mark_that_comes_during_an_ask_waits_for_the_next_one() {
    let rig = Arc::new(Rig::with(Config { refollow_wait: Duration::from_secs(60), ..blind() }));
    let mut ada = rig.session("ada").await;
    rig.asked(1).await;
    rig.members.hold();
    let marking = |rig: Arc<Rig>| async move { rig.mark("ada").await };
    let first = TaskTracker::new().spawn(marking(Arc::clone(&rig)));
    rig.asked(2).await;
    // The ask under way has read that ada is in nothing.
    rig.members.join("ada", LARGE, 4);
    let second = TaskTracker::new().spawn(marking(Arc::clone(&rig)));
    ada.settle().await;
    assert_eq!(rig.members.asks(), 2, "one ask at a time");
    rig.members.let_go();
    assert_eq!(first.await.unwrap(), Delivered::Sessions(1));
    assert_eq!(second.await.unwrap(), Delivered::Sessions(1));
    assert_eq!(rig.members.asks(), 3);
    assert_eq!(ada.hint().await.topics, [conversation("large", 4)]);
}

#[tokio::test]
async fn a_message_svc_that_does_not_answer_holds_up_nobody_else() {
    let rig = Rig::with(Config { refollow_wait: Duration::from_millis(20), ..blind() });
    let mut ada = rig.session("ada").await;
    let mut bob = rig.session("bob").await;
    rig.asked(2).await;
    rig.members.hold();
    rig.members.join("ada", LARGE, 4);

    let request = |name: &str, hint: Hint, mark: bool| {
        let mut dirty = DirtyMap::default();
        dirty.hint(hint);
        if mark {
            dirty.mark_refollow();
        }
        DeliverRequest { user: UserId::new(name).unwrap(), dirty }
    };
    let small = || hint("conversation:small", 1);
    let batch = vec![request("ada", small(), true), request("bob", small(), false)];
    assert_eq!(rig.gateway.deliver(batch).await.unwrap(), [Delivered::Later, Delivered::Sessions(1)]);
    assert_eq!(bob.hint().await.topics, [conversation("small", 1)]);
    assert_eq!(ada.hint().await.topics, [conversation("small", 1)], "her own hints do not wait either");

    rig.members.let_go();
    assert_eq!(ada.hint().await.topics, [conversation("large", 4)], "the work went on");
    rig.until("offered again, it is done", || rig.metric("doorbell_gateway_followers") == 1.0).await;
    assert_eq!(rig.mark("ada").await, Delivered::Sessions(1));
    rig.stop().await;
}

/// After a kill: all sessions start over, and message-svc is so slow that every ask fails.
#[tokio::test]
async fn a_mark_is_asked_for_before_all_sessions_that_start_also_where_it_failed_before() {
    const STARTERS: usize = 400;
    let config = Config {
        asks_in_flight_max: NonZeroUsize::MIN,
        audience_timeout: Duration::from_millis(50),
        refollow_wait: Duration::from_secs(60),
        ..blind()
    };
    let rig = Arc::new(Rig::with(config));
    rig.members.join("ada", LARGE, 4);
    let mut ada = rig.session("ada").await;
    assert_eq!(ada.hint().await.topics, [conversation("large", 4)]);
    rig.members.hold();
    let mut starters = Vec::with_capacity(STARTERS);
    for number in 0..STARTERS {
        starters.push(rig.session(&format!("starter-{number}")).await);
    }

    rig.members.leave("ada", LARGE);
    let before = rig.members.calls();
    let marking = Arc::clone(&rig);
    let marked = TaskTracker::new().spawn(async move { marking.mark("ada").await });
    rig.until("ada is asked for", || rig.members.asked_for("ada") >= 2).await;
    let others = rig.members.calls() - before - 1;
    assert!(others <= 3, "one is under way when it comes, and another may begin: {others}");
    rig.until("ada is asked for", || rig.members.asked_for("ada") >= 3).await;
    let others = rig.members.calls() - before - 2;
    assert!(others <= 8, "twice the time of an ask is its pause: {others}");

    rig.members.let_go();
    assert_eq!(marked.await.unwrap(), Delivered::Sessions(1));
    rig.publish(LARGE, 5).await;
    assert_eq!(ada.settle().await, []);
    rig.until("the others are asked for as well", || rig.members.users_asked_for() == STARTERS + 1).await;
}

#[tokio::test]
async fn a_resync_is_a_refollow_and_is_hinted_after_it() {
    let rig = Rig::with(Config { refollow_wait: Duration::from_millis(20), ..blind() });
    let mut ada = rig.session("ada").await;
    rig.asked(1).await;
    rig.members.hold();
    rig.members.join("ada", LARGE, 4);
    let mut dirty = DirtyMap::default();
    dirty.mark_resync();
    assert_eq!(rig.ring_with("ada", dirty.clone()).await, Delivered::Later);
    assert_eq!(ada.settle().await, [], "a pull now could be before what is followed");

    rig.members.let_go();
    assert_eq!(ada.hint().await.topics, [conversation("large", 4)]);
    assert_eq!(rig.ring_with("ada", dirty).await, Delivered::Sessions(1));
    assert_eq!(ada.hint().await.topics, [conversation("large", 4)]);
    assert!(ada.hint().await.resync);
    rig.stop().await;
}

#[tokio::test]
async fn after_a_lapse_the_large_topics_are_asked_for_before_resync() {
    let rig = Rig::with(Config { lease_renewal: Duration::from_millis(5), ..blind() });
    let mut ada = rig.session("ada").await;
    rig.asked(1).await;
    rig.members.hold();
    // The mark of this join was lost with the entry.
    rig.members.join("ada", LARGE, 4);
    rig.advance(6);
    rig.asked(2).await;
    assert_eq!(ada.settle().await, [], "not before she follows");
    rig.members.let_go();
    let mut topics = Vec::new();
    loop {
        let hint = ada.hint().await;
        topics.extend(hint.topics);
        if hint.resync {
            break;
        }
    }
    rig.publish(LARGE, 5).await;
    while !topics.contains(&conversation("large", 5)) {
        topics.extend(ada.hint().await.topics);
    }
    rig.stop().await;
}

/// Marks, publishes and sessions that come and go: whoever is out when their mark is answered hears nothing more, and
/// whoever is in reaches the latest version.
#[tokio::test]
async fn after_each_mark_exactly_the_members_are_hinted() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    for seed in 0..10 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let rig = Rig::with(blind());
        let mut version = 1;
        let mut clients = Vec::new();
        for name in ["ada", "bob", "eve"] {
            clients.push((name, rig.session(name).await, false));
        }
        rig.asked(3).await;
        for _ in 0..40 {
            let at = random.random_range(0..3);
            let (name, client, member) = &mut clients[at];
            if random.random_bool(0.5) {
                *member = !*member;
                if *member {
                    rig.members.join(name, LARGE, version);
                } else {
                    rig.members.leave(name, LARGE);
                }
                assert_eq!(rig.mark(name).await, Delivered::Sessions(1));
                client.settle().await;
                continue;
            }
            version += 1;
            rig.publish(LARGE, version).await;
            for (name, client, member) in &mut clients {
                if *member {
                    let seen = |topics: &[_]| topics.contains(&conversation("large", version));
                    while !seen(&client.hint().await.topics) {}
                } else {
                    assert_eq!(client.settle().await, [], "{name} is out");
                }
            }
        }
        rig.stop().await;
    }
}
