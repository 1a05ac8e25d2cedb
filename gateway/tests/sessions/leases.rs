//! GW-5 and GW-6: leases, re-registration, leaves.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_backplane::HintQueue as _;
use doorbell_gateway::Config;
use doorbell_protocol::{ServerFrame, UserId};
use doorbell_rpc::Delivered;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::client::Client;
use crate::rig::Rig;

fn quick() -> Config {
    Config { lease_renewal: Duration::from_millis(5), ..Config::default() }
}

#[tokio::test]
async fn a_lapsed_lease_means_a_new_epoch_everybody_entered_again_and_then_resync() {
    let rig = Rig::with(quick());
    let mut ada = rig.session("ada").await;
    let mut bob = rig.session("bob").await;
    let before = rig.registry.entries("ada").await[0].stamp;

    // As after a pause: the lease ends between two renewals.
    rig.advance(6);
    for client in [&mut ada, &mut bob] {
        let hint = client.hint().await;
        assert!(hint.resync && hint.topics.is_empty());
        assert!(hint.pull_after_ms.is_some_and(|after| after <= 3_000), "{hint:?}");
    }
    let after = rig.registry.entries("ada").await[0].stamp;
    assert!(after.epoch > before.epoch && after.generation > before.generation);
    rig.stop().await;
}

#[tokio::test]
async fn another_store_that_renews_the_lease_means_the_same_once_for_each() {
    let rig = Rig::with(quick());
    let mut ada = rig.session("ada").await;
    for _ in 0..3 {
        let before = rig.registry.entries("ada").await[0].stamp;
        rig.registry.fail_over();
        let hint = ada.hint().await;
        assert!(hint.resync && hint.pull_after_ms.is_some_and(|after| after <= 3_000), "{hint:?}");
        let after = rig.registry.entries("ada").await[0].stamp;
        assert!(after.epoch > before.epoch && after.generation > before.generation);
    }
    assert_eq!(ada.settle().await, []);
    assert_eq!(rig.metric("doorbell_gateway_lease_lapses_total"), 3.0);
    rig.stop().await;
}

#[tokio::test]
async fn resync_comes_only_after_the_registration_is_confirmed() {
    let rig = Rig::with(quick());
    let mut ada = rig.session("ada").await;
    let entered = rig.registry.enters.load(Ordering::SeqCst);
    rig.registry.hold_enters();
    rig.advance(6);
    rig.until("entered again", || rig.registry.enters.load(Ordering::SeqCst) > entered).await;
    assert_eq!(ada.settle().await, []);
    rig.registry.let_enters_go();
    assert!(ada.hint().await.resync);
    rig.stop().await;
}

#[tokio::test]
async fn a_user_who_comes_while_the_lease_is_lost_is_entered_under_the_new_one() {
    let rig = Rig::with(Config { lease_renewal: Duration::from_secs(1), ..Config::default() });
    let _ada = rig.session("ada").await;
    rig.advance(6);
    // The memory back-end refuses an enter under a lapsed lease.
    let mut again = rig.connect().await;
    again.hello("ada").await;
    again.welcome().await;
    assert_eq!(rig.registry.entries("ada").await.len(), 1);
    assert_eq!(rig.ring("ada", "conversation:c", 1).await, Delivered::Sessions(2));
    rig.stop().await;
}

