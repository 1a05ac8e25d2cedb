//! Named corruptions of a sound history.

mod end;
mod hints;

use std::collections::HashSet;

use crate::prove::history::{Entry, Event, Kind, Micros, Moment, Phase, Role, What};
use crate::prove::judge::evidence::Evidence;
use crate::prove::judge::verdict::Rule;
use crate::prove::metrics::{FILES, HELD, OLDEST, QUEUE};
use end::{audits, gauge, no_figure, silent};
use hints::{Questions, behind_dead_gateway, doubled, late_hint, missing_hint};

/// Each breaks one promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    LostMessage,
    MissingLog,
    UnfinishedLog,
    TwoAnswers,
    TwoEntries,
    Phantom,
    RefusedAndThere,
    SwappedEntries,
    Gap,
    ChangedEntry,
    GoneAgain,
    OrderAgainstTime,
    StalePull,
    MissingHint,
    MissingHintBehindDeadGateway,
    AskedWithoutAnswer,
    ReaderBehind,
    ForeignHint,
    ForeignPage,
    ContentInHint,
    LateHintAfterRemoval,
    DoubledHints,
    WrongUnread,
    MarkGoesBack,
    ProbeFails,
    ClientMissing,
    ProcessFell,
    QueueNotEmpty,
    SilentAfterT,
    NoFigureAfterT,
    SessionLeaked,
    SilentAtTheEnd,
    NoFigureAtTheEnd,
    NoFigureBefore,
    SendsRefusedInFault,
}

use Corruption as C;

impl Corruption {
    pub const ALL: [Self; 35] = [
        C::LostMessage,
        C::MissingLog,
        C::UnfinishedLog,
        C::TwoAnswers,
        C::TwoEntries,
        C::Phantom,
        C::RefusedAndThere,
        C::SwappedEntries,
        C::Gap,
        C::ChangedEntry,
        C::GoneAgain,
        C::OrderAgainstTime,
        C::StalePull,
        C::MissingHint,
        C::MissingHintBehindDeadGateway,
        C::AskedWithoutAnswer,
        C::ReaderBehind,
        C::ForeignHint,
        C::ForeignPage,
        C::ContentInHint,
        C::LateHintAfterRemoval,
        C::DoubledHints,
        C::WrongUnread,
        C::MarkGoesBack,
        C::ProbeFails,
        C::ClientMissing,
        C::ProcessFell,
        C::QueueNotEmpty,
        C::SilentAfterT,
        C::NoFigureAfterT,
        C::SessionLeaked,
        C::SilentAtTheEnd,
        C::NoFigureAtTheEnd,
        C::NoFigureBefore,
        C::SendsRefusedInFault,
    ];

