//! V1q, V2: what the metrics of each server say.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::evidence::Evidence;
use super::log::UNFINISHED;
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Micros, Moment, Phase};
use crate::prove::metrics::{BEGUN, CACHES, DEAD_LETTERS, FILES, HELD, OLDEST, QUEUE, RESIDENT};

/// A claim's lease: nothing waits longer in a queue that is served.
const LEASE_SECONDS: f64 = 5.0;
/// Files that a store may open beyond those of its beginning.
const FILES_FREE: f64 = 32.0;
/// Connections to and from each other server, which are made when they are first needed, and kept.
const FILES_A_SERVER: f64 = 2.0;
/// Memory that a store may fill whatever clients do: its write buffers and block cache.
const STORE_BYTES: f64 = 96.0 * 1024.0 * 1024.0;

const NO_METRICS: &str = "no --metrics-url was given";

type Values<'a> = HashMap<&'a str, f64>;

/// V1's part that metrics show: the queue is empty.
pub fn queue_empty(evidence: &Evidence) -> Outcome {
    let figures = match Figures::of(evidence) {
        Ok(figures) => figures,
        Err(why) => return Outcome::unknown(why),
    };
    let mut outcome = Outcome::default();
    let needed: Vec<&str> = QUEUE.into_iter().chain([OLDEST, DEAD_LETTERS]).collect();
    figures.demand(&mut outcome, Moment::Settled, &needed);
    for (target, values) in figures.at(Moment::Settled) {
        let before = figures.of_target(Moment::Before, target);
        let same = before.filter(|before| before.get(BEGUN) == values.get(BEGUN));
        let given_up_before = same.and_then(|before| before.get(DEAD_LETTERS)).copied().unwrap_or(0.0);
        let bounds = QUEUE.iter().map(|name| (*name, 0.0));
        let bounds = bounds.chain([(OLDEST, LEASE_SECONDS), (DEAD_LETTERS, given_up_before)]);
        let found = bounds.map(|(name, bound)| (name, bound, bound, values.get(name).copied()));
        compare(evidence, &mut outcome, target, Phase::Final, found);
    }
    outcome
}

/// V2: after the last client everything is as it was before the first.
pub fn nothing_left(evidence: &Evidence) -> Outcome {
    let figures = match Figures::of(evidence) {
        Ok(figures) => figures,
        Err(why) => return Outcome::unknown(why),
    };
    let mut outcome = Outcome::default();
    let needed: Vec<&str> = HELD.into_iter().chain([FILES, RESIDENT, BEGUN]).collect();
    figures.demand(&mut outcome, Moment::Before, &needed);
    figures.demand(&mut outcome, Moment::Warm, &[RESIDENT, BEGUN]);
    figures.demand(&mut outcome, Moment::Left, &needed);
    let others = u32::try_from(figures.targets.len() - 1).unwrap_or(u32::MAX);
    let files_free = FILES_FREE + FILES_A_SERVER * f64::from(others);
    for (target, values) in figures.at(Moment::Left) {
        // Without a beginning there is nothing to compare with: that it is missing has been said.
        let Some(before) = figures.of_target(Moment::Before, target) else { continue };
        let held = HELD.iter().filter_map(|name| Some((*name, *before.get(name)?)));
        let files = before.get(FILES).map(|files| (FILES, files + files_free));
        let bounds = held.chain(files).map(|(name, bound)| {
            (name, before.get(name).copied().unwrap_or(0.0), bound, values.get(name).copied())
        });
        compare(evidence, &mut outcome, target, Phase::Left, bounds);
        let Some(warm) = figures.of_target(Moment::Warm, target) else { continue };
        memory(evidence, &mut outcome, target, (warm, values));
    }
    outcome
}

/// Memory is compared with what the same process had when all clients were there and nothing was sent yet.
fn memory(evidence: &Evidence, outcome: &mut Outcome, target: &str, (warm, left): (&Values, &Values)) {
    if warm.get(BEGUN) != left.get(BEGUN) {
        outcome.note =
            Some("memory of a process that was started again in between was not judged".to_owned());
        return;
    }
    let Some(memory) = warm.get(RESIDENT).copied() else { return };
    let bound = 1.1 * memory + (caches(left) - caches(warm)).max(0.0) + STORE_BYTES;
    let found = [(RESIDENT, memory, bound, left.get(RESIDENT).copied())];
    compare(evidence, outcome, target, Phase::Left, found);
}

