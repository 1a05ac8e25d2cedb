//! What is to be asked for which user: one ask at a time for each, and what comes meanwhile goes into the next.
//!
//! Of the asks that are due, the urgent ones come first, also those that failed before: thousands of sessions that start
//! at once keep none of them waiting. One in [`TURNS`] goes to whoever has waited longest of the others, so that those
//! end as well, however many urgent ones come.

use std::collections::{BTreeMap, HashMap};

use doorbell_protocol::UserId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A place in the order of due times; the number tells equal times apart.
type Place = (Instant, u64);

/// Of so many asks that begin while others are due, one is none of the urgent ones. An eighth makes an urgent one wait
/// hardly longer, and thousands of others are through after a while.
const TURNS: u32 = 8;

/// How much an ask hurries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Somebody is told what is not theirs any more, or not told what is, until it is answered.
    Urgent,
    /// It comes in the order of its time.
    Ordinary,
}

/// What an ask can be for.
pub(super) trait Work: Default {
    /// How much the ask hurries that is for this.
    fn rank(&self) -> Rank {
        Rank::Ordinary
    }
}

#[cfg_attr(test, derive(Clone))]
struct Slot<W> {
    /// What the next ask is for; `None` while nothing is wanted but an ask is under way.
    wanted: Option<W>,
    /// When the next ask is due, and in which line it stands.
    place: Option<(Rank, Place)>,
    under_way: bool,
    failures: u32,
}

#[cfg_attr(test, derive(Clone))]
struct State<W> {
    users: HashMap<UserId, Slot<W>>,
    /// Who is to be asked for when, by rank.
    lines: [BTreeMap<Place, UserId>; 2],
    numbers: u64,
    /// Urgent asks that began since an ordinary one did, while one was due.
    passed_over: u32,
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
        let lines = [BTreeMap::new(), BTreeMap::new()];
        let state = State { users: HashMap::new(), lines, numbers: 0, passed_over: 0 };
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

impl<W: Work> Agenda<W> {
    /// Wants an ask for a user by then, and says what for; answers what that does. While one is under way, this is for the
    /// next.
    pub(super) fn want<T>(&self, user: &UserId, by: Instant, what_for: impl FnOnce(&mut W) -> T) -> T {
        let mut state = self.state.lock();
        let slot = state.users.entry(user.clone()).or_insert_with(|| Slot {
            wanted: None,
            place: None,
            under_way: false,
            failures: 0,
        });
        let answer = what_for(slot.wanted.get_or_insert_default());
        state.place(user, by);
        drop(state);
        self.bell.notify_one();
        answer
    }

    /// Waits for an ask that is due, and takes it.
    ///
    /// *Cancel safety*: nothing is taken by a call that is dropped.
    pub(super) async fn next(&self) -> Due<W> {
        loop {
            let due = {
                let mut state = self.state.lock();
                if let Some(due) = state.take(Instant::now()) {
                    return due;
                }
                state.earliest()
            };
            match due {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.bell.notified()).await;
                }
                None => self.bell.notified().await,
            }
        }
    }

    /// Waits for an ask that is due, and takes it with those of its rank that are due as well, `asks_max` in all. One that failed before
    /// is alone: what fails for one user fails for all that were asked with them, and no more than once.
    ///
    /// *Cancel safety*: nothing is taken by a call that is dropped.
    pub(super) async fn next_few(&self, asks_max: usize) -> Vec<Due<W>> {
        let first = self.next().await;
        let (alone, rank) = (first.failures > 0, first.work.rank());
        let mut few = vec![first];
        let mut state = self.state.lock();
        let now = Instant::now();
        while !alone && few.len() < asks_max && state.is_like(rank, now) {
            few.extend(state.take(now));
        }
        few
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
            slot.place = Some((Rank::Ordinary, (by, 0)));
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
            Some((_, (by, _))) if slot.wanted.is_some() => state.place(user, by),
            _ => {
                state.users.remove(user);
            }
        }
        drop(state);
        self.bell.notify_one();
    }
}