    /// The rules that must find it: the first one always, the others where nothing else hides them.
    pub const fn fires(self) -> &'static [Rule] {
        match self {
            C::LostMessage | C::MissingLog | C::UnfinishedLog => &[Rule::L1],
            C::TwoAnswers | C::TwoEntries => &[Rule::L2],
            C::Phantom | C::RefusedAndThere => &[Rule::L3],
            C::SwappedEntries | C::Gap | C::ChangedEntry | C::GoneAgain => &[Rule::L4],
            C::OrderAgainstTime => &[Rule::L5],
            C::StalePull => &[Rule::L6],
            C::MissingHint | C::MissingHintBehindDeadGateway | C::AskedWithoutAnswer => &[Rule::H1],
            C::ReaderBehind => &[Rule::H2],
            C::ForeignHint | C::ForeignPage | C::ContentInHint | C::LateHintAfterRemoval => &[Rule::H3],
            C::DoubledHints => &[Rule::H4],
            C::WrongUnread | C::MarkGoesBack => &[Rule::U1],
            C::ProbeFails | C::ClientMissing | C::ProcessFell => &[Rule::V1],
            C::QueueNotEmpty | C::SilentAfterT | C::NoFigureAfterT => &[Rule::V1Queue],
            C::SessionLeaked | C::SilentAtTheEnd | C::NoFigureAtTheEnd | C::NoFigureBefore => &[Rule::V2],
            C::SendsRefusedInFault => &[Rule::V3],
        }
    }

    /// Corrupts at a place that `pick` chooses; `false` where there is nothing to corrupt.
    #[expect(clippy::too_many_lines, reason = "a list: some lines for each corruption")]
    pub fn apply(self, events: &mut Vec<Event>, pick: u64) -> bool {
        match self {
            C::LostMessage => {
                let lost = choose(messages(events), pick);
                everywhere(events, lost, |entry| entry.id += 1)
            }
            C::MissingLog => audits(events, pick, |_| None),
            C::UnfinishedLog => audits(events, pick, |what| {
                let What::Pulled { session, pull, entries, .. } = what else { return None };
                Some(What::Pulled { session, pull, entries, more: true })
            }),
            C::TwoAnswers => {
                let sent = choose(places(events, |what| matches!(what, What::Sent { .. })), pick);
                let Some(What::Sent { key, version, id }) = sent.map(|at| events[at].1.clone()) else {
                    return false;
                };
                insert(events, Phase::Heal, What::Sent { key, version: version + 1, id })
            }
            C::TwoEntries => two_entries(events, pick),
            C::Phantom => {
                let changed = choose(messages(events), pick);
                everywhere(events, changed, |entry| entry.text += 1)
            }
            C::RefusedAndThere => refused(events, pick),
            C::SwappedEntries => page(events, pick, 2, |entries, _| entries.swap(0, 1)),
            C::Gap => page(events, pick, 3, |entries, _| {
                entries.remove(1);
            }),
            C::ChangedEntry => page(events, pick, 1, |entries, at| entries[at].id += 1),
            C::GoneAgain => page(events, pick, 1, |entries, _| {
                let last = *entries.last().unwrap();
                let unheard = Entry { version: last.version + 1_000, ..last };
                *entries = vec![unheard];
            }),
            C::OrderAgainstTime => against_time(events, pick),
            C::StalePull => stale(events, pick),
            C::MissingHintBehindDeadGateway => behind_dead_gateway(events, pick),
            C::MissingHint => missing_hint(events, pick, Questions::Gone),
            C::AskedWithoutAnswer => missing_hint(events, pick, Questions::Stay),
            C::ReaderBehind => one(events, pick, |what| match what {
                What::Knows { version, .. } if *version > 0 => *version -= 1,
                _ => {}
            }),
            C::ForeignHint => stranger(events).is_some_and(|session| {
                insert(events, Phase::Heal, What::Hint { session, topics: vec![(0, 1)], wide: false })
            }),
            C::ForeignPage => stranger(events).is_some_and(|session| {
                let asked = What::Pull { session, pull: 9_999, conversation: 0, after: 0, to: None };
                insert(events, Phase::Heal, asked)
                    && insert(
                        events,
                        Phase::Settle,
                        What::Pulled { session, pull: 9_999, entries: vec![], more: true },
                    )
            }),
            C::ContentInHint => {
                insert(events, Phase::Heal, What::Foreign { session: 1, what: "was sent a text".to_owned() })
            }
            C::LateHintAfterRemoval => late_hint(events, pick),
            C::DoubledHints => doubled(events),
            C::WrongUnread => one(events, pick, |what| {
                if let What::Unread { unread, .. } = what {
                    *unread = -1 - *unread;
                }
            }),
            C::MarkGoesBack => one(events, pick, |what| match what {
                What::Marked { read, .. } if *read > 0 => *read -= 1,
                _ => {}
            }),
            C::ProbeFails => one(events, pick, |what| {
                if let What::Probe { ok, .. } = what {
                    *ok = false;
                }
            }),
            C::ClientMissing => {
                let client =
                    What::Open { session: 9_999, client: 9_999, user: 7, role: Role::Polling, target: None };
                insert(events, Phase::Heal, client)
                    && insert(events, Phase::Settle, What::Close { session: 9_999, code: None })
            }
            C::ProcessFell => {
                let fell = What::Fell { process: "doorbell".to_owned(), how: "ended by itself".to_owned() };
                insert(events, Phase::Heal, fell)
            }
            C::SilentAfterT => silent(events, Moment::Settled),
            C::NoFigureAfterT => no_figure(events, Moment::Settled, OLDEST),
            C::SilentAtTheEnd => silent(events, Moment::Left),
            C::NoFigureAtTheEnd => no_figure(events, Moment::Left, HELD[5]),
            C::NoFigureBefore => no_figure(events, Moment::Before, FILES),
            C::QueueNotEmpty => gauge(events, Moment::Settled, QUEUE[0]),
            C::SessionLeaked => gauge(events, Moment::Left, HELD[1]),
            C::SendsRefusedInFault => refused_in_fault(events),
        }
    }
}

