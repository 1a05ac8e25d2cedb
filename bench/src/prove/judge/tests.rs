use std::collections::BTreeSet;

use proptest::prelude::*;

use super::evidence::Evidence;
use super::simulator;
use super::verdict::{Overall, Rule, Verdict};
use super::{Judgement, judge};
use crate::prove::history::{Event, What};

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
