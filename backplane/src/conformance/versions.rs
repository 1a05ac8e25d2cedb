//! The versions of channels, and looking at what changed.

use std::time::Duration;

use doorbell_protocol::{Hint, Raise, TopicId, Version};

use super::driver::{Driver, gateway};
use super::{CHANNEL_TOPICS_MAX, Harness};
use crate::{ChangeCounter, HintQueue, Look, Partition, Registry as _, Versions};

const ANSWERS: &str = "the back-end answers";
/// More than any of these cases changes.
const ALL: usize = 100;

fn version(number: u64) -> Version {
    Version::new(number).expect("a small version")
}

fn to(number: u64) -> Raise {
    Raise::To(version(number))
}

fn hint(topic: &TopicId, number: u64) -> Hint {
    Hint { topic: topic.clone(), version: version(number) }
}

/// The first `count` topics of one partition.
fn topics<H: Harness>(d: &Driver<H>, count: usize) -> Vec<TopicId> {
    let named = |n: u32| TopicId::new(format!("room:{n}")).expect("a valid topic");
    let home = home(d, &named(0));
    (0..).map(named).filter(|topic| self::home(d, topic) == home).take(count).collect()
}

fn home<H: Harness>(d: &Driver<H>, topic: &TopicId) -> Partition {
    let partitions = Versions::partitions(d.backend());
    assert_eq!(partitions, HintQueue::partitions(d.backend()), "topics are spread as users are");
    partitions.of_topic(topic)
}

async fn raise<H: Harness>(d: &Driver<H>, raises: &[(&TopicId, Raise)]) -> Vec<u64> {
    let raises = raises.iter().map(|(topic, raise)| ((*topic).clone(), *raise)).collect();
    let stored = d.backend().raise(raises).await.expect(ANSWERS);
    stored.into_iter().map(Version::get).collect()
}

async fn read<H: Harness>(d: &Driver<H>, topics: &[TopicId]) -> Vec<u64> {
    let stored = d.backend().read(topics.to_vec()).await.expect(ANSWERS);
    stored.into_iter().map(Version::get).collect()
}

async fn look<H: Harness>(d: &Driver<H>, partition: Partition, since: ChangeCounter, max: usize) -> Look {
    look_from(d, partition, Some(since), max).await
}

async fn look_from<H: Harness>(
    d: &Driver<H>,
    partition: Partition,
    since: Option<ChangeCounter>,
    max: usize,
) -> Look {
    let mut looks = d.backend().look(vec![(partition, since)], max).await.expect(ANSWERS);
    let look = looks.pop().expect("one answer for one partition");
    assert!(looks.is_empty(), "one answer for one partition");
    look
}

/// Where a partition's looks begin.
async fn newest<H: Harness>(d: &Driver<H>, partition: Partition) -> ChangeCounter {
    let look = look_from(d, partition, None, ALL).await;
    assert_eq!((look.changed, look.more), (Some(vec![]), false), "nothing is shown");
    look.counter
}

fn assert_gap(look: &Look, newest: ChangeCounter) {
    assert_eq!((&look.changed, look.more, look.counter), (&None, false, newest));
}

pub(super) async fn a_raise_answers_and_stores_the_greatest_version<H: Harness>(d: Driver<H>) {
    let names = topics(&d, 2);
    let (a, b) = (&names[0], &names[1]);

    assert_eq!(raise(&d, &[(a, to(3)), (b, to(7)), (a, to(5)), (a, to(4))]).await, [3, 7, 5, 5]);
    assert_eq!(raise(&d, &[(b, to(2)), (a, to(6))]).await, [7, 6]);

    assert_eq!(read(&d, &names).await, [6, 7]);
}

pub(super) async fn a_topic_that_nobody_raised_reads_as_nothing<H: Harness>(d: Driver<H>) {
    let names = topics(&d, 2);
    assert_eq!(raise(&d, &[(&names[0], to(0)), (&names[1], to(1))]).await, [0, 1]);

    assert_eq!(read(&d, &names).await, [0, 1]);
    let shown = look(&d, home(&d, &names[0]), ChangeCounter::default(), ALL).await;
    assert_eq!(shown.changed, Some(vec![hint(&names[1], 1)]));
}

pub(super) async fn the_next_version_goes_by_the_time_of_the_store_and_never_back<H: Harness>(d: Driver<H>) {
    let names = topics(&d, 2);
    let (a, b) = (&names[0], &names[1]);
    let start = d.now().await.as_millis();

    assert_eq!(
        raise(&d, &[(a, Raise::Next), (a, Raise::Next), (b, to(start + 9_000))]).await,
        [start, start + 1, start + 9_000]
    );
    d.advance(Duration::from_secs(1)).await;

    assert_eq!(raise(&d, &[(a, Raise::Next), (b, Raise::Next)]).await, [start + 1_000, start + 9_001]);
}

pub(super) async fn a_look_without_a_counter_shows_nothing_and_where_to_begin<H: Harness>(d: Driver<H>) {
    let names = topics(&d, 1);
    let home = home(&d, &names[0]);
    assert_eq!(newest(&d, home).await, ChangeCounter::default());

    raise(&d, &[(&names[0], to(1))]).await;

    assert_eq!(newest(&d, home).await, ChangeCounter::default().next());
    assert_eq!(look(&d, home, ChangeCounter::default(), ALL).await.changed, Some(vec![hint(&names[0], 1)]));
}

