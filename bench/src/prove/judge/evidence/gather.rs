//! The one pass over the events.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Evidence, Marking, Pulling, Sending, Session, Stay, Window};
use crate::prove::history::{Entry, Event, Harmed, Micros, Phase, Role, Run, What};

/// A pull that waits for its page: when it went out, its conversation, after, to.
type Open = (Micros, u32, u64, Option<u64>);

#[derive(Default)]
struct Pass {
    pulls: HashMap<(u32, u32), Open>,
    faults: HashMap<u32, usize>,
    clients: HashSet<u32>,
}

impl<'a> Evidence<'a> {
    /// Gathers a history in the order of time.
    #[must_use]
    pub fn gather(events: &'a [Event]) -> Self {
        let mut all = Self { end: events.last().map_or(0, |event| event.0), ..Self::default() };
        let mut pass = Pass::default();
        for Event(at, what) in events {
            all.take(*at, what, &mut pass);
        }
        for fault in &mut all.faults {
            fault.end = fault.end.min(all.end);
        }
        all.faults.sort_by_key(|fault| fault.begin);
        let after: Vec<After> = all.faults.iter().map(|fault| After::of(&all, fault)).collect();
        for (fault, After { elsewhere, well, calm }) in all.faults.iter_mut().zip(after) {
            (fault.elsewhere, fault.well, fault.calm) = (elsewhere, well, calm);
        }
        (all.logs, all.unread_logs) = final_logs(&all);
        all
    }

    fn take(&mut self, at: Micros, what: &'a What, pass: &mut Pass) {
        match what {
            What::Run(run) => self.begin((**run).clone()),
            What::Phase(phase) => {
                self.phases.insert(*phase, at);
            }
            What::Send { .. } | What::Sent { .. } | What::Refused { .. } | What::Unsure { .. } => {
                self.take_send(at, what);
            }
            What::Open { .. }
            | What::Close { .. }
            | What::Hint { .. }
            | What::Foreign { .. }
            | What::Ask { .. }
            | What::Asked { .. } => self.take_session(at, what, pass),
            What::Pull { .. } | What::Pulled { .. } | What::PullRefused { .. } => {
                self.take_pull(at, what, pass);
            }
            What::Adding { .. } | What::Added { .. } | What::Removing { .. } | What::Removed { .. } => {
                self.take_stay(at, what);
            }
            What::FaultBegin { .. } | What::FaultEnd { .. } => self.take_fault(at, what, pass),
            What::Denied { .. } => self.denied += 1,
            What::Marked { user, conversation, version, read, asked } => {
                let (user, conversation, version, read) = (*user, *conversation, *version, *read);
                self.marks.push(Marking { asked: *asked, answered: at, user, conversation, version, read });
            }
            What::Knows { client, user, conversation, version } => {
                self.known.push((at, *client, *user, *conversation, *version));
            }
            What::Unread { user, conversation, read, unread } => {
                self.unread.push((at, *user, *conversation, *read, *unread));
            }
            What::Probe { what, ok, said } => self.probes.push((at, what, *ok, said)),
            What::Gauges { target, moment, values } => {
                let values = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                self.gauges.push((*moment, target, values));
            }
            What::NoGauges { target, moment, why } => self.silent.push((at, *moment, target, why)),
            What::Fell { process, how } => self.fallen.push((at, process, how)),
        }
    }

    fn begin(&mut self, run: Run) {
        for (conversation, members) in (0..).zip(run.conversations.iter().map(|known| &known.members)) {
            for user in members {
                let stay = Stay { adding: 0, added: Some(0), removing: None, removed: None };
                self.stays.insert((*user, conversation), vec![stay]);
            }
        }
        self.run = run;
    }

