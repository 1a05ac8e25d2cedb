use std::collections::BTreeSet;

use proptest::prelude::*;

use super::evidence::Evidence;
use super::simulator;
use super::verdict::{Overall, Rule, Verdict};
use super::{Judgement, judge};
use crate::prove::history::{Bounds, Conversation, Deed, Event, Harmed, Kind, Part, Phase, Role, Run, What};
use crate::prove::metrics::HELD;

mod available;
mod bounds;
mod corrupt;

use corrupt::Corruption;

fn judged(events: &[Event]) -> Judgement {
    let mut sorted = events.to_vec();
    sorted.sort_by_key(|event| event.0);
    judge(&Evidence::gather(&sorted))
}

fn broken(events: &[Event]) -> BTreeSet<Rule> {
    judged(events).broken().collect()
}

#[test]
fn a_run_without_a_fault_breaks_nothing_and_judges_everything_but_v3() {
    let judgement = judged(&simulator::history(1, 400, false));
    assert_eq!(judgement.overall(), Overall::Kept, "{:?}", judgement.invalid);
    for (rule, outcome) in &judgement.rules {
        let wanted = if *rule == Rule::V3 { Verdict::NotJudged } else { Verdict::Holds };
        assert_eq!(outcome.verdict(), wanted, "{rule}");
    }
}

/// Each named corruption fires exactly the rules that it must, on a history that is otherwise sound.
#[test]
fn each_corruption_fires_its_rule_and_no_other() {
    let sound = simulator::history(3, 400, false);
    assert_eq!(broken(&sound), BTreeSet::new());
    for corruption in Corruption::ALL {
        let mut events = sound.clone();
        assert!(corruption.apply(&mut events, 5), "{corruption:?}: nothing to corrupt");
        let wanted: BTreeSet<Rule> = corruption.fires().iter().copied().collect();
        assert_eq!(broken(&events), wanted, "{corruption:?}");
    }
}

#[test]
fn every_rule_has_a_corruption() {
    let fired: BTreeSet<Rule> =
        Corruption::ALL.iter().flat_map(|corruption| corruption.fires()).copied().collect();
    assert_eq!(fired, Rule::ALL.iter().copied().collect());
}

#[test]
fn a_violation_names_what_was_found_and_expected_and_its_events() {
    for corruption in Corruption::ALL {
        let mut events = simulator::history(3, 400, false);
        corruption.apply(&mut events, 5);
        let judgement = judged(&events);
        assert_eq!(judgement.overall().exit_code(), 1);
        for violation in judgement.rules.iter().flat_map(|(_, outcome)| &outcome.violations) {
            assert!(!violation.found.is_empty() && !violation.expected.is_empty(), "{violation:?}");
            assert!(!violation.events.is_empty(), "{violation:?}");
        }
    }
}

#[test]
fn without_metrics_their_rules_are_not_judged() {
    let mut events = simulator::history(1, 100, false);
    events.retain(|event| !matches!(event.1, What::Gauges { .. }));
    let judgement = judged(&events);
    for (rule, outcome) in &judgement.rules {
        if matches!(rule, Rule::V1Queue | Rule::V2) {
            assert_eq!(outcome.verdict(), Verdict::NotJudged);
            assert!(outcome.not_judged.as_ref().is_some_and(|why| why.contains("--metrics-url")));
        }
    }
}

/// A history with nothing but what the test adds.
fn bare(more: Vec<Event>) -> Vec<Event> {
    let bounds = Bounds { settle: 1_000, settle_redis: None, revoke: 100, acked_min: 0 };
    let conversations = vec![Conversation { id: "c".to_owned(), members: vec![0] }];
    let run = Run { users: vec!["u".to_owned()], conversations, bounds, ..Run::default() };
    [vec![Event(0, What::Run(Box::new(run)))], more].concat()
}

/// A fault begins, the first one.
fn begins(what: &str, harmed: Option<Harmed>) -> What {
    What::FaultBegin { fault: 1, what: what.to_owned(), spares_sends: false, harmed }
}

#[test]
fn marks_that_two_sessions_set_at_once_bind_each_other_only_in_their_order() {
    let marked =
        |asked, at, version, read| Event(at, What::Marked { user: 0, conversation: 0, version, read, asked });
    assert_eq!(broken(&bare(vec![marked(10, 30, 43, 43), marked(20, 31, 42, 42)])), BTreeSet::new());
    assert_eq!(
        broken(&bare(vec![marked(10, 30, 43, 43), marked(40, 50, 42, 42)])),
        BTreeSet::from([Rule::U1])
    );
}