pub(super) async fn a_look_shows_each_changed_topic_once_in_the_order_of_its_last_change<H: Harness>(
    d: Driver<H>,
) {
    let names = topics(&d, 3);
    let (a, b, c) = (&names[0], &names[1], &names[2]);
    let home = home(&d, a);
    raise(&d, &[(c, to(1))]).await;
    let seen = newest(&d, home).await;

    raise(&d, &[(a, to(1)), (b, to(1)), (a, to(2))]).await;
    let first = look(&d, home, seen, ALL).await;

    assert_eq!((first.changed, first.more), (Some(vec![hint(b, 1), hint(a, 2)]), false));
    let second = look(&d, home, first.counter, ALL).await;
    assert_eq!((second.counter, second.changed), (first.counter, Some(vec![])));
}

pub(super) async fn a_raise_that_changes_nothing_is_shown_to_nobody<H: Harness>(d: Driver<H>) {
    let names = topics(&d, 1);
    let home = home(&d, &names[0]);
    raise(&d, &[(&names[0], to(5))]).await;
    let seen = newest(&d, home).await;

    raise(&d, &[(&names[0], to(5)), (&names[0], to(4))]).await;

    let next = look(&d, home, seen, ALL).await;
    assert_eq!((next.counter, next.changed), (seen, Some(vec![])));
}

pub(super) async fn a_look_that_was_cut_goes_on_where_it_ended<H: Harness>(d: Driver<H>) {
    let names = topics(&d, 3);
    let (a, b, c) = (&names[0], &names[1], &names[2]);
    let home = home(&d, a);
    raise(&d, &[(a, to(1)), (b, to(1)), (c, to(1))]).await;

    let first = look(&d, home, ChangeCounter::default(), 2).await;
    raise(&d, &[(a, to(2))]).await;
    let second = look(&d, home, first.counter, 2).await;

    assert_eq!((first.changed, first.more), (Some(vec![hint(a, 1), hint(b, 1)]), true));
    assert_eq!((second.changed, second.more), (Some(vec![hint(c, 1), hint(a, 2)]), false));
    let none = look(&d, home, first.counter, 0).await;
    assert_eq!((none.counter, none.changed, none.more), (first.counter, Some(vec![]), true));
}

pub(super) async fn looks_at_several_partitions_are_answered_in_order<H: Harness>(d: Driver<H>) {
    let here = topics(&d, 1).remove(0);
    let mut others = (0..1_000).map(|n| TopicId::new(format!("hall:{n}")).expect("a valid topic"));
    let there = others.find(|topic| home(&d, topic) != home(&d, &here)).expect("more than one partition");
    raise(&d, &[(&here, to(1)), (&there, to(2))]).await;

    let asked = vec![(home(&d, &there), Some(ChangeCounter::default())), (home(&d, &here), None)];
    let looks = d.backend().look(asked, ALL).await.expect(ANSWERS);

    assert_eq!(looks.len(), 2);
    assert_eq!(looks[0].changed, Some(vec![hint(&there, 2)]));
    assert_eq!(looks[1].changed, Some(vec![]));
}

pub(super) async fn the_longest_unchanged_topic_is_forgotten<H: Harness>(d: Driver<H>) {
    let names = topics(&d, CHANNEL_TOPICS_MAX.get() as usize + 1);
    let (last, first) = names.split_last().expect("some");
    for topic in first {
        raise(&d, &[(topic, to(1))]).await;
    }
    raise(&d, &[(&first[0], to(2)), (&first[1], to(1)), (last, to(1))]).await;

    assert_eq!(read(&d, &names[..3]).await, [2, 0, 1], "the second had not changed for the longest time");
    assert_eq!(raise(&d, &[(&first[1], to(1))]).await, [1], "it may come back");
}

pub(super) async fn a_look_from_before_what_was_forgotten_is_a_gap<H: Harness>(d: Driver<H>) {
    let names = topics(&d, CHANNEL_TOPICS_MAX.get() as usize + 1);
    let home = home(&d, &names[0]);
    let (last, first) = names.split_last().expect("some");
    raise(&d, &[(&first[0], to(1))]).await;
    let seen = newest(&d, home).await;
    for topic in &first[1..] {
        raise(&d, &[(topic, to(1))]).await;
    }
    raise(&d, &[(last, to(1))]).await;

    assert_gap(&look(&d, home, ChangeCounter::default(), ALL).await, newest(&d, home).await);
    let next = look(&d, home, seen, ALL).await;
    assert_eq!(next.changed.expect("what was forgotten had been shown").len(), first.len());
}

pub(super) async fn a_counter_that_was_not_reached_is_a_gap<H: Harness>(d: Driver<H>) {
    let names = topics(&d, 1);
    let home = home(&d, &names[0]);
    raise(&d, &[(&names[0], to(1))]).await;
    let seen = newest(&d, home).await;

    assert_gap(&look(&d, home, seen.next(), ALL).await, seen);
    assert_eq!(look(&d, home, seen, ALL).await.changed, Some(vec![]));
}

pub(super) async fn channels_and_leases_share_the_identity_of_their_partition<H: Harness>(d: Driver<H>) {
    let names = topics(&d, 1);
    let home = home(&d, &names[0]);

    let lease = d.backend().take_lease(&gateway("g1"), home, Duration::from_secs(1)).await.expect(ANSWERS);

    assert_eq!(look(&d, home, ChangeCounter::default(), ALL).await.identity, lease.identity);
}