    fn take_send(&mut self, at: Micros, what: &What) {
        if let What::Send { key, user, conversation, text, kind, of, target } = what {
            let sending = self.sends.entry(*key).or_insert_with(|| Sending {
                user: *user,
                conversation: *conversation,
                text: *text,
                kind: *kind,
                of: *of,
                invoked: at,
                times: 0,
                acked: Vec::new(),
                refused: None,
                unsure: 0,
                target: *target,
            });
            sending.times += 1;
            return;
        }
        let (What::Sent { key, .. } | What::Refused { key, .. } | What::Unsure { key }) = what else {
            return;
        };
        let Some(sending) = self.sends.get_mut(key) else { return };
        match what {
            What::Sent { version, id, .. } => sending.acked.push((at, *version, *id)),
            What::Refused { code, .. } => {
                sending.refused.get_or_insert_with(|| (at, code.clone()));
            }
            _ => sending.unsure += 1,
        }
    }

    fn take_session(&mut self, at: Micros, what: &'a What, pass: &mut Pass) {
        if let What::Open { session, client, user, role, target } = what {
            // Hostile ones are thrown out for what they do, fault or not.
            if !pass.clients.insert(*client) && *role != Role::Hostile {
                self.reconnects += 1;
            }
            self.sessions.insert(*session, Session::opened((*client, *user, *role), *target, at));
            return;
        }
        match what {
            What::Foreign { session, what } => self.foreign.push((at, *session, what)),
            What::Close { session, .. } => {
                if let Some(open) = self.sessions.get_mut(session) {
                    open.closed = Some(at);
                }
            }
            What::Asked { session, topics } => {
                if let Some(open) = self.sessions.get_mut(session) {
                    for (conversation, version) in topics {
                        open.answers.entry(*conversation).or_default().push((at, *version));
                    }
                }
            }
            What::Hint { session, topics, wide } => {
                let Some(open) = self.sessions.get_mut(session) else { return };
                if *wide {
                    open.wide.push(at);
                }
                for (conversation, version) in topics {
                    open.hints.entry(*conversation).or_default().push((at, *version));
                }
            }
            _ => {}
        }
    }

    fn take_pull(&mut self, at: Micros, what: &'a What, pass: &mut Pass) {
        match what {
            What::Pull { session, pull, conversation, after, to } => {
                pass.pulls.insert((*session, *pull), (at, *conversation, *after, *to));
                if let Some(open) = self.sessions.get_mut(session) {
                    open.pulled.insert(*conversation);
                }
            }
            What::Pulled { session, pull, entries, more } => {
                let Some((invoked, conversation, after, to)) = pass.pulls.remove(&(*session, *pull)) else {
                    return;
                };
                let (session, answered, more) = (*session, at, *more);
                if let Some(open) = self.sessions.get_mut(&session) {
                    let reached = entries.iter().map(|entry| entry.version).max().unwrap_or(after);
                    open.answers.entry(conversation).or_default().push((at, reached));
                }
                self.pulls.push(Pulling {
                    session,
                    conversation,
                    invoked,
                    answered,
                    after,
                    to,
                    entries,
                    more,
                });
            }
            What::PullRefused { session, pull, code } => {
                if let Some((_, conversation, ..)) = pass.pulls.remove(&(*session, *pull)) {
                    self.refused_pulls.push((at, *session, conversation, code));
                }
            }
            _ => {}
        }
    }

    fn take_stay(&mut self, at: Micros, what: &What) {
        let (What::Adding { user, conversation }
        | What::Added { user, conversation }
        | What::Removing { user, conversation }
        | What::Removed { user, conversation }) = what
        else {
            return;
        };
        let stays = self.stays.entry((*user, *conversation)).or_default();
        // Asked again while the answer is not there: the same stay.
        if matches!(what, What::Adding { .. }) && stays.last().is_none_or(|stay| stay.removed.is_some()) {
            stays.push(Stay { adding: at, added: None, removing: None, removed: None });
        }
        let Some(stay) = stays.last_mut() else { return };
        match what {
            What::Added { .. } => stay.added.get_or_insert(at),
            What::Removing { .. } => stay.removing.get_or_insert(at),
            What::Removed { .. } => stay.removed.get_or_insert(at),
            _ => return,
        };
    }