fn choose<T: Clone>(from: Vec<T>, pick: u64) -> Option<T> {
    let index = usize::try_from(pick % (from.len().max(1) as u64)).unwrap();
    from.get(index).cloned()
}

fn places(events: &[Event], wanted: impl Fn(&What) -> bool) -> Vec<usize> {
    (0..events.len()).filter(|at| wanted(&events[*at].1)).collect()
}

/// Changes the picked event of those that `change` changes.
fn one(events: &mut [Event], pick: u64, change: impl Fn(&mut What)) -> bool {
    let changed = |what: &What| {
        let mut copy = what.clone();
        change(&mut copy);
        copy != *what
    };
    let Some(at) = choose(places(events, changed), pick) else { return false };
    change(&mut events[at].1);
    true
}

fn when(events: &[Event], phase: Phase) -> Micros {
    events.iter().find(|event| event.1 == What::Phase(phase)).unwrap().0
}

/// Adds an event right before a phase.
fn insert(events: &mut Vec<Event>, before: Phase, what: What) -> bool {
    let at = when(events, before);
    let index = events.iter().position(|event| event.0 >= at).unwrap();
    events.insert(index, Event(at, what));
    true
}

/// Conversation and version of messages that were acknowledged and never deleted.
fn messages(events: &[Event]) -> Vec<(u32, u64)> {
    let evidence = Evidence::gather(events);
    let mut found: Vec<(u32, u64)> = Vec::new();
    for (conversation, log) in &evidence.logs {
        let kept = log.values().filter(|entry| entry.kind == Kind::Message && !entry.deleted);
        found.extend(kept.map(|entry| (*conversation, entry.version)));
    }
    found.sort_unstable();
    found
}

/// Changes one entry alike in every page that shows it.
fn everywhere(events: &mut [Event], place: Option<(u32, u64)>, change: impl Fn(&mut Entry)) -> bool {
    let Some((conversation, version)) = place else { return false };
    let mut asked = HashSet::new();
    for event in events {
        match &mut event.1 {
            What::Pull { session, pull, conversation: of, .. } if *of == conversation => {
                asked.insert((*session, *pull));
            }
            What::Pulled { session, pull, entries, .. } if asked.contains(&(*session, *pull)) => {
                entries.iter_mut().filter(|entry| entry.version == version).for_each(&change);
            }
            _ => {}
        }
    }
    true
}

/// The last message takes the key and the text of another one.
fn two_entries(events: &mut [Event], pick: u64) -> bool {
    let evidence = Evidence::gather(events);
    let found: Vec<((u32, u64), Entry)> = messages(events)
        .into_iter()
        .filter_map(|(conversation, version)| {
            let log = &evidence.logs[&conversation];
            let other = log.values().find(|other| {
                other.version < version
                    && other.kind == Kind::Message
                    && !other.deleted
                    && other.user == log[&version].user
            })?;
            Some(((conversation, version), *other))
        })
        .collect();
    let Some((place, other)) = choose(found, pick) else { return false };
    everywhere(events, Some(place), |entry| (entry.key, entry.text) = (other.key, other.text))
}

fn refused(events: &mut [Event], pick: u64) -> bool {
    let evidence = Evidence::gather(events);
    // A deleted one has no key that it could be known by.
    let messages: HashSet<(u32, u64)> = messages(events).into_iter().collect();
    let clean = |key: u64| {
        evidence.sends.get(&key).is_some_and(|sending| {
            let single = sending.unsure == 0 && sending.acked.len() == 1;
            single && messages.contains(&(sending.conversation, sending.acked[0].1))
        })
    };
    // One that nobody's L1 stands on: its acknowledgement becomes a refusal.
    let sent = choose(places(events, |what| matches!(what, What::Sent { key, .. } if clean(*key))), pick);
    let Some(at) = sent else { return false };
    let What::Sent { key, .. } = events[at].1 else { return false };
    events[at].1 = What::Refused { key, code: "invalid".to_owned() };
    true
}