#[tokio::test]
async fn a_late_leave_removes_nothing_of_a_session_that_came_meanwhile() {
    let rig = Rig::new();
    rig.registry.lose_leaves();
    let mut first = rig.session("ada").await;
    first.close().await;
    rig.until("its leave is lost", || rig.registry.lost.lock().len() == 1).await;

    let _second = rig.session("ada").await;
    rig.registry.deliver_lost_leaves().await;
    assert_eq!(rig.registry.entries("ada").await.len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn sessions_that_come_and_go_at_once_end_with_the_right_entry() {
    let rig = Rig::new();
    for _ in 0..50 {
        let mut first = rig.session("ada").await;
        let mut second = rig.connect().await;
        let (_, ()) = tokio::join!(first.close(), second.hello("ada"));
        second.welcome().await;
        assert_eq!(rig.registry.entries("ada").await.len(), 1);
        assert_eq!(rig.ring("ada", "conversation:c", 1).await, Delivered::Sessions(1));
        second.close().await;
    }
    rig.until("all left", || rig.gateway.sockets() == 0).await;
    rig.stop().await;
}

/// In a storm of connects there is always one more who waits.
#[tokio::test]
async fn who_leaves_does_not_wait_for_those_who_come_meanwhile() {
    let rig = Rig::new();
    let home = |name: &String| rig.memory.partitions().of(&UserId::new(name.as_str()).unwrap());
    let names = (0..).map(|number| format!("user-{number}"));
    let one_home: Vec<_> = names.filter(|name| home(name).index() == 3).take(4).collect();
    let mut goes = rig.session(&one_home[0]).await;
    let entered = rig.registry.enters.load(Ordering::SeqCst);
    let waiting = || rig.metric("doorbell_gateway_enters_waiting");
    let mut comes = Vec::new();
    for name in &one_home[1..] {
        comes.push((rig.connect().await, name));
    }

    rig.registry.hold_enters();
    let (client, name) = &mut comes[0];
    client.hello(name).await;
    rig.until("one is on its way", || rig.registry.enters.load(Ordering::SeqCst) == entered + 1).await;
    goes.close().await;
    rig.until("one is gone", || rig.gateway.sockets() == comes.len()).await;
    for (round, (client, name)) in comes.iter_mut().enumerate().skip(1) {
        client.hello(name).await;
        rig.until("another one waits", || waiting() == 1.0).await;
        rig.registry.let_one_enter_go();
        let begun = entered + round + 1;
        rig.until("it is on its way", || rig.registry.enters.load(Ordering::SeqCst) == begun).await;
    }

    assert_eq!(rig.registry.leaves.load(Ordering::SeqCst), 1);
    rig.registry.let_enters_go();
    for (client, _) in &mut comes {
        client.welcome().await;
    }
    rig.stop().await;
}

#[tokio::test]
async fn only_the_last_session_leaves() {
    let rig = Rig::new();
    let mut first = rig.session("ada").await;
    let mut second = rig.session("ada").await;
    first.close().await;
    rig.until("one is gone", || rig.gateway.sockets() == 1).await;
    second.settle().await;
    assert_eq!(rig.registry.entries("ada").await.len(), 1);
    assert_eq!(rig.registry.left.lock().len(), 0);
    second.close().await;
    rig.until("it left", || rig.registry.left.lock().len() == 1).await;
    assert_eq!(rig.registry.entries("ada").await, []);
    rig.stop().await;
}

#[tokio::test]
async fn sessions_that_come_and_go_while_the_registry_fails_leave_no_queue_behind() {
    let rig = Rig::new();
    rig.registry.fail();
    for _ in 0..100 {
        let mut client = rig.connect().await;
        client.hello("ada").await;
        client.settle().await;
        client.close().await;
        rig.until("it is gone", || rig.gateway.sockets() == 0).await;
        let waiting = rig.metric("doorbell_gateway_enters_waiting");
        assert!(waiting <= 8.0, "{waiting} wait, and nobody is there");
    }
    rig.registry.recover();
    let mut client = rig.session("ada").await;
    assert_eq!(rig.metric("doorbell_gateway_enters_waiting"), 0.0);
    client.close().await;
    rig.stop().await;
}

/// Whatever the registry does meanwhile: in the end each user with a session has an entry that answers to it, and an
/// entry of a user without one is covered by what the gateway answers about it.
#[tokio::test]
async fn after_any_faults_the_registry_agrees_with_the_sessions() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let rig = Rig::with(Config { registry_timeout: Duration::from_millis(20), ..quick() });
        let mut clients: [Vec<Client>; 4] = Default::default();
        for _ in 0..60 {
            let user = random.random_range(0..4);
            match random.random_range(0..12) {
                0..5 => {
                    let mut client = rig.connect().await;
                    client.hello(&format!("user-{user}")).await;
                    clients[user].push(client);
                }
                5..8 => drop(clients[user].pop()),
                8 => rig.advance(6),
                9 => rig.registry.fail(),
                10 => rig.registry.hold_enters(),
                _ => {
                    rig.registry.let_enters_go();
                    rig.registry.recover();
                }
            }
            for _ in 0..random.random_range(0..20) {
                tokio::task::yield_now().await;
            }
        }
        rig.registry.let_enters_go();
        rig.registry.recover();
        rig.until("the closed are gone", || {
            rig.gateway.sockets() == clients.iter().map(Vec::len).sum::<usize>()
        })
        .await;

        for (user, clients) in clients.iter_mut().enumerate() {
            let name = format!("user-{user}");
            for client in &mut *clients {
                while !matches!(client.next().await.unwrap(), ServerFrame::Welcome(_)) {}
            }
            let entries = rig.registry.entries(&name).await;
            match rig.ring(&name, "conversation:c", 1).await {
                Delivered::Sessions(count) => {
                    assert_eq!(count as usize, clients.len(), "{name}");
                    assert_eq!(entries.len(), 1, "{name}");
                }
                Delivered::Later => panic!("nothing is to be followed again"),
                Delivered::Absent(stamp) => {
                    assert!(clients.is_empty(), "{name}");
                    assert!(
                        entries.iter().all(|entry| entry.stamp <= stamp),
                        "{name}: {entries:?} {stamp:?}"
                    );
                }
            }
        }
        rig.stop().await;
    }
}
