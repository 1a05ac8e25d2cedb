//! Gateways by name, and whoever has the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_backplane::discovery::StoreFacts;
use doorbell_backplane::{Instance, Role};
use doorbell_cluster::{NamedGateways, StoreOwner};
use doorbell_protocol::{DirtyMap, Encoding, ErrorCode, GatewayId, Payload, UserId};
use doorbell_rpc::remote::MessageDoor;
use doorbell_rpc::{CallRequest, Caller, DeliverRequest, Delivered, Error, Gateways, Messages, Presence};
use tokio::time::Instant;

use crate::rig::{Process, Rig, instance};

fn batch() -> Vec<DeliverRequest> {
    vec![DeliverRequest { user: UserId::new("ada").unwrap(), dirty: DirtyMap::default() }]
}

fn request() -> CallRequest {
    let caller = Caller::from(UserId::new("ada").unwrap());
    let params = Payload::encode(Encoding::Json, &BTreeMap::<String, String>::new());
    CallRequest { caller, method: "topics.changes".to_owned(), params }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_has_just_started_is_found_at_once() {
    let rig = Rig::new(&[Role::Notifier]).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    rig.add(instance("g1", &[Role::Gateway], None));
    let gateways = NamedGateways::new(Arc::clone(&rig.links), rig.others.clone());
    let began = Instant::now();

    let answer = gateways.deliver(&GatewayId::new("g1").unwrap(), batch()).await.unwrap();

    assert_eq!(answer, [Delivered::Sessions(1)]);
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_gone_costs_no_time_once_the_list_is_new() {
    let rig = Rig::new(&[Role::Notifier]).await;
    let gateways = NamedGateways::new(Arc::clone(&rig.links), rig.others.clone());
    let gone = GatewayId::new("gone").unwrap();
    assert!(matches!(gateways.deliver(&gone, batch()).await, Err(Error::Unreachable { .. })));
    let began = Instant::now();

    for _ in 0..100 {
        assert!(matches!(gateways.deliver(&gone, batch()).await, Err(Error::Unreachable { .. })));
    }

    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_process_calls_its_own_gateway_itself() {
    let rig = Rig::new(&[Role::Gateway, Role::Notifier]).await;
    let own = Arc::<Process>::default();
    assert!(rig.links.local().gateway.set(Arc::clone(&own) as _).is_ok());
    let gateways = NamedGateways::new(Arc::clone(&rig.links), rig.others.clone());

    gateways.deliver(&GatewayId::new("own").unwrap(), batch()).await.unwrap();

    assert_eq!(own.calls(), 1);
    assert!(rig.processes.lock().is_empty(), "nobody was dialled");
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_who_has_the_store_open_and_home_once_it_is_here() {
    let rig = Rig::new(&[Role::Message]).await;
    let owner = StoreOwner::new(Arc::clone(&rig.links), rig.others.clone());
    let refused = owner.call(request()).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::Unavailable, Some(1_000)));

    let standby = rig.add(instance("m1", &[Role::Message], None));
    let other = rig.add(instance("m2", &[Role::Message], Some("s")));
    rig.settled().await;
    owner.call(request()).await.unwrap();
    owner.moved(Vec::new()).await.unwrap();
    assert_eq!((standby.calls(), other.calls()), (0, 2));

    let own = Arc::<Process>::default();
    assert!(rig.links.local().store.set(MessageDoor::of(&own)).is_ok());
    owner.call(request()).await.unwrap();
    assert_eq!((own.calls(), other.calls()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn who_answered_in_vain_is_looked_for_anew_at_once() {
    let rig = Rig::new(&[Role::Gateway]).await;
    let owner = StoreOwner::new(Arc::clone(&rig.links), rig.others.clone());
    let old = rig.add(instance("m1", &[Role::Message], Some("s")));
    rig.settled().await;
    // It is gone, and somebody else has the store; this process has not heard of it yet.
    old.is_away.store(true, Ordering::SeqCst);
    let store = Some(StoreFacts { id: "s".to_owned(), opened_ms: 2 });
    let later = Instance { store, ..instance("m2", &[Role::Message], None) };
    let successor = rig.add(later);
    let began = Instant::now();

    assert!(owner.moved(Vec::new()).await.is_err());
    rig.settled().await;
    owner.moved(Vec::new()).await.unwrap();

    assert_eq!(successor.calls(), 1);
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whose_word_has_lapsed_is_called_as_long_as_it_serves_and_nobody_else_has_the_store() {
    let rig = Rig::new(&[Role::Gateway]).await;
    let owner = StoreOwner::new(Arc::clone(&rig.links), rig.others.clone());
    let cut = rig.add(instance("m1", &[Role::Message], Some("s")));
    rig.settled().await;
    owner.moved(Vec::new()).await.unwrap();
    rig.remove("m1");
    rig.settled().await;
    let began = Instant::now();

    owner.moved(Vec::new()).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_millis(10),
        "nobody waits for another one: {:?}",
        began.elapsed()
    );
    cut.is_away.store(true, Ordering::SeqCst);
    assert!(owner.moved(Vec::new()).await.is_err());
    let asked = cut.calls();
    assert!(owner.moved(Vec::new()).await.is_err());
    assert!(
        cut.calls() <= asked + 1,
        "who does not serve is left alone for a while: {}",
        cut.calls() - asked
    );
    cut.is_away.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    owner.moved(Vec::new()).await.unwrap();
    assert!(cut.calls() > asked + 1, "and then asked again: one answer may fail for reasons of its own");

    let store = Some(StoreFacts { id: "s".to_owned(), opened_ms: 2 });
    let successor = rig.add(Instance { store, ..instance("m2", &[Role::Message], None) });
    rig.settled().await;
    owner.moved(Vec::new()).await.unwrap();
    assert_eq!(successor.calls(), 1);
}