/// Changes one page of a reader that has at least that many entries, none of them without content.
fn page(events: &mut [Event], pick: u64, least: usize, change: impl Fn(&mut Vec<Entry>, usize)) -> bool {
    let evidence = Evidence::gather(events);
    let reader =
        |session: &u32| evidence.sessions.get(session).is_some_and(|open| open.role != Role::Auditor);
    // The first page that shows an entry makes it known: a later one is changed, so that somebody disagrees.
    let found = places(
        events,
        |what| matches!(what, What::Pulled { session, entries, .. } if reader(session) && entries.len() >= least && entries.iter().all(|entry| !entry.deleted)),
    );
    let Some(at) = choose(found, pick) else { return false };
    let What::Pulled { entries, .. } = &mut events[at].1 else { return false };
    let place = usize::try_from(pick % entries.len() as u64).unwrap();
    change(entries, place);
    true
}

/// A send goes out only when the one after it in the log was acknowledged.
fn against_time(events: &mut [Event], pick: u64) -> bool {
    let evidence = Evidence::gather(events);
    let acked = |conversation: u32, version: u64| {
        let sends = evidence.sends.values().filter(|sending| sending.conversation == conversation);
        sends
            .filter_map(|sending| sending.acked.first())
            .find(|acked| acked.1 == version)
            .map(|acked| acked.0)
    };
    let mut found = Vec::new();
    for (key, sending) in &evidence.sends {
        let single = sending.times == 1 && sending.acked.len() == 1 && sending.kind == Kind::Message;
        let Some(own) = sending.acked.first().filter(|_| single) else { continue };
        found.extend(acked(sending.conversation, own.1 + 1).map(|next| (*key, next)));
    }
    let Some((key, next)) = choose(found, pick) else { return false };
    for event in events.iter_mut() {
        match &event.1 {
            What::Send { key: of, .. } if *of == key => event.0 = next + 1,
            What::Sent { key: of, .. } if *of == key => event.0 = next + 2,
            _ => {}
        }
    }
    events.sort_by_key(|event| event.0);
    true
}

/// A page ends one entry too early.
fn stale(events: &mut [Event], pick: u64) -> bool {
    let evidence = Evidence::gather(events);
    let acked: HashSet<(u32, u64)> = evidence
        .sends
        .values()
        .filter_map(|sending| Some((sending.conversation, sending.acked.first()?.1)))
        .collect();
    let short: HashSet<(Micros, u32)> = evidence
        .pulls
        .iter()
        .filter(|pull| {
            pull.entries.last().is_some_and(|last| acked.contains(&(pull.conversation, last.version)))
        })
        .filter(|pull| evidence.sessions.get(&pull.session).is_some_and(|open| open.role == Role::Hinted))
        .map(|pull| (pull.answered, pull.session))
        .collect();
    let found = (0..events.len())
        .filter(|at| matches!(&events[*at].1, What::Pulled { session, .. } if short.contains(&(events[*at].0, *session))))
        .collect();
    let Some(at) = choose(found, pick) else { return false };
    let What::Pulled { entries, .. } = &mut events[at].1 else { return false };
    entries.pop();
    true
}

/// A session of the user who is in no conversation.
fn stranger(events: &[Event]) -> Option<u32> {
    let evidence = Evidence::gather(events);
    let last = u32::try_from(evidence.run.users.len()).ok()? - 1;
    evidence
        .sessions
        .iter()
        .filter(|(_, session)| session.user == last)
        .map(|(number, _)| *number)
        .next_back()
}

/// A fault that spares who answers sends, and every send in it is unsure at first.
fn refused_in_fault(events: &mut Vec<Event>) -> bool {
    let (begin, end) = (when(events, Phase::Load), when(events, Phase::Heal));
    let evidence = Evidence::gather(events);
    let alone = !events.iter().any(|event| matches!(event.1, What::FaultBegin { .. }));
    let mut unsure: Vec<Event> = Vec::new();
    for event in events.iter() {
        if let What::Send { key, .. } = event.1 {
            unsure.push(Event(event.0 + 1, What::Unsure { key }));
        }
    }
    if evidence.sends.len() < 100 || !alone {
        return false;
    }
    events.extend(unsure);
    let what = "cut".to_owned();
    events.push(Event(begin, What::FaultBegin { fault: 7_777, what, spares_sends: true, harmed: None }));
    events.push(Event(end, What::FaultEnd { fault: 7_777, effective: true }));
    events.sort_by_key(|event| event.0);
    true
}
