//! Until when a hint may come: it depends on what was harmed, and how.

use super::{bare, begins, broken};
use crate::prove::history::{Deed, Event, Harmed, Kind, Micros, Part, Phase, Role, What};
use crate::prove::judge::verdict::Rule;

/// T, and T after a fault of Redis.
const SETTLE: Micros = 1_000;
const SETTLE_REDIS: Micros = 2_000;
/// When the fault begins and ends.
const BEGIN: Micros = 10_000;
const END: Micros = 50_000;
/// When something is acknowledged, right before it begins or right after.
const BEFORE: Micros = BEGIN - 500;
const AFTER: Micros = BEGIN + 20;

const fn harmed(deed: Deed, parts: Vec<Part>, targets: Vec<u32>) -> Option<Harmed> {
    Some(Harmed { deed, parts, targets })
}

/// Whether H1 fires where a message is acknowledged and its reader learns of it at these times; with two addresses.
fn late(harmed: Option<Harmed>, (acked, told): (Micros, Micros), moves: &[(Micros, What)]) -> bool {
    let (user, conversation) = (0, 0);
    let send =
        What::Send { key: 1, user: 1, conversation, text: 1, kind: Kind::Message, of: None, target: None };
    let mut events = bare(vec![
        Event(1, What::Open { session: 1, client: 1, user, role: Role::Hinted, target: None }),
        Event(BEGIN, begins("it", harmed)),
        Event(acked - 10, send),
        Event(acked, What::Sent { key: 1, version: 1, id: 1 }),
        Event(END, What::FaultEnd { fault: 1, effective: true }),
        Event(90_000, What::Phase(Phase::Final)),
        Event(99_999, What::Phase(Phase::Left)),
    ]);
    if let What::Run(run) = &mut events[0].1 {
        run.targets = vec!["a".to_owned(), "b".to_owned()];
        run.bounds.settle_redis = Some(SETTLE_REDIS);
        run.nemesis = true;
    }
    events.extend(moves.iter().map(|(at, what)| Event(*at, what.clone())));
    let session = if moves.is_empty() { 1 } else { 2 };
    events.push(Event(told, What::Hint { session, topics: vec![(conversation, 1)], wide: false }));
    broken(&events).contains(&Rule::H1)
}

/// The last moment at which it is not late is `due`.
fn is_due(harmed: &Option<Harmed>, acked: Micros, due: Micros) -> bool {
    !late(harmed.clone(), (acked, due), &[]) && late(harmed.clone(), (acked, due + 1), &[])
}

#[test]
fn after_a_fault_of_redis_there_is_more_time_than_after_any_other() {
    for parts in [vec![Part::Notifier], vec![Part::Message], vec![Part::All]] {
        assert!(is_due(&harmed(Deed::Kill, parts, vec![]), AFTER, END + SETTLE));
    }
    assert!(is_due(&harmed(Deed::Kill, vec![Part::Redis], vec![]), AFTER, END + SETTLE_REDIS));
    assert!(is_due(&harmed(Deed::Cut, vec![Part::Notifier, Part::Redis], vec![]), AFTER, END + SETTLE_REDIS));
    assert!(is_due(&harmed(Deed::Cut, vec![Part::Notifier], vec![]), AFTER, END + SETTLE));
    let right_after = END + 500;
    assert!(is_due(&harmed(Deed::Kill, vec![Part::Redis], vec![]), right_after, END + SETTLE_REDIS));
}

/// So that histories of before are judged as they were.
#[test]
fn a_fault_that_does_not_say_what_it_harms_has_the_time_of_all_others() {
    assert!(is_due(&None, AFTER, END + SETTLE));
}

#[test]
fn the_kill_of_a_gateway_counts_from_the_kill_where_another_one_lives() {
    let dead = harmed(Deed::Kill, vec![Part::Gateway], vec![0]);
    assert!(is_due(&dead, BEFORE, BEGIN + SETTLE));
    assert!(is_due(&dead, AFTER, AFTER + SETTLE));
    let both = harmed(Deed::Kill, vec![Part::Gateway], vec![0, 1]);
    assert!(is_due(&both, BEFORE, END + SETTLE));
    let stands = harmed(Deed::Stop, vec![Part::Gateway], vec![0]);
    assert!(is_due(&stands, BEFORE, END + SETTLE), "it keeps its clients");
}

#[test]
fn a_gateway_that_is_asked_to_end_gives_no_more_time() {
    assert!(is_due(&harmed(Deed::End, vec![Part::Gateway], vec![0]), BEFORE, BEFORE + SETTLE));
    assert!(is_due(&harmed(Deed::End, vec![Part::Gateway], vec![0, 1]), BEFORE, END + SETTLE));
    assert!(is_due(&harmed(Deed::End, vec![Part::Message], vec![]), BEFORE, END + SETTLE));
}

#[test]
fn who_comes_back_knows_in_time_what_was_sent_meanwhile() {
    let dead = harmed(Deed::Kill, vec![Part::Gateway], vec![0]);
    let moves = [
        (BEGIN + 1, What::Close { session: 1, code: None }),
        (BEGIN + 500, What::Open { session: 2, client: 1, user: 0, role: Role::Hinted, target: None }),
    ];
    let due = AFTER + SETTLE;
    assert!(!late(dead.clone(), (AFTER, due), &moves));
    assert!(late(dead.clone(), (AFTER, due + 1), &moves));
    assert!(late(dead, (AFTER, 80_000), &moves[..1]), "and so for who does not come back");
}
