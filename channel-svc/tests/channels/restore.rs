//! CH-7: a store of versions that has lost what is known here.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_protocol::{Raise, Version};
use doorbell_rpc::Channels;

use crate::rig::{NOW_MS, Rig, call, topic, word};

const A_MOMENT: Duration = Duration::from_secs(3);

async fn next(rig: &Rig, name: &str) -> u64 {
    rig.service.publish(vec![(topic(name), Raise::Next)]).await.unwrap()[0].get()
}

#[tokio::test(start_paused = true)]
async fn what_another_store_does_not_have_is_stored_again_and_told_to_nobody_twice() {
    let mut rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 1, 0), word("b", 2, 1, 0), word("c", 3, 1, 7)]).await;
    rig.publish("a", 5).await;
    assert_eq!(rig.next_call().await, call("g1", &[("a", 5)]));
    rig.pass(A_MOMENT, &["g1"]).await;

    rig.store.replace();
    rig.pass(A_MOMENT, &["g1"]).await;

    let stored = (rig.stored("a").await, rig.stored("b").await, rig.stored("c").await);
    assert_eq!(stored, (5, 0, 7));
    assert_eq!(rig.metric("doorbell_channel_restored_total"), 2.0);
    rig.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_word_whose_version_is_known_does_not_leave_another_store_without_it() {
    let rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 1, 5)]).await;
    rig.pass(A_MOMENT, &["g1"]).await;
    rig.store.replace();
    rig.say("g2", vec![word("a", 1, 1, 5)]).await;
    rig.pass(A_MOMENT, &["g1", "g2"]).await;
    assert_eq!(rig.stored("a").await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_version_counted_by_another_store_is_greater_than_all_that_were_told() {
    let mut rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 1, 0)]).await;
    for version in NOW_MS..NOW_MS + 3 {
        assert_eq!(next(&rig, "a").await, version);
        assert_eq!(rig.next_call().await, call("g1", &[("a", version)]));
    }

    // At once, before anybody has looked: this store would begin at the time again.
    rig.store.replace();
    assert_eq!(next(&rig, "a").await, NOW_MS + 3);
    assert_eq!(rig.next_call().await, call("g1", &[("a", NOW_MS + 3)]));
    assert_eq!(rig.publish("a", 4).await, NOW_MS + 3, "a version that is behind is answered as ever");
    rig.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_stored_again_is_tried_until_it_is() {
    let rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 1, 5)]).await;
    rig.pass(A_MOMENT, &["g1"]).await;
    rig.store.fails.store(true, Ordering::SeqCst);
    rig.store.replace();
    rig.pass(A_MOMENT, &["g1"]).await;
    assert_eq!(rig.stored("a").await, Version::ZERO.get());
    rig.store.fails.store(false, Ordering::SeqCst);
    rig.pass(A_MOMENT, &["g1"]).await;
    assert_eq!(rig.stored("a").await, 5);
}
