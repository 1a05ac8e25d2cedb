//! Judges a history: pure, offline, one pass over the events and then hash maps and binary searches.
//!
//! Map: [`verdict`] what is answered; [`evidence`] the events in the order in which rules ask for them; one file or function
//! a rule: [`log`] L1, L2, L3; [`order`] L4; [`clock`] L5, L6; [`hints`] H1; [`end_state`] H2; [`audience`] H3; [`repeats`] H4;
//! [`unread`] U1; [`service`] V1; [`available`] V3; [`figures`] V1q, V2; [`validity`] whether the run can show anything; [`latency`] how long hints took.

mod audience;
mod available;
mod clock;
mod end_state;
pub mod evidence;
mod figures;
mod hints;
pub mod latency;
mod log;
mod order;
mod repeats;
mod service;
#[cfg(test)]
pub(super) mod simulator;
#[cfg(test)]
mod tests;

mod unread;
mod validity;
pub mod verdict;

use evidence::Evidence;
use verdict::{Judgement, Outcome, Rule};

/// Judges a whole history, as [`super::history::read`] gives it: in the order of time, the run first.
#[must_use]
pub fn judge(evidence: &Evidence) -> Judgement {
    let rules = Rule::ALL.iter().map(|rule| (*rule, apply(*rule, evidence))).collect();
    Judgement {
        rules,
        invalid: validity::reasons(evidence),
        counts: validity::counts(evidence),
        latency: latency::of(evidence),
    }
}

fn apply(rule: Rule, evidence: &Evidence) -> Outcome {
    match rule {
        Rule::L1 => log::kept(evidence),
        Rule::L2 => log::once(evidence),
        Rule::L3 => log::no_phantom(evidence),
        Rule::L4 => order::one_order(evidence),
        Rule::L5 => clock::real_time(evidence),
        Rule::L6 => clock::fresh(evidence),
        Rule::H1 => hints::hinted(evidence),
        Rule::H2 => end_state::hinted_enough(evidence),
        Rule::H3 => audience::authorised(evidence),
        Rule::H4 => repeats::bounded(evidence),
        Rule::U1 => unread::counted(evidence),
        Rule::V1 => service::alive(evidence),
        Rule::V1Queue => figures::queue_empty(evidence),
        Rule::V2 => figures::nothing_left(evidence),
        Rule::V3 => available::available(evidence),
    }
}
