//! V3: which sends a fault may cost, and whose sessions.

use super::{bare, judged};
use crate::prove::history::{Deed, Event, Harmed, Kind, Micros, Part, Phase, Role, What};
use crate::prove::judge::verdict::{Rule, Verdict};

const BEGIN: Micros = 10_000;
const END: Micros = 50_000;
/// Sends at each of two gateways.
const SENDS: u64 = 150;

/// How V3 comes out where one of two gateways is harmed and `more` happens.
fn verdict(deed: Deed, more: Vec<Event>) -> Verdict {
    let harmed = Harmed { deed, parts: vec![Part::Gateway], targets: vec![0] };
    let spares_sends = harmed.spares_sends();
    let what = "it".to_owned();
    let begins = What::FaultBegin { fault: 1, what, spares_sends, harmed: Some(harmed) };
    let mut events = bare(vec![
        Event(BEGIN, begins),
        Event(END, What::FaultEnd { fault: 1, effective: true }),
        Event(90_000, What::Phase(Phase::Heal)),
    ]);
    if let What::Run(run) = &mut events[0].1 {
        run.targets = vec!["a".to_owned(), "b".to_owned()];
    }
    events.extend(more);
    let rules = judged(&events).rules;
    rules.iter().find(|(rule, _)| *rule == Rule::V3).unwrap().1.verdict()
}

/// As many sends at each gateway, of which those at one are unsure at first.
fn sends(unsure_at: u32) -> Vec<Event> {
    let mut events = Vec::new();
    for key in 0..2 * SENDS {
        let (at, target) = (BEGIN + 10 * (key + 1), u32::try_from(key % 2).unwrap());
        let (conversation, of) = (0, None);
        let kind = Kind::Message;
        let send = What::Send { key, user: 0, conversation, text: 1, kind, of, target: Some(target) };
        events.push(Event(at, send));
        if target == unsure_at {
            events.push(Event(at + 1, What::Unsure { key }));
        }
        events.push(Event(at + 2, What::Sent { key, version: key + 1, id: key }));
    }
    events
}

#[test]
fn a_gateway_that_is_killed_or_stands_excuses_sends_by_way_of_it_and_no_others() {
    for deed in [Deed::Kill, Deed::Stop] {
        assert_eq!(verdict(deed, sends(0)), Verdict::Holds, "{deed:?}");
        assert_eq!(verdict(deed, sends(1)), Verdict::Broken, "{deed:?}");
    }
    for deed in [Deed::Cut, Deed::End] {
        assert_eq!(verdict(deed, sends(0)), Verdict::Broken, "{deed:?}: it passes sends on");
    }
}

#[test]
fn who_moves_from_a_gateway_that_is_asked_to_end_is_never_without_a_session() {
    let moved = |deed, opened, closed| {
        let (client, user, role) = (1, 0, Role::Hinted);
        let open = |session, target| What::Open { session, client, user, role, target: Some(target) };
        let moves = vec![
            Event(1, open(1, 0)),
            Event(opened, open(2, 1)),
            Event(closed, What::Close { session: 1, code: None }),
        ];
        verdict(deed, moves)
    };
    assert_eq!(moved(Deed::End, BEGIN + 5, BEGIN + 6), Verdict::Holds);
    assert_eq!(moved(Deed::End, BEGIN + 6, BEGIN + 5), Verdict::Broken);
    assert_eq!(moved(Deed::Kill, BEGIN + 6, BEGIN + 5), Verdict::NotJudged, "nobody was told");
}
