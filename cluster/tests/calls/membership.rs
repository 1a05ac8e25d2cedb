//! Who is there, over a registry that comes and goes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_backplane::{Instance, Role};
use doorbell_protocol::InstanceId;
use tokio::time::sleep;

use crate::rig::{Rig, instance};

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_is_known_within_a_second_or_so() {
    let rig = Rig::new(&[Role::Notifier]).await;
    rig.add(instance("g1", &[Role::Gateway], None));
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(rig.others.view().all().len(), 2);
    rig.remove("g1");
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(rig.others.view().all().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_takes_nobody_along() {
    let rig = Rig::new(&[Role::Notifier]).await;
    rig.add(instance("g1", &[Role::Gateway], None));
    rig.settled().await;

    rig.lobby.is_away.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.others.view().all().len(), 2);
    // It comes back empty: everybody has a lease's time to say that they are there.
    rig.lobby.others.lock().clear();
    rig.lobby.is_away.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(rig.others.view().all().len(), 2);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(rig.others.view().all().len(), 1, "g1 has not said it again");
}

#[tokio::test(start_paused = true)]
async fn who_ends_takes_its_word_back() {
    let rig = Rig::new(&[Role::Notifier]).await;
    let own = InstanceId::new("own").unwrap();
    assert!(rig.lobby.others.lock().contains_key(&own));
    rig.stop.cancel();
    while rig.lobby.others.lock().contains_key(&own) {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_ran_at_this_address_before_is_not_called_though_its_word_holds() {
    let rig = Rig::new(&[Role::Message]).await;
    let address = instance("own", &[], None).address;
    rig.add(Instance { address, ..instance("before", &[Role::Message], Some("s")) });
    rig.add(instance("other", &[Role::Gateway], None));

    sleep(Duration::from_millis(2_100)).await;

    let view = rig.others.view();
    assert_eq!(view.all().iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["other", "own"]);
    assert!(view.store_owner().is_none() && view.last_store_owner().is_none());
}
