//! What is read at the end, corrupted: final logs, and the figures of servers.

use std::collections::HashSet;

use super::choose;
use crate::prove::history::{Event, Moment, Role, What};
use crate::prove::judge::evidence::Evidence;

/// What auditors of a picked conversation got becomes something else, or nothing.
pub(super) fn audits(events: &mut Vec<Event>, pick: u64, change: impl Fn(What) -> Option<What>) -> bool {
    let evidence = Evidence::gather(events);
    let mut logs: Vec<u32> = evidence.logs.keys().copied().collect();
    logs.sort_unstable();
    let auditors: HashSet<u32> = evidence
        .sessions
        .iter()
        .filter(|(_, open)| open.role == Role::Auditor)
        .map(|(number, _)| *number)
        .collect();
    let Some(conversation) = choose(logs, pick) else { return false };
    let mut pulls = HashSet::new();
    for Event(at, what) in std::mem::take(events) {
        if let What::Pull { session, pull, conversation: of, .. } = &what
            && *of == conversation
            && auditors.contains(session)
        {
            pulls.insert((*session, *pull));
        }
        let answer =
            matches!(&what, What::Pulled { session, pull, .. } if pulls.contains(&(*session, *pull)));
        let what = if answer { change(what) } else { Some(what) };
        events.extend(what.map(|what| Event(at, what)));
    }
    true
}

/// A server shows nothing at a moment.
pub(super) fn silent(events: &mut Vec<Event>, then: Moment) -> bool {
    let before = events.len();
    events.retain(|event| !matches!(&event.1, What::Gauges { moment, .. } if *moment == then));
    events.len() < before
}

/// A server shows everything at a moment but one figure.
pub(super) fn no_figure(events: &mut [Event], then: Moment, named: &str) -> bool {
    let mut found = false;
    for event in events {
        if let What::Gauges { moment, values, .. } = &mut event.1
            && *moment == then
        {
            let before = values.len();
            values.retain(|(name, _)| name != named);
            found |= values.len() < before;
        }
    }
    found
}

pub(super) fn gauge(events: &mut [Event], then: Moment, named: &str) -> bool {
    for event in events {
        if let What::Gauges { moment, values, .. } = &mut event.1
            && *moment == then
        {
            for (_, value) in values.iter_mut().filter(|(name, _)| name == named) {
                *value += 3.0;
            }
            return true;
        }
    }
    false
}
