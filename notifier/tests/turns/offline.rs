//! Whom the offline hook hears of.

use std::time::Duration;

use doorbell_backplane::Settled;
use doorbell_notifier::Config;
use doorbell_protocol::{Epoch, Generation, Stamp, UserId};

use crate::rig::{Behaviour, Rig, Store, gateway};

const GONE: Settled = Settled::Acked { requeued: false, online: false };
const NOW: Stamp = Stamp { epoch: Epoch(u64::MAX), generation: Generation(u64::MAX) };

#[tokio::test(start_paused = true)]
async fn a_user_whom_every_gateway_knows_as_absent_is_reported_with_what_was_missed() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Absent(NOW)).await;
    rig.enter("ada", "gw-1").await;
    let _running = rig.start(Config::default());

    rig.hint(&["ada"], 7).await;

    assert_eq!(rig.next_settled().await.settled, GONE);
    assert_eq!(rig.heard.of("ada"), [7]);
}

#[tokio::test(start_paused = true)]
async fn who_was_rung_anywhere_is_not_reported_though_the_session_is_gone_by_now() {
    let mut rig = Rig::new();
    rig.open("gw-1", Behaviour::Ring, Duration::from_millis(1)).await;
    rig.open_for_good("gw-2", Behaviour::Absent(NOW)).await;
    rig.enter("ada", "gw-1").await;
    rig.enter("ada", "gw-2").await;
    tokio::time::advance(Duration::from_millis(10)).await;
    let _running = rig.start(Config::default());

    rig.hint(&["ada"], 7).await;

    assert_eq!(rig.next_settled().await.settled, GONE);
    assert!(rig.heard.of("ada").is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_came_back_since_the_gateway_looked_is_not_reported() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Absent(Stamp::default())).await;
    rig.enter("ada", "gw-1").await;
    let _running = rig.start(Config::default());

    rig.hint(&["ada"], 7).await;

    assert_eq!(rig.next_settled().await.settled, Settled::Acked { requeued: false, online: true });
    assert!(rig.heard.of("ada").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_user_of_a_dead_gateway_is_reported_once_it_is_settled_and_not_before() {
    let mut rig = Rig::new();
    rig.open("gw-1", Behaviour::Unreachable, Duration::from_secs(3)).await;
    rig.enter("ada", "gw-1").await;
    let _running = rig.start(Config { sweep_interval: Duration::from_secs(3_600), ..Config::default() });

    rig.hint(&["ada"], 7).await;

    assert_eq!(rig.next_settled().await.settled, Settled::Delayed);
    assert!(rig.heard.of("ada").is_empty(), "the gateway may live");
    while rig.next_settled().await.settled != GONE {}
    assert_eq!(rig.heard.of("ada"), [7]);
}

#[tokio::test(start_paused = true)]
async fn a_settlement_that_has_to_be_tried_again_reports_once() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Absent(NOW)).await;
    rig.enter("ada", "gw-1").await;
    rig.store(Store::FailingToSettle);
    let _running = rig.start(Config::default());
    rig.hint(&["ada"], 7).await;
    rig.next_call().await;
    tokio::time::advance(Duration::from_millis(300)).await;

    rig.store(Store::Sound);

    assert_eq!(rig.next_settled().await.settled, GONE);
    assert_eq!(rig.heard.of("ada"), [7]);
}

#[tokio::test(start_paused = true)]
async fn who_was_settled_without_anybody_hearing_of_it_is_reported_all_the_same() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Absent(NOW)).await;
    rig.enter("ada", "gw-1").await;
    rig.store(Store::SettlingUnheard);
    let _running = rig.start(Config::default());
    rig.hint(&["ada"], 7).await;
    assert_eq!(rig.next_settled().await.settled, GONE);
    assert!(rig.heard.of("ada").is_empty(), "nobody knows it yet");

    rig.store(Store::Sound);

    assert_eq!(rig.next_settled().await.settled, Settled::Stale);
    let heard = async {
        while rig.heard.of("ada").is_empty() {
            tokio::time::advance(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("she is never reported");
    assert_eq!(rig.heard.of("ada"), [7]);
}

#[tokio::test(start_paused = true)]
async fn nobody_hears_that_a_canary_was_missed_or_went() {
    let canary = UserId::canary(&gateway("gw-1"), 0).to_string();
    let mut rig = Rig::new();
    rig.open("gw-1", Behaviour::Unreachable, Duration::from_secs(3)).await;
    rig.enter(&canary, "gw-1").await;
    rig.enter("ada", "gw-1").await;
    let _running = rig.start(Config::default());

    rig.hint(&[&canary, "ada"], 7).await;

    let mut gone = 0;
    while gone < 2 {
        gone += usize::from(rig.next_settled().await.settled == GONE);
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.heard.of("ada"), [7]);
    assert!(rig.heard.of(&canary).is_empty());
    assert_eq!(rig.went(), ["ada"]);
    assert_eq!(rig.metric("doorbell_notifier_swept_entries_total"), 2.0, "the canary's as well");
}
