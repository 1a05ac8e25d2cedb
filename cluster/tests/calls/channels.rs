//! Several channel services, as one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_backplane::{Role, Versions};
use doorbell_cluster::OwnedChannels;
use doorbell_protocol::{GatewayId, Generation, Raise, TopicId, Version};
use doorbell_rpc::{ChannelLife, Channels, Subscription};
use tokio::time::Instant;

use crate::rig::{Process, Rig, instance, topic};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

async fn two_services(rig: &Rig) -> (Arc<Process>, Arc<Process>) {
    let services =
        (rig.add(instance("c1", &[Role::Channel], None)), rig.add(instance("c2", &[Role::Channel], None)));
    rig.settled().await;
    services
}

fn raises() -> Vec<(TopicId, Raise)> {
    NAMES
        .iter()
        .zip(1..)
        .map(|(name, version)| (topic(name), Raise::To(Version::new(version).unwrap())))
        .collect()
}

fn word(name: &str) -> Subscription {
    Subscription { topic: topic(name), generation: Generation(1), followers: 1, version: Version::ZERO }
}

async fn say(channels: &OwnedChannels) -> ChannelLife {
    let words = NAMES.map(word).to_vec();
    channels.subscribe(&GatewayId::new("g").unwrap(), words).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_topic_is_published_at_its_owner_and_answered_in_order() {
    let rig = Rig::new(&[Role::Message]).await;
    let (one, two) = two_services(&rig).await;

    let stored = rig.channels().publish(raises()).await.unwrap();

    assert_eq!(stored.iter().map(|version| version.get()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let (first, second) = (one.published(), two.published());
    assert!(
        !first.is_empty() && !second.is_empty() && first.len() + second.len() == NAMES.len(),
        "{first:?} {second:?}"
    );
    assert!(first.iter().all(|topic| !second.contains(topic)));
}

#[tokio::test(start_paused = true)]
async fn what_an_owner_does_not_take_is_stored_without_it() {
    let rig = Rig::new(&[Role::Message]).await;
    let (one, two) = two_services(&rig).await;
    one.is_away.store(true, Ordering::SeqCst);

    let stored = rig.channels().publish(raises()).await.unwrap();

    assert_eq!(stored.len(), NAMES.len());
    let unowned: Vec<TopicId> =
        NAMES.map(topic).into_iter().filter(|topic| !two.published().contains(&topic.to_string())).collect();
    let expected: Vec<Version> = raises()
        .into_iter()
        .filter(|(topic, _)| unowned.contains(topic))
        .map(|(_, raise)| if let Raise::To(version) = raise { version } else { Version::ZERO })
        .collect();
    assert!(!unowned.is_empty());
    assert_eq!(rig.counted("doorbell_cluster_unowned_publishes_total"), unowned.len() as f64);
    assert_eq!(rig.versions.read(unowned).await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn without_any_service_a_publish_is_stored_and_a_word_is_refused() {
    let rig = Rig::new(&[Role::Message]).await;

    rig.channels().publish(raises()).await.unwrap();

    assert_eq!(rig.versions.read(vec![topic("f")]).await.unwrap()[0].get(), 6);
    assert!(rig.channels().subscribe(&GatewayId::new("g").unwrap(), vec![word("a")]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn every_service_hears_the_gateway_each_what_it_owns() {
    let rig = Rig::new(&[Role::Gateway]).await;
    let (one, two) = two_services(&rig).await;
    let channels = rig.channels();

    say(&channels).await;
    channels.subscribe(&GatewayId::new("g").unwrap(), Vec::new()).await.unwrap();

    let heard = |process: &Process| process.words.lock().clone();
    assert_eq!((heard(&one).len(), heard(&two).len()), (2, 2), "the empty word goes to each of them, too");
    assert_eq!(heard(&one)[0].len() + heard(&two)[0].len(), NAMES.len());
}

#[tokio::test(start_paused = true)]
async fn every_service_hears_of_an_end_whoever_owns_the_topic_now() {
    let rig = Rig::new(&[Role::Gateway]).await;
    let (one, two) = two_services(&rig).await;

    let end = Subscription { followers: 0, ..word("a") };
    rig.channels().subscribe(&GatewayId::new("g").unwrap(), vec![end]).await.unwrap();

    for service in [one, two] {
        assert_eq!(*service.words.lock(), [[topic("a")]]);
    }
}

#[tokio::test(start_paused = true)]
async fn another_life_silence_and_a_newcomer_have_everything_said_again() {
    let rig = Rig::new(&[Role::Gateway]).await;
    let (one, _) = two_services(&rig).await;
    let channels = rig.channels();
    let mut lives = vec![say(&channels).await];
    assert_eq!(say(&channels).await, lives[0], "nothing has changed");

    one.life.store(7, Ordering::SeqCst);
    lives.push(say(&channels).await);
    one.is_away.store(true, Ordering::SeqCst);
    lives.push(say(&channels).await);
    one.is_away.store(false, Ordering::SeqCst);
    assert_eq!(say(&channels).await, lives[1], "heard again, and another life than while it was silent");
    rig.add(instance("c3", &[Role::Channel], None));
    rig.settled().await;
    lives.push(say(&channels).await);

    let mut different = lives.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), lives.len(), "{lives:?}");
}

/// Its store is slow for a while: words of first followers wait for it, others do not.
#[tokio::test(start_paused = true)]
async fn a_service_that_answers_every_second_word_late_has_nothing_said_again() {
    let rig = Rig::new(&[Role::Gateway]).await;
    let (one, _) = two_services(&rig).await;
    let channels = rig.channels();
    let life = say(&channels).await;

    *one.lag.lock() = Duration::from_millis(400);
    for _ in 0..20 {
        assert_eq!(say(&channels).await, life);
    }
    *one.lag.lock() = Duration::from_secs(60);
    let (began, first) = (Instant::now(), say(&channels).await);
    assert!(
        (first == life) != (say(&channels).await == life),
        "who says nothing for long may have forgotten"
    );
    assert!(began.elapsed() < Duration::from_secs(2), "the gateway's own time for all of them");
}

#[tokio::test(start_paused = true)]
async fn followers_of_a_service_that_is_away_are_not_counted() {
    let rig = Rig::new(&[Role::Message]).await;
    let (one, two) = two_services(&rig).await;
    let topics = || NAMES.map(topic).to_vec();
    assert_eq!(rig.channels().followers(topics()).await.unwrap(), [3; 6]);

    one.is_away.store(true, Ordering::SeqCst);
    two.is_away.store(false, Ordering::SeqCst);
    let counted = rig.channels().followers(topics()).await.unwrap();
    assert!(counted.contains(&0) && counted.contains(&3), "{counted:?}");
}
