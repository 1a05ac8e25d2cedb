//! What comes too late, too often, or not at all.

use std::collections::HashSet;

use super::{choose, when};
use crate::prove::history::{Deed, Event, Harmed, Micros, Part, Phase, Role, What};
use crate::prove::judge::evidence::Evidence;
use crate::prove::judge::simulator::{SETTLE, WRITERS};

/// What becomes of the questions whose answers are taken away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Questions {
    Stay,
    Gone,
}

/// A session that stays to the end hears nothing more of a conversation from its last change on.
pub(super) fn missing_hint(events: &mut Vec<Event>, pick: u64, questions: Questions) -> bool {
    let evidence = Evidence::gather(events);
    let end = when(events, Phase::Final);
    let mut found = Vec::new();
    for (number, session) in &evidence.sessions {
        for conversation in session.hints.keys() {
            let sends = evidence.sends.values().filter(|sending| sending.conversation == *conversation);
            let last = sends.max_by_key(|sending| sending.acked.first().map(|acked| acked.1));
            let Some(last) = last.filter(|last| session.opened < last.invoked) else { continue };
            let there = session.closed.is_none_or(|closed| closed > end)
                && session.role == Role::Hinted
                && evidence.due(last.acked[0].0) < end
                && evidence.stayed(session.user, *conversation, last.invoked, end);
            if there {
                found.push((*number, *conversation, last.invoked));
            }
        }
    }
    let Some((number, conversation, from)) = choose(found, pick) else { return false };
    let mut pulls = HashSet::new();
    events.retain(|event| match &event.1 {
        What::Hint { session, topics, .. } => {
            event.0 < from || *session != number || topics.iter().all(|(of, _)| *of != conversation)
        }
        What::Ask { session } => event.0 < from || *session != number || questions == Questions::Stay,
        What::Pull { session, pull, conversation: of, .. }
            if event.0 >= from && *session == number && *of == conversation =>
        {
            pulls.insert(*pull);
            questions == Questions::Stay
        }
        What::Pulled { session, pull, .. } => *session != number || !pulls.contains(pull),
        _ => true,
    });
    true
}

/// The same, while one of two gateways is dead until T begins: clients had the other one.
pub(super) fn behind_dead_gateway(events: &mut Vec<Event>, pick: u64) -> bool {
    if events.iter().any(|event| matches!(event.1, What::FaultBegin { .. })) {
        return false;
    }
    let (begin, end) = (when(events, Phase::Load), when(events, Phase::Settle));
    let harmed = Some(Harmed { deed: Deed::Kill, parts: vec![Part::Gateway], targets: vec![0] });
    let what = "kill gateway-1".to_owned();
    let begins = What::FaultBegin { fault: 8_888, what, spares_sends: false, harmed };
    // By the fault's end, T later would be when all have left: nothing to judge.
    events.extend([
        Event(begin, begins),
        Event(end + SETTLE, What::FaultEnd { fault: 8_888, effective: true }),
    ]);
    events.sort_by_key(|event| event.0);
    missing_hint(events, pick, Questions::Gone)
}

/// A hint long after its user was removed.
pub(super) fn late_hint(events: &mut Vec<Event>, pick: u64) -> bool {
    let evidence = Evidence::gather(events);
    let at = when(events, Phase::Settle) + SETTLE / 2;
    let gone = |(user, _): &(u32, u32), removed: Option<Micros>| {
        *user >= WRITERS
            && removed.is_some_and(|removed| {
                removed + 600_000 < at && !evidence.faults.iter().any(|fault| fault.end + 400_000 > removed)
            })
    };
    let mut found: Vec<(u32, u32)> = evidence
        .stays
        .iter()
        .filter(|(place, stays)| gone(place, stays.last().and_then(|stay| stay.removed)))
        .filter_map(|((user, conversation), _)| {
            let of_user = evidence.sessions.iter().filter(|(_, session)| session.user == *user);
            Some((*of_user.map(|(number, _)| number).next_back()?, *conversation))
        })
        .collect();
    found.sort_unstable();
    let Some((session, conversation)) = choose(found, pick) else { return false };
    events.push(Event(at, What::Hint { session, topics: vec![(conversation, 1)], wide: false }));
    events.sort_by_key(|event| event.0);
    true
}

/// Every hint comes four times.
pub(super) fn doubled(events: &mut Vec<Event>) -> bool {
    let evidence = Evidence::gather(events);
    let calm = events
        .iter()
        .filter(|event| matches!(event.1, What::Hint { .. }) && !evidence.troubled(event.0))
        .count();
    let all = std::mem::take(events);
    for event in all {
        let times = if matches!(event.1, What::Hint { .. }) { 4 } else { 1 };
        events.extend(std::iter::repeat_n(event, times));
    }
    calm > 10
}
