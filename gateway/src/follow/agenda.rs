//! What is to be asked for which user: one ask at a time for each, and what comes meanwhile goes into the next.

use std::collections::{BTreeMap, HashMap};

use doorbell_protocol::UserId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A place in the order of due times; the number tells equal times apart.
type Place = (Instant, u64);

#[cfg_attr(test, derive(Clone))]
struct Slot<W> {
    /// What the next ask is for; `None` while nothing is wanted but an ask is under way.
    wanted: Option<W>,
    /// When the next ask is due.
    place: Option<Place>,
    under_way: bool,
    failures: u32,
}

#[cfg_attr(test, derive(Clone))]
struct State<W> {
    users: HashMap<UserId, Slot<W>>,
    due: BTreeMap<Place, UserId>,
    numbers: u64,
}

/// An ask that is due. It must be ended by [`Agenda::done`] or [`Agenda::failed`].
#[derive(Debug)]
pub(super) struct Due<W> {
    pub(super) user: UserId,
    pub(super) work: W,
    /// Asks for this user that failed in a row before.
    pub(super) failures: u32,
}

/// The agenda. It holds a user while something is wanted for them, or an ask is under way.
pub(super) struct Agenda<W> {
    state: Mutex<State<W>>,
    bell: Notify,
}

impl<W> Default for Agenda<W> {
    fn default() -> Self {
        let state = State { users: HashMap::new(), due: BTreeMap::new(), numbers: 0 };
        Self { state: Mutex::new(state), bell: Notify::new() }
    }
}

/// For walks through every order of things.
#[cfg(test)]
impl<W: Clone> Agenda<W> {
    pub(super) fn copy(&self) -> Self {
        Self { state: Mutex::new(self.state.lock().clone()), bell: Notify::new() }
    }

    /// Who is in it: what is wanted, and whether an ask is under way.
    pub(super) fn shown(&self) -> Vec<(UserId, Option<W>, bool)> {
        let state = self.state.lock();
        let slots = state.users.iter();
        let mut shown: Vec<_> =
            slots.map(|(user, slot)| (user.clone(), slot.wanted.clone(), slot.under_way)).collect();
        shown.sort_by(|one, other| one.0.cmp(&other.0));
        shown
    }
}

impl<W: Default> Agenda<W> {
    /// Wants an ask for a user by then, and says what for. While one is under way, this is for the next.
    pub(super) fn want(&self, user: &UserId, by: Instant, what_for: impl FnOnce(&mut W)) {
        let mut state = self.state.lock();
        let slot = state.users.entry(user.clone()).or_insert_with(|| Slot {
            wanted: None,
            place: None,
            under_way: false,
            failures: 0,
        });
        what_for(slot.wanted.get_or_insert_default());
        state.place(user, by);
        drop(state);
        self.bell.notify_one();
    }

    /// Waits for an ask that is due, and takes it.
    ///
    /// *Cancel safety*: nothing is taken by a call that is dropped.
    pub(super) async fn next(&self) -> Due<W> {
        loop {
            let due = {
                let mut state = self.state.lock();
                match state.due.first_key_value().map(|(place, _)| place.0) {
                    Some(due) if due <= Instant::now() => {
                        if let Some(due) = state.take_first() {
                            return due;
                        }
                        continue;
                    }
                    due => due,
                }
            };
            match due {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.bell.notified()).await;
                }
                None => self.bell.notified().await,
            }
        }
    }

    /// An ask has its answer.
    pub(super) fn done(&self, user: &UserId) {
        self.end(user, |slot| slot.failures = 0);
    }

    /// An ask has none: what it was for is wanted again, by then.
    pub(super) fn failed(&self, user: &UserId, by: Instant, what_for: impl FnOnce(&mut W)) {
        self.end(user, |slot| {
            slot.failures = slot.failures.saturating_add(1);
            what_for(slot.wanted.get_or_insert_default());
            // Whoever wanted the next one sooner waits as well: the other side did not answer.
            slot.place = Some((by, 0));
        });
    }

    /// Users for whom something is wanted or under way.
    pub(super) fn len(&self) -> usize {
        self.state.lock().users.len()
    }

    fn end(&self, user: &UserId, note: impl FnOnce(&mut Slot<W>)) {
        let mut state = self.state.lock();
        let Some(slot) = state.users.get_mut(user) else { return };
        slot.under_way = false;
        note(slot);
        match slot.place.take() {
            Some((by, _)) if slot.wanted.is_some() => state.place(user, by),
            _ => {
                state.users.remove(user);
            }
        }
        drop(state);
        self.bell.notify_one();
    }
}

impl<W> State<W> {
    /// Gives a user's next ask its time, unless it has an earlier one. Under way, it is only noted.
    fn place(&mut self, user: &UserId, by: Instant) {
        let Some(slot) = self.users.get_mut(user) else { return };
        if slot.place.is_some_and(|(earlier, _)| earlier <= by) {
            return;
        }
        self.numbers += 1;
        let place = (by, self.numbers);
        let before = slot.place.replace(place);
        if slot.under_way {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&before);
        }
        self.due.insert(place, user.clone());
    }

    fn take_first(&mut self) -> Option<Due<W>> {
        let (_, user) = self.due.pop_first()?;
        let slot = self.users.get_mut(&user)?;
        slot.place = None;
        slot.under_way = true;
        let work = slot.wanted.take()?;
        Some(Due { user, work, failures: slot.failures })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn next(agenda: &Agenda<Vec<u32>>) -> Option<(String, Vec<u32>, u32)> {
        agenda.next().now_or_never().map(|due| (due.user.to_string(), due.work, due.failures))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wanted_during_an_ask_goes_into_the_next() {
        let agenda: Agenda<Vec<u32>> = Agenda::default();
        let now = Instant::now();
        for number in [1, 2] {
            agenda.want(&user("ada"), now, |work| work.push(number));
        }
        assert_eq!(next(&agenda), Some(("ada".into(), vec![1, 2], 0)));
        agenda.want(&user("ada"), now, |work| work.push(3));
        agenda.want(&user("bob"), now, |work| work.push(4));
        assert_eq!(next(&agenda), Some(("bob".into(), vec![4], 0)), "nobody waits for ada's");
        assert_eq!(next(&agenda), None);

        agenda.done(&user("ada"));
        assert_eq!(next(&agenda), Some(("ada".into(), vec![3], 0)));
        agenda.done(&user("ada"));
        agenda.done(&user("bob"));
        assert_eq!((next(&agenda), agenda.len()), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_ask_comes_again_with_what_came_meanwhile_and_not_before_its_time() {
        let agenda: Agenda<Vec<u32>> = Agenda::default();
        let now = Instant::now();
        agenda.want(&user("ada"), now, |work| work.push(1));
        let (_, work, _) = next(&agenda).unwrap();
        agenda.want(&user("ada"), now, |work| work.push(2));
        agenda.failed(&user("ada"), now + Duration::from_secs(1), |wanted| wanted.extend(work));
        assert_eq!(next(&agenda), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(next(&agenda), Some(("ada".into(), vec![2, 1], 1)));
        agenda.done(&user("ada"));
        assert_eq!(agenda.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_time_wanted_holds() {
        let agenda: Agenda<Vec<u32>> = Agenda::default();
        let now = Instant::now();
        for (number, secs) in [(1, 60), (2, 30), (3, 90)] {
            agenda.want(&user("ada"), now + Duration::from_secs(secs), |work| work.push(number));
        }
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(next(&agenda), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(next(&agenda), Some(("ada".into(), vec![1, 2, 3], 0)));
        assert_eq!(agenda.state.lock().due.len(), 0);
    }
}