impl<W: Work> State<W> {
    /// Gives a user's next ask its time, unless it has an earlier one or pauses, and its line by all that it is for. Under way, it
    /// is only noted.
    fn place(&mut self, user: &UserId, by: Instant) {
        let Some(slot) = self.users.get_mut(user) else { return };
        let rank = slot.wanted.as_ref().map_or(Rank::Ordinary, Work::rank);
        let by = match slot.place {
            // The pause of an ask that failed is not passed by, however often more is wanted.
            Some((_, (pause, _))) if slot.failures > 0 && !slot.under_way => pause,
            Some((_, (earlier, _))) => earlier.min(by),
            None => by,
        };
        if slot.place.is_some_and(|(before, (earlier, _))| (before, earlier) == (rank, by)) {
            return;
        }
        self.numbers += 1;
        let place = (by, self.numbers);
        let before = slot.place.replace((rank, place));
        if slot.under_way {
            return;
        }
        if let Some((rank, before)) = before {
            self.lines[rank as usize].remove(&before);
        }
        self.lines[rank as usize].insert(place, user.clone());
    }

    /// The line whose turn it is of those with an ask that is due by now.
    fn turn(&self, now: Instant) -> Option<Rank> {
        match [Rank::Urgent, Rank::Ordinary].map(|rank| self.is_due(rank, now)) {
            [true, true] if self.passed_over + 1 >= TURNS => Some(Rank::Ordinary),
            [true, _] => Some(Rank::Urgent),
            [false, true] => Some(Rank::Ordinary),
            [false, false] => None,
        }
    }

    fn is_due(&self, rank: Rank, now: Instant) -> bool {
        self.lines[rank as usize].first_key_value().is_some_and(|(place, _)| place.0 <= now)
    }

    /// Whether the next to take is of that rank, and none for its user failed just before.
    fn is_like(&self, rank: Rank, now: Instant) -> bool {
        let next = self.turn(now).filter(|next| *next == rank);
        let next = next.and_then(|rank| self.lines[rank as usize].first_key_value());
        next.and_then(|(_, user)| self.users.get(user)).is_some_and(|slot| slot.failures == 0)
    }

    /// Takes the ask whose turn it is of those that are due by now.
    fn take(&mut self, now: Instant) -> Option<Due<W>> {
        let rank = self.turn(now)?;
        let passes_over = rank == Rank::Urgent && self.is_due(Rank::Ordinary, now);
        self.passed_over = if passes_over { self.passed_over + 1 } else { 0 };
        let (_, user) = self.lines[rank as usize].pop_first()?;
        let slot = self.users.get_mut(&user)?;
        slot.place = None;
        slot.under_way = true;
        let work = slot.wanted.take()?;
        Some(Due { user, work, failures: slot.failures })
    }