#[test]
fn a_hint_after_a_removal_is_excused_by_a_fault_that_fell_into_it_and_by_no_later_one() {
    let fired = |fault: (u64, u64), hint| {
        let (user, conversation) = (0, 0);
        let mut events = vec![
            Event(1, What::Open { session: 1, client: 1, user, role: Role::Hinted, target: None }),
            Event(5_000, What::Removing { user, conversation }),
            Event(5_001, What::Removed { user, conversation }),
            Event(fault.0, begins("stop", None)),
            Event(fault.1, What::FaultEnd { fault: 1, effective: true }),
            Event(hint, What::Hint { session: 1, topics: vec![(0, 1)], wide: false }),
            Event(9_999, What::Phase(Phase::Left)),
        ];
        events.sort_by_key(|event| event.0);
        broken(&bare(events)).contains(&Rule::H3)
    };
    assert!(!fired((1, 2), 5_101) && fired((1, 2), 5_102), "without a fault near, the stated bound alone");
    assert!(!fired((5_050, 5_300), 6_300) && fired((5_050, 5_300), 6_301));
    assert!(fired((5_200, 5_300), 5_310));
}

#[test]
fn removals_are_counted_where_a_late_hint_would_have_shown() {
    let note = |back: Option<u64>, sent: u64| {
        let (user, conversation) = (0, 0);
        let mut events = vec![
            Event(1, What::Open { session: 1, client: 1, user, role: Role::Hinted, target: None }),
            Event(5_000, What::Removing { user, conversation }),
            Event(5_001, What::Removed { user, conversation }),
            Event(
                sent,
                What::Send {
                    key: 1,
                    user: 1,
                    conversation,
                    text: 1,
                    kind: Kind::Message,
                    of: None,
                    target: None,
                },
            ),
            Event(sent + 1, What::Sent { key: 1, version: 1, id: 1 }),
            Event(9_999, What::Phase(Phase::Left)),
        ];
        events.extend(back.map(|at| Event(at, What::Adding { user, conversation })));
        let judgement = judged(&bare(events));
        let (_, outcome) = judgement.rules.into_iter().find(|(rule, _)| *rule == Rule::H3).unwrap();
        outcome.note.unwrap()
    };
    assert_eq!(note(None, 5_102), "1 removals judged");
    assert_eq!(note(None, 5_101), "0 removals judged", "a hint might have come");
    assert_eq!(note(Some(5_500), 5_600), "0 removals judged", "it is let in again");
}

/// Without one of these rules nobody can say that nothing was lost; nor that something was.
#[test]
fn a_run_whose_rules_cannot_be_judged_is_not_judged_and_says_which_and_why() {
    let sound = simulator::history(1, 400, false);
    let open = |events: &[Event]| {
        let judgement = judged(events);
        assert_eq!((judgement.overall(), judgement.overall().exit_code()), (Overall::NotJudged, 2));
        judgement.unjudged().map(|(rule, why)| format!("{rule}: {why}")).collect::<Vec<_>>()
    };

    // The tool was ended while it waited for T.
    let end = sound.iter().position(|event| event.1 == What::Phase(Phase::Final)).unwrap();
    let cut = sound[..end].to_vec();
    let said = open(&cut);
    assert!(said.contains(&"L1: the run did not come to its end".to_owned()), "{said:?}");
    assert!(said.contains(&"H2: the run did not come to its end".to_owned()), "{said:?}");

    // Nobody was hinted, and nobody sent anything.
    let mut idle = sound.clone();
    idle.retain(|event| {
        !matches!(
            event.1,
            What::Send { .. }
                | What::Sent { .. }
                | What::Unsure { .. }
                | What::Hint { .. }
                | What::Marked { .. }
                | What::Unread { .. }
                | What::Knows { .. }
        )
    });
    for event in &mut idle {
        if let What::Pulled { entries, .. } = &mut event.1 {
            entries.clear();
        }
    }
    let said = open(&idle);
    for rule in ["L1: no send", "L2: no send", "L3: no final log", "H1: 0 sends", "H2: no hint-driven reader"]
    {
        assert!(said.iter().any(|why| why.starts_with(rule)), "{rule}: {said:?}");
    }

    let mut nobody_pulled = idle;
    nobody_pulled.retain(|event| !matches!(event.1, What::Pull { .. } | What::Pulled { .. }));
    if let What::Run(run) = &mut nobody_pulled[0].1 {
        run.conversations.clear();
    }
    assert!(open(&nobody_pulled).iter().any(|why| why.starts_with("L4: no final log")));
}

#[test]
fn h1_needs_a_tenth_of_the_sends_that_a_run_needs() {
    let verdict = |acked_min| {
        let mut events = simulator::history(1, 400, false);
        if let What::Run(run) = &mut events[0].1 {
            run.bounds.acked_min = acked_min;
        }
        let judgement = judged(&events);
        judgement.rules.iter().find(|(rule, _)| *rule == Rule::H1).unwrap().1.verdict()
    };
    assert_eq!(verdict(100), Verdict::Holds);
    assert_eq!(verdict(100_000), Verdict::NotJudged);
}