fn caches(values: &Values) -> f64 {
    CACHES.iter().filter_map(|name| values.get(name)).sum()
}

/// All figures of a run that came to its end.
struct Figures<'a> {
    evidence: &'a Evidence<'a>,
    /// Everybody who should have shown some: in order.
    targets: BTreeSet<&'a str>,
    values: HashMap<(Moment, &'a str), &'a Values<'a>>,
}

impl<'a> Figures<'a> {
    /// Answers why there are none, where nothing can be said of them.
    fn of(evidence: &'a Evidence<'a>) -> Result<Self, &'static str> {
        if !evidence.whole() {
            return Err(UNFINISHED);
        }
        let values: HashMap<(Moment, &str), &Values> =
            evidence.gauges.iter().map(|(moment, target, values)| ((*moment, *target), values)).collect();
        let targets: BTreeSet<&str> = evidence.run.metrics.iter().map(String::as_str).collect();
        let targets: BTreeSet<&str> = values.keys().map(|(_, target)| *target).chain(targets).collect();
        if targets.is_empty() {
            return Err(NO_METRICS);
        }
        Ok(Self { evidence, targets, values })
    }

    fn of_target(&self, moment: Moment, target: &'a str) -> Option<&'a Values<'a>> {
        self.values.get(&(moment, target)).copied()
    }

    fn at(&self, moment: Moment) -> impl Iterator<Item = (&'a str, &'a Values<'a>)> {
        self.targets.iter().filter_map(move |target| Some((*target, self.of_target(moment, target)?)))
    }

    /// A server that shows nothing, or not what is needed, is not well: a figure that is not there is not zero. Roles show
    /// different ones, so each must show what it ever showed, and one server at least each of them.
    fn demand(&self, outcome: &mut Outcome, moment: Moment, needed: &[&str]) {
        for target in &self.targets {
            let Some(values) = self.of_target(moment, target) else {
                self.absent(outcome, moment, format!("{target} shows no metrics"), self.why(moment, target));
                continue;
            };
            let others = self.values.iter().filter(|((_, of), _)| of == target);
            let ever: HashSet<&str> = others.flat_map(|(_, values)| values.keys().copied()).collect();
            for name in needed.iter().filter(|name| ever.contains(**name) && !values.contains_key(**name)) {
                self.absent(outcome, moment, format!("{target} shows no `{name}`"), "it did at another time");
            }
        }
        for name in needed {
            if !self.values.values().any(|values| values.contains_key(name)) {
                self.absent(outcome, moment, format!("no server shows `{name}`"), "it is needed");
            }
        }
    }

    fn why(&self, moment: Moment, target: &str) -> &'a str {
        let silent = self.evidence.silent.iter().find(|(_, then, of, _)| *then == moment && *of == target);
        silent.map_or("nothing was written down", |(.., why)| why)
    }

    fn absent(&self, outcome: &mut Outcome, moment: Moment, found: String, why: &str) {
        let (phase, when) = match moment {
            Moment::Before => (Phase::WarmUp, "before the first client"),
            Moment::Warm => (Phase::Load, "with all clients, before the load"),
            Moment::Settled => (Phase::Final, "after T"),
            Moment::Left => (Phase::Left, "after the last client"),
        };
        outcome.look();
        outcome.broken(|| Violation {
            found: format!("{found} {when}: {why}"),
            expected: "a figure to judge by".to_owned(),
            events: vec![(self.evidence.at(phase), when.to_owned())],
        });
    }
}

/// Each figure with what it was, what it may be, and what it is.
fn compare<'a>(
    evidence: &Evidence,
    outcome: &mut Outcome,
    target: &str,
    phase: Phase,
    figures: impl IntoIterator<Item = (&'a str, f64, f64, Option<f64>)>,
) {
    for (name, before, bound, value) in figures {
        // What is missing has been said.
        let Some(value) = value else { continue };
        outcome.look();
        if value > bound {
            let at: Micros = evidence.at(phase);
            outcome.broken(|| Violation {
                found: format!("`{name}` of {target} is {value}"),
                expected: format!("at most {bound:.0}"),
                events: vec![(0, format!("it was {before}")), (at, format!("it is {value}"))],
            });
        }
    }
}