    fn take_fault(&mut self, at: Micros, what: &What, pass: &mut Pass) {
        match what {
            What::FaultBegin { fault, what, spares_sends, harmed } => {
                pass.faults.insert(*fault, self.faults.len());
                self.faults.push(Window {
                    begin: at,
                    end: Micros::MAX,
                    what: what.clone(),
                    spares_sends: *spares_sends,
                    effective: false,
                    harmed: harmed.clone(),
                    elsewhere: false,
                    well: Micros::MAX,
                    calm: Micros::MAX,
                });
            }
            What::FaultEnd { fault, effective } => {
                if let Some(window) = pass.faults.get(fault).and_then(|index| self.faults.get_mut(*index)) {
                    window.end = at;
                    window.effective = *effective;
                }
            }
            _ => {}
        }
    }
}

impl Session {
    fn opened((client, user, role): (u32, u32, Role), target: Option<u32>, at: Micros) -> Self {
        Self {
            client,
            user,
            role,
            target,
            opened: at,
            closed: None,
            hints: HashMap::new(),
            wide: Vec::new(),
            answers: HashMap::new(),
            pulled: HashSet::new(),
        }
    }
}

/// What is promised of a fault.
struct After {
    elsewhere: bool,
    well: Micros,
    calm: Micros,
}

impl After {
    fn of(evidence: &Evidence, fault: &Window) -> Self {
        let bounds = evidence.run.bounds;
        let is = |of: fn(&Harmed) -> bool| fault.harmed.as_ref().is_some_and(of);
        let redis = bounds.settle_redis.filter(|_| is(Harmed::is_redis));
        let settle = redis.unwrap_or(bounds.settle);
        let elsewhere = another_lives(evidence, fault, settle);
        let calm = fault.end.saturating_add(settle);
        let well = if elsewhere && is(Harmed::is_drain) {
            fault.begin
        } else if elsewhere && is(Harmed::is_killed_gateway) {
            fault.begin.saturating_add(settle)
        } else {
            calm
        };
        Self { elsewhere, well, calm }
    }
}

/// Whether clients had an address that nothing was done to, from the beginning of a fault until T after it.
fn another_lives(evidence: &Evidence, fault: &Window, settle: Micros) -> bool {
    let until = fault.begin.saturating_add(settle);
    let on = evidence.faults.iter().filter(|other| other.begin <= until && other.end >= fault.begin);
    let harmed: HashSet<u32> =
        on.filter_map(|other| other.harmed.as_ref()).flat_map(|harmed| &harmed.targets).copied().collect();
    (0..).zip(&evidence.run.targets).any(|(target, _)| !harmed.contains(&target))
}

/// What logs are made of: of each conversation its entries, and who did not come to its end.
type Logs = (HashMap<u32, BTreeMap<u64, Entry>>, Vec<(u32, u32)>);

/// Each conversation's log, from the pulls of an auditor who came to its end, and the auditors who came to none. Where two
/// logs differ, L4 says so.
fn final_logs(evidence: &Evidence) -> Logs {
    let from = evidence.at(Phase::Final);
    let auditor = |session: u32| evidence.sessions.get(&session).filter(|open| open.role == Role::Auditor);
    let mut pulled: BTreeMap<(u32, u32), (BTreeMap<u64, Entry>, bool)> = BTreeMap::new();
    for pull in evidence.pulls.iter().filter(|pull| pull.invoked >= from && auditor(pull.session).is_some()) {
        let (log, whole) = pulled.entry((pull.conversation, pull.session)).or_default();
        log.extend(pull.entries.iter().map(|entry| (entry.version, *entry)));
        *whole = !pull.more;
    }
    pulled.retain(|_, (_, whole)| *whole);
    let user = |session: u32| auditor(session).map(|open| open.user);
    let read: HashSet<(u32, u32)> =
        pulled.keys().filter_map(|(conversation, session)| Some((user(*session)?, *conversation))).collect();
    let begun = evidence.sessions.values().filter(|open| open.role == Role::Auditor);
    let begun: BTreeSet<(u32, u32)> =
        begun.flat_map(|open| open.pulled.iter().map(|conversation| (open.user, *conversation))).collect();
    let unread = begun.into_iter().filter(|audit| !read.contains(audit)).collect();
    (pulled.into_iter().map(|((conversation, _), (log, _))| (conversation, log)).collect(), unread)
}
