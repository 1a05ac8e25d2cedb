//! V1, V2, V3: whether the server is well afterwards, and was there meanwhile.

use std::collections::{BTreeMap, HashMap};

use super::evidence::{Evidence, Window};
use super::log::sent;
use super::verdict::{Outcome, Violation};
use crate::prove::history::{Micros, Moment, Phase, Role};
use crate::prove::metrics::{BEGUN, CACHES, DEAD_LETTERS, FILES, HELD, OLDEST, QUEUE, RESIDENT};

/// A claim's lease: nothing waits longer in a queue that is served.
const LEASE_SECONDS: f64 = 5.0;
/// Files that a store may open beyond those of its beginning.
const FILES_FREE: f64 = 32.0;
/// Memory that a store may fill whatever clients do: its write buffers and block cache.
const STORE_BYTES: f64 = 96.0 * 1024.0 * 1024.0;
/// Fewer sends in a window say nothing about one in a hundred.
const SENDS_MIN: usize = 100;

const NO_METRICS: &str = "no --metrics-url was given, or it did not answer";

/// V1: what must work again works.
pub fn alive(evidence: &Evidence) -> Outcome {
    if evidence.probes.is_empty() {
        return Outcome::not_judged("the run did not come to its end");
    }
    let mut outcome = Outcome::default();
    for (at, what, ok, said) in &evidence.probes {
        outcome.look();
        if !ok {
            outcome.broken(|| Violation {
                found: format!("{what}: {said}"),
                expected: "it works at once, once T is over".to_owned(),
                events: vec![
                    (evidence.at(Phase::Settle), "the wait of T begins".to_owned()),
                    (*at, (*what).to_owned()),
                ],
            });
        }
    }
    missing(evidence, &mut outcome);
    unanswered(evidence, &mut outcome);
    outcome
}

/// Readers that once had a session and have none when T is over.
fn missing(evidence: &Evidence, outcome: &mut Outcome) {
    let at = evidence.at(Phase::Final);
    let mut clients: BTreeMap<u32, (Option<Micros>, u32)> = BTreeMap::new();
    for session in
        evidence.sessions.values().filter(|session| matches!(session.role, Role::Hinted | Role::Polling))
    {
        if session.opened > at {
            continue;
        }
        // In the order of their numbers: the last one counts.
        let closed = session.closed.filter(|closed| *closed <= at);
        clients.insert(session.client, (closed, session.user));
    }
    for (client, (closed, user)) in clients {
        outcome.look();
        if let Some(closed) = closed {
            outcome.broken(|| Violation {
                found: format!("client {client} ({}) has no session", evidence.user(user)),
                expected: "every client is back once T is over".to_owned(),
                events: vec![(closed, "its last session ended".to_owned()), (at, "T is over".to_owned())],
            });
        }
    }
}

/// Sends that were asked about until the end, and nobody said what became of them.
fn unanswered(evidence: &Evidence, outcome: &mut Outcome) {
    for (key, sending) in &evidence.sends {
        if sending.acked.is_empty() && sending.refused.is_none() {
            outcome.broken(|| Violation {
                found: format!("nobody knows what became of key {key}, sent {} times", sending.times),
                expected: "an answer, once faults are over".to_owned(),
                events: vec![(sending.invoked, sent(evidence, *key, sending))],
            });
        }
    }
}

/// V1's part that metrics show: the queue is empty.
pub fn queue_empty(evidence: &Evidence) -> Outcome {
    let settled = at(evidence, Moment::Settled);
    if settled.is_empty() {
        return Outcome::not_judged(NO_METRICS);
    }
    let before = at(evidence, Moment::Before);
    let mut outcome = Outcome::default();
    for (target, values) in settled {
        let same = before.get(target).filter(|before| before.get(BEGUN) == values.get(BEGUN));
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
    let (before, left) = (at(evidence, Moment::Before), at(evidence, Moment::Left));
    if before.is_empty() || left.is_empty() {
        return Outcome::not_judged(NO_METRICS);
    }
    let warm = at(evidence, Moment::Warm);
    let mut outcome = Outcome::default();
    for (target, values) in left {
        let Some(before) = before.get(target) else { continue };
        let held = HELD.iter().map(|name| (*name, before.get(name).copied().unwrap_or(0.0)));
        let files = before.get(FILES).map(|files| (FILES, files + FILES_FREE));
        let bounds = held.chain(files).map(|(name, bound)| {
            (name, before.get(name).copied().unwrap_or(0.0), bound, values.get(name).copied())
        });
        compare(evidence, &mut outcome, target, Phase::Left, bounds);
        // Memory is compared with what the same process had when all clients were there and nothing was sent yet.
        match warm.get(target).filter(|warm| warm.get(BEGUN) == values.get(BEGUN)) {
            Some(warm) => {
                let memory = warm.get(RESIDENT).copied().unwrap_or(0.0);
                let bound = 1.1 * memory + (caches(values) - caches(warm)).max(0.0) + STORE_BYTES;
                compare(
                    evidence,
                    &mut outcome,
                    target,
                    Phase::Left,
                    [(RESIDENT, memory, bound, values.get(RESIDENT).copied())],
                );
            }
            None => outcome.not_judged = Some("memory: the process was started again in between".to_owned()),
        }
    }
    outcome
}

/// V3: while a fault spares who answers sends, they are acknowledged.
pub fn available(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::default();
    for fault in evidence.faults.iter().filter(|fault| fault.spares_sends && alone(evidence, fault)) {
        let within =
            evidence.sends.values().filter(|sending| (fault.begin..fault.end).contains(&sending.invoked));
        let (mut sent, mut kept) = (0_usize, 0_usize);
        for sending in within {
            sent += 1;
            kept += usize::from(sending.unsure == 0 && !sending.acked.is_empty());
        }
        if sent < SENDS_MIN {
            continue;
        }
        outcome.look();
        if kept * 100 < sent * 99 {
            outcome.broken(|| Violation {
                found: format!("{kept} of {sent} sends were acknowledged at once"),
                expected: "99 of 100, because the fault spares who answers them".to_owned(),
                events: vec![
                    (fault.begin, format!("begins: {}", fault.what)),
                    (fault.end, "ends".to_owned()),
                ],
            });
        }
    }
    if outcome.checked == 0 {
        outcome.not_judged =
            Some(format!("no fault stood alone, spared who answers sends, and saw {SENDS_MIN} of them"));
    }
    outcome
}

fn alone(evidence: &Evidence, fault: &Window) -> bool {
    let overlapping = |other: &&Window| other.begin < fault.end && fault.begin < other.end;
    evidence.faults.iter().filter(overlapping).count() == 1
}

fn at<'a>(evidence: &'a Evidence, moment: Moment) -> HashMap<&'a str, &'a HashMap<&'a str, f64>> {
    let gauges = evidence.gauges.iter().filter(|(then, ..)| *then == moment);
    gauges.map(|(_, target, values)| (*target, values)).collect()
}

fn caches(values: &HashMap<&str, f64>) -> f64 {
    CACHES.iter().filter_map(|name| values.get(name)).sum()
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
