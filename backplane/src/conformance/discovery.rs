//! What processes say of themselves, and hear of each other.

use std::time::Duration;

use doorbell_protocol::InstanceId;

use super::Harness;
use super::driver::{Driver, TICK, gateway};
use crate::discovery::{GatewayFacts, StoreFacts};
use crate::{Discovery as _, HintQueue as _, Instance, Instances, Registry as _, Role};

const ANSWERS: &str = "the back-end answers";
const TTL: Duration = Duration::from_secs(5);

fn instance(name: &str) -> Instance {
    Instance {
        id: InstanceId::new(name).expect("a valid name"),
        roles: vec![Role::Gateway, Role::Message],
        address: format!("{name}.example:7070"),
        gateway: Some(GatewayFacts { url: format!("wss://{name}.example"), sessions: 7, closed: false }),
        store: Some(StoreFacts { id: "store-1".to_owned(), opened_ms: 7 }),
    }
}

async fn announce<H: Harness>(d: &Driver<H>, instance: &Instance, ttl: Duration) -> Instances {
    d.backend().announce(instance, ttl).await.expect(ANSWERS)
}

pub(super) async fn who_announces_is_heard_of_as_it_described_itself<H: Harness>(d: Driver<H>) {
    assert_eq!(announce(&d, &instance("b"), TTL).await.live, [instance("b")]);

    let heard = announce(&d, &instance("a"), TTL).await;

    assert_eq!(heard.live, [instance("a"), instance("b")], "in the order of their names");
}

pub(super) async fn the_last_word_of_a_name_holds<H: Harness>(d: Driver<H>) {
    announce(&d, &instance("a"), TTL).await;
    let later = Instance { roles: vec![Role::Notifier], gateway: None, store: None, ..instance("a") };

    assert_eq!(announce(&d, &later, TTL).await.live, [later]);
}

pub(super) async fn a_word_ends_with_its_time_and_counts_from_the_last<H: Harness>(d: Driver<H>) {
    announce(&d, &instance("a"), TTL).await;
    announce(&d, &instance("b"), TTL).await;
    d.advance(TICK).await;
    announce(&d, &instance("b"), TTL).await;
    d.advance(TTL - TICK).await;

    assert_eq!(announce(&d, &instance("c"), TTL).await.live, [instance("b"), instance("c")]);
}

pub(super) async fn a_word_taken_back_is_gone_at_once<H: Harness>(d: Driver<H>) {
    announce(&d, &instance("a"), TTL).await;

    d.backend().withdraw(&instance("a").id).await.expect(ANSWERS);
    d.backend().withdraw(&instance("nobody").id).await.expect(ANSWERS);

    assert_eq!(announce(&d, &instance("b"), TTL).await.live, [instance("b")]);
}

pub(super) async fn the_list_has_the_identity_of_the_first_partition<H: Harness>(d: Driver<H>) {
    let first = d.backend().partitions().all().next().expect("at least one");
    let lease = d.backend().take_lease(&gateway("g1"), first, TTL).await.expect(ANSWERS);

    assert_eq!(announce(&d, &instance("a"), TTL).await.identity, lease.identity);
    d.advance(TTL).await;
    assert_eq!(announce(&d, &instance("a"), TTL).await.identity, lease.identity, "time does not change it");
}

pub(super) async fn the_first_store_is_that_of_the_installation<H: Harness>(d: Driver<H>) {
    let mut answers = Vec::new();
    for store in ["one", "two", "one"] {
        answers.push(d.backend().settle_store(store).await.expect(ANSWERS));
    }
    assert_eq!(answers, ["one"; 3]);
}
