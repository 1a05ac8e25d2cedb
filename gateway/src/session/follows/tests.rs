use super::*;

fn topics(keys: &[&str]) -> Vec<TopicId> {
    keys.iter().map(|key| TopicId::new(format!("conversation:{key}")).unwrap()).collect()
}

fn topic(key: &str) -> TopicId {
    topics(&[key]).remove(0)
}

fn subscribed(keys: &[&str]) -> Follows {
    let mut follows = Follows::default();
    let ordinal = follows.ask(topics(keys).iter(), 100).unwrap();
    for topic in topics(keys) {
        assert!(!follows.answer(ordinal, &topic, true));
    }
    follows
}

fn listed(follows: &Follows) -> HashMap<TopicId, Ordinal> {
    follows.allowed().collect()
}

#[test]
fn own_topics_come_and_go_with_the_list() {
    let mut follows = Follows::default();
    assert_eq!(follows.set_own(&topics(&["b", "a"])).added, topics(&["b", "a"]));
    let changed = follows.set_own(&topics(&["b", "c"]));
    assert_eq!((changed.added, changed.removed), (topics(&["c"]), topics(&["a"])));
    assert!(follows.contains(&topic("b")) && follows.contains(&topic("c")) && !follows.contains(&topic("a")));
    follows.set_own(&[]);
    assert!(follows.is_empty());
}

#[test]
fn nothing_is_followed_before_its_answer_and_what_is_denied_never() {
    let mut follows = Follows::default();
    let ordinal = follows.ask(topics(&["a", "b", "c"]).iter(), 100).unwrap();
    assert!(!follows.contains(&topic("a")));
    follows.answer(ordinal, &topic("a"), true);
    follows.answer(ordinal, &topic("b"), false);
    follows.give_up(ordinal);
    assert!(follows.contains(&topic("a")));
    assert!(!follows.contains(&topic("b")) && !follows.contains(&topic("c")));
    assert_eq!(listed(&follows).len(), 1);
}

#[test]
fn the_last_word_of_a_session_counts_however_late_an_answer_is() {
    let mut follows = Follows::default();
    let first = follows.ask(topics(&["a"]).iter(), 100).unwrap();
    follows.unsubscribe(&topic("a"));
    follows.answer(first, &topic("a"), true);
    assert!(follows.is_empty(), "it was given up meanwhile");

    let second = follows.ask(topics(&["a"]).iter(), 100).unwrap();
    follows.answer(first, &topic("a"), false);
    follows.give_up(first);
    follows.answer(second, &topic("a"), true);
    assert!(follows.contains(&topic("a")));
}

#[test]
fn no_more_is_noted_than_there_is_room_for_and_what_is_known_needs_none() {
    let mut follows = subscribed(&["a", "b"]);
    assert_eq!(follows.ask(topics(&["c", "d"]).iter(), 3), Err(TooMany));
    follows.set_own(&topics(&["own"]));
    assert!(follows.ask(topics(&["a", "b", "c", "c"]).iter(), 3).is_ok());
    assert_eq!(follows.ask(topics(&["own"]).iter(), 3), Err(TooMany), "asked for, it counts");
}

#[test]
fn a_topic_followed_for_two_reasons_stays_until_both_are_gone_but_a_large_one_left_is_left() {
    let mut follows = subscribed(&["a"]);
    assert_eq!(follows.set_own(&topics(&["a"])), Changed::default());
    assert!(!follows.unsubscribe(&topic("a")));
    assert!(follows.contains(&topic("a")));

    let mut follows = subscribed(&["a"]);
    follows.set_own(&topics(&["a"]));
    assert_eq!(follows.set_own(&[]).removed, topics(&["a"]));
    assert!(follows.is_empty());
}

#[test]
fn a_review_drops_what_was_taken_away_and_nothing_that_was_allowed_since() {
    let mut follows = subscribed(&["a", "b", "c"]);
    let reviewed = listed(&follows);
    let again = follows.ask(topics(&["c"]).iter(), 100).unwrap();
    follows.answer(again, &topic("c"), true);
    let changed = follows.review(&reviewed, |one| *one == topic("a"));
    assert_eq!((changed.removed, changed.added), (topics(&["b"]), Vec::new()));
    assert!(follows.contains(&topic("a")) && follows.contains(&topic("c")));
}

#[test]
fn what_is_suspended_is_not_followed_until_a_review_allows_it() {
    let mut follows = subscribed(&["a", "b"]);
    let all: HashSet<_> = topics(&["a", "b"]).into_iter().collect();
    assert_eq!(follows.suspend(&all), topics(&["a", "b"]));
    assert_eq!(follows.suspend(&all), []);
    assert!(!follows.contains(&topic("a")) && listed(&follows).len() == 2);
    let changed = follows.review(&listed(&follows), |one| *one == topic("a"));
    assert_eq!((changed.added, changed.removed), (topics(&["a"]), Vec::new()));
    assert_eq!(listed(&follows).len(), 1);
}