/// A rule that something broke is broken, whatever else could not be judged.
#[test]
fn a_run_that_was_given_up_breaks_what_it_broke_until_then() {
    let sound = simulator::history(1, 400, false);
    let load = sound.iter().position(|event| event.1 == What::Phase(Phase::Heal)).unwrap();
    let mut cut = sound[..load].to_vec();
    let last = cut.iter().rposition(|event| matches!(event.1, What::Sent { .. })).unwrap();
    cut.truncate(last);
    assert_eq!(judged(&cut).overall(), Overall::NotJudged, "a send under way breaks nothing");

    let (process, how) = ("doorbell".to_owned(), "did not start again".to_owned());
    cut.push(Event(cut[last - 1].0, What::Fell { process, how }));
    let judgement = judged(&cut);
    assert_eq!(judgement.overall(), Overall::Lost);
    assert_eq!(judgement.broken().collect::<Vec<_>>(), [Rule::V1]);
}

/// Roles show different figures; each must go on with its own, and one must show each.
#[test]
fn a_figure_that_no_server_ever_shows_is_missed_and_another_role_need_not_show_it() {
    let mut events = simulator::history(1, 100, false);
    let other: Vec<Event> = events
        .iter()
        .filter_map(|event| match &event.1 {
            What::Gauges { moment, values, .. } => {
                let values = values.iter().filter(|(name, _)| name != HELD[0]).cloned().collect();
                Some(Event(event.0, What::Gauges { target: "other".to_owned(), moment: *moment, values }))
            }
            _ => None,
        })
        .collect();
    events.extend(other);
    assert_eq!(broken(&events), BTreeSet::new());

    let mut never = events.clone();
    for event in &mut never {
        if let What::Gauges { values, .. } = &mut event.1 {
            values.retain(|(name, _)| name != HELD[0]);
        }
    }
    assert_eq!(broken(&never), BTreeSet::from([Rule::V2]));

    // One that never answered at all is missed too: the run knows of it.
    if let What::Run(run) = &mut events[0].1 {
        run.metrics = vec!["m".to_owned(), "third".to_owned()];
    }
    assert_eq!(broken(&events), BTreeSet::from([Rule::V1Queue, Rule::V2]));
}

#[test]
fn a_run_that_shows_nothing_is_invalid() {
    let reasons = |events: &[Event]| judged(events).invalid;
    let sound = simulator::history(1, 400, true);
    assert_eq!(reasons(&sound), Vec::<String>::new());

    let mut few = sound.clone();
    if let What::Run(run) = &mut few[0].1 {
        run.bounds.acked_min = 1_000_000;
    }
    assert!(reasons(&few)[0].contains("were acknowledged"));
    assert_eq!(judged(&few).overall().exit_code(), 2);

    let mut idle = sound.clone();
    for event in &mut idle {
        if let What::FaultEnd { effective, .. } = &mut event.1 {
            *effective = false;
        }
    }
    assert!(reasons(&idle)[0].contains("faults were seen to happen"));

    let mut steady = sound.clone();
    let mut seen = BTreeSet::new();
    steady.retain(|event| !matches!(&event.1, What::Open { client, .. } if !seen.insert(*client)));
    assert!(reasons(&steady).iter().any(|reason| reason.contains("no client had to come back")));
    for event in &mut steady {
        if let What::FaultBegin { harmed, .. } = &mut event.1 {
            *harmed = Some(Harmed { deed: Deed::Kill, parts: vec![Part::Redis], targets: Vec::new() });
        }
    }
    assert!(
        reasons(&steady).iter().all(|reason| !reason.contains("come back")),
        "Redis holds no socket of theirs"
    );

    let cut = &sound[..sound.len() / 2];
    assert!(reasons(cut).iter().any(|reason| reason.contains("did not come to its end")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_keeps_every_promise_breaks_no_rule(seed in any::<u64>(), steps in 1_u32..300, faults in any::<bool>()) {
        let events = simulator::history(seed, steps, faults);
        prop_assert_eq!(broken(&events), BTreeSet::new());
    }

    #[test]
    fn one_corruption_fires_its_rule(
        seed in any::<u64>(),
        corruption in prop::sample::select(Corruption::ALL.to_vec()),
        place in any::<u64>(),
        faults in any::<bool>(),
    ) {
        let mut events = simulator::history(seed, 200, faults);
        // Some histories have nothing of the kind: they say nothing.
        prop_assume!(corruption.apply(&mut events, place));
        let fired = broken(&events);
        prop_assert!(fired.contains(&corruption.fires()[0]), "{:?} fired {:?}", corruption, fired);
    }
}