    /// When the first ask of all is due.
    fn earliest(&self) -> Option<Instant> {
        let first = |line: &BTreeMap<Place, UserId>| line.first_key_value().map(|(place, _)| place.0);
        self.lines.iter().filter_map(first).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    /// What is 100 or more hurries.
    impl Work for Vec<u32> {
        fn rank(&self) -> Rank {
            if self.iter().any(|number| *number >= 100) { Rank::Urgent } else { Rank::Ordinary }
        }
    }

    /// Wants an ordinary ask for each of so many users by now.
    fn want_for_many(agenda: &Agenda<Vec<u32>>, users: u32) {
        for number in 0..users {
            agenda.want(&user(&format!("u{number}")), Instant::now(), |work| work.push(1));
        }
    }

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
    async fn what_is_wanted_in_the_pause_of_a_failed_ask_does_not_end_it() {
        let agenda: Agenda<Vec<u32>> = Agenda::default();
        let pause = Duration::from_secs(1);
        agenda.want(&user("ada"), Instant::now(), |work| work.push(1));
        next(&agenda).unwrap();
        agenda.failed(&user("ada"), Instant::now() + pause, |_| {});
        agenda.want(&user("ada"), Instant::now(), |work| work.push(100));
        assert_eq!(next(&agenda), None);
        agenda.want(&user("ada"), Instant::now() + 9 * pause, |work| work.push(2));
        tokio::time::advance(pause).await;
        assert_eq!(next(&agenda), Some(("ada".into(), vec![100, 2], 1)), "nor does it last longer");

        agenda.want(&user("ada"), Instant::now() + 9 * pause, |work| work.push(3));
        agenda.want(&user("ada"), Instant::now(), |work| work.push(4));
        agenda.done(&user("ada"));
        assert_eq!(next(&agenda), Some(("ada".into(), vec![3, 4], 0)), "after an answer there is no pause");
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
        assert!(agenda.state.lock().lines.iter().all(BTreeMap::is_empty));
    }

    #[tokio::test(start_paused = true)]
    async fn what_hurries_comes_before_all_that_has_waited_longer_also_where_it_waited_itself() {
        let agenda: Agenda<Vec<u32>> = Agenda::default();
        want_for_many(&agenda, 2_000);
        tokio::time::advance(Duration::from_secs(1)).await;
        agenda.want(&user("ada"), Instant::now(), |work| work.push(100));
        agenda.want(&user("u1999"), Instant::now(), |work| work.push(101));
        assert_eq!(next(&agenda), Some(("u1999".into(), vec![1, 101], 0)), "one ask for all of it");
        assert_eq!(next(&agenda), Some(("ada".into(), vec![100], 0)));
        assert_eq!(next(&agenda), Some(("u0".into(), vec![1], 0)));
        assert_eq!(agenda.state.lock().lines.each_ref().map(BTreeMap::len), [0, 1_998]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hurries_and_failed_comes_after_its_pause_and_before_all_others() {
        let agenda: Agenda<Vec<u32>> = Agenda::default();
        agenda.want(&user("ada"), Instant::now(), |work| work.push(100));
        let (_, work, _) = next(&agenda).unwrap();
        want_for_many(&agenda, 2_000);
        let again = Instant::now() + Duration::from_secs(1);
        agenda.failed(&user("ada"), again, |wanted| wanted.extend(work));
        assert_eq!(next(&agenda), Some(("u0".into(), vec![1], 0)), "it pauses, and holds up nobody");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(next(&agenda), Some(("ada".into(), vec![100], 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_due_are_taken_together_and_one_that_failed_alone() {
        let agenda: Agenda<Vec<u32>> = Agenda::default();
        let few = |asks_max| {
            let due = agenda.next_few(asks_max).now_or_never().unwrap_or_default();
            due.into_iter().map(|due| due.user.to_string()).collect::<Vec<_>>()
        };
        want_for_many(&agenda, 3);
        agenda.want(&user("later"), Instant::now() + Duration::from_secs(1), |work| work.push(1));
        agenda.want(&user("ada"), Instant::now(), |work| work.push(100));
        agenda.want(&user("bob"), Instant::now(), |work| work.push(100));
        assert_eq!(few(3), ["ada", "bob"], "what hurries waits for nobody's answer but of its rank");
        assert_eq!(few(2), ["u0", "u1"]);
        assert_eq!(few(3), ["u2"]);
        for name in ["u0", "u1"] {
            agenda.failed(&user(name), Instant::now(), |work| work.push(1));
        }
        want_for_many(&agenda, 5);
        assert_eq!(few(3), ["u0"]);
        assert_eq!(few(3), ["u1"]);
        assert_eq!(few(3), ["u3", "u4"]);
        assert_eq!(few(3), [""; 0]);
        agenda.want(&user("eve"), Instant::now(), |work| work.push(1));
        agenda.failed(&user("u3"), Instant::now(), |work| work.push(1));
        assert_eq!(few(3), ["eve"], "nobody is asked with one that failed");
        assert_eq!(few(3), ["u3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn however_much_hurries_others_have_a_turn_now_and_then() {
        let agenda: Agenda<Vec<u32>> = Agenda::default();
        want_for_many(&agenda, 3);
        let mut ordinary = Vec::new();
        for turn in 0..3 * TURNS {
            // There is always more that hurries.
            agenda.want(&user(&format!("m{turn}")), Instant::now(), |work| work.push(100));
            agenda.want(&user(&format!("n{turn}")), Instant::now(), |work| work.push(100));
            let (name, ..) = next(&agenda).unwrap();
            if name.starts_with('u') {
                ordinary.push((turn, name));
            }
        }
        let expected: Vec<_> =
            (0..3).map(|number| ((number + 1) * TURNS - 1, format!("u{number}"))).collect();
        assert_eq!(ordinary, expected);
    }
}
