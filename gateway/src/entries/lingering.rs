//! Users whose last session has just ended, and who may be back in a moment: pure, with the time as an argument.
//!
//! While a user lingers the registry keeps the entry, so that whoever asks meanwhile is told that the user is there. So
//! a return in time is no news to anybody (GW-17), except where the entry may have gone before: a notifier was told
//! that there is nobody here, or the lease ended. Then the user is *missed*, and the return is news.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use doorbell_protocol::{Stamp, UserId};
use tokio::time::Instant;

use crate::local::Left;

/// Users of a partition who linger at most; one more, and the one who has waited longest goes early.
pub(super) const LINGERING_MAX: usize = 65_536;
/// Ends are looked at together: one comes so much late at most.
const COARSE: Duration = Duration::from_millis(100);

/// A user who came back in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// Nobody can have noticed.
    Unnoticed,
    /// The entry may have been gone meanwhile.
    Missed,
}

#[derive(Clone, Copy, Debug)]
struct Lingers {
    stamp: Stamp,
    missed: bool,
}

/// A partition's users who linger. All wait equally long, so that one queue has them in order.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    users: HashMap<UserId, Lingers>,
    /// Who came back leaves a place behind, which is void: its stamp is not the user's.
    queue: VecDeque<(Instant, UserId, Stamp)>,
}

impl Lingering {
    /// A user lingers until `until`, which never goes back from one call to the next. Answers who must go for it. Whose
    /// enter was not confirmed was told to nobody, so that a return is news.
    pub(super) fn begin(&mut self, user: UserId, left: Left, until: Instant) -> Option<(UserId, Stamp)> {
        let Left { stamp, confirmed } = left;
        if self.queue.len() >= 2 * self.users.len() + 64 {
            let users = &self.users;
            self.queue.retain(|(_, user, stamp)| is_current(users, user, *stamp));
        }
        self.queue.push_back((until, user.clone(), stamp));
        // One who lingered already was back in between, and not entered.
        let missed = self.users.get(&user).map_or(!confirmed, |lingers| lingers.missed);
        self.users.insert(user, Lingers { stamp, missed });
        while self.users.len() > LINGERING_MAX {
            let (_, user, stamp) = self.queue.pop_front()?;
            if self.remove(&user, stamp) {
                return Some((user, stamp));
            }
        }
        None
    }

    /// A user has sessions again: the leave is off.
    pub(super) fn take_back(&mut self, user: &UserId) -> Option<Return> {
        let lingers = self.users.remove(user)?;
        Some(if lingers.missed { Return::Missed } else { Return::Unnoticed })
    }

    /// The user's entry may go now.
    pub(super) fn miss(&mut self, user: &UserId) {
        if let Some(lingers) = self.users.get_mut(user) {
            lingers.missed = true;
        }
    }

    /// All entries may have gone.
    pub(super) fn miss_all(&mut self) {
        self.users.values_mut().for_each(|lingers| lingers.missed = true);
    }

    /// Takes out those whose time is over.
    pub(super) fn over(&mut self, now: Instant) -> Vec<(UserId, Stamp)> {
        let mut over = Vec::new();
        while let Some((_, user, stamp)) = self.queue.pop_front_if(|(until, ..)| *until <= now) {
            if self.remove(&user, stamp) {
                over.push((user, stamp));
            }
        }
        if self.users.is_empty() {
            // A burst is over: its room is given back.
            *self = Self::default();
        }
        over
    }

    /// Takes out everybody.
    pub(super) fn take_all(&mut self) -> Vec<(UserId, Stamp)> {
        self.queue.clear();
        self.users.drain().map(|(user, lingers)| (user, lingers.stamp)).collect()
    }

    /// When to look again; `None` while nobody lingers.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.queue.front().map(|(until, ..)| *until + COARSE)
    }

    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether the user lingers with this stamp; not any more.
    fn remove(&mut self, user: &UserId, stamp: Stamp) -> bool {
        is_current(&self.users, user, stamp) && self.users.remove(user).is_some()
    }
}

fn is_current(users: &HashMap<UserId, Lingers>, user: &UserId, stamp: Stamp) -> bool {
    users.get(user).is_some_and(|lingers| lingers.stamp == stamp)
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::{Epoch, Generation};

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn stamp(generation: u64) -> Stamp {
        Stamp { epoch: Epoch(1), generation: Generation(generation) }
    }

    fn left(generation: u64) -> Left {
        Left { stamp: stamp(generation), confirmed: true }
    }

    fn over(lingering: &mut Lingering, now: Instant) -> Vec<(String, u64)> {
        let over = lingering.over(now).into_iter();
        over.map(|(user, stamp)| (user.as_str().to_owned(), stamp.generation.0)).collect()
    }

    #[test]
    fn whoever_stays_away_goes_when_the_time_is_over_and_in_order() {
        let (mut lingering, start) = (Lingering::default(), Instant::now());
        let second = Duration::from_secs(1);
        for (at, name) in (0..3).zip(["ada", "bob", "carol"]) {
            lingering.begin(user(name), left(1), start + second * at + GRACE);
        }

        assert_eq!(lingering.next_look(), Some(start + GRACE + COARSE));
        assert_eq!(over(&mut lingering, start + GRACE - COARSE), []);
        assert_eq!(over(&mut lingering, start + GRACE + second), [("ada".into(), 1), ("bob".into(), 1)]);
        assert_eq!(over(&mut lingering, start + GRACE * 9), [("carol".into(), 1)]);
        assert_eq!((lingering.next_look(), lingering.len()), (None, 0));
    }

    #[test]
    fn a_return_in_time_is_unnoticed_and_leaves_nothing_to_end() {
        let (mut lingering, start) = (Lingering::default(), Instant::now());
        lingering.begin(user("ada"), left(1), start + GRACE);

        assert_eq!(lingering.take_back(&user("ada")), Some(Return::Unnoticed));
        assert_eq!(lingering.take_back(&user("ada")), None, "a further session is no return");
        assert_eq!(over(&mut lingering, start + GRACE * 9), []);
    }

    #[test]
    fn whose_enter_was_never_confirmed_is_news_at_the_return_unless_they_were_there_before() {
        let (mut lingering, start) = (Lingering::default(), Instant::now());
        let unconfirmed = Left { confirmed: false, ..left(2) };
        lingering.begin(user("ada"), unconfirmed, start + GRACE);
        assert_eq!(lingering.take_back(&user("ada")), Some(Return::Missed));

        lingering.begin(user("ada"), left(1), start + GRACE);
        lingering.begin(user("ada"), unconfirmed, start + GRACE);
        assert_eq!(lingering.take_back(&user("ada")), Some(Return::Unnoticed));
    }

    #[test]
    fn who_goes_again_has_the_whole_time_again() {
        let (mut lingering, start) = (Lingering::default(), Instant::now());
        lingering.begin(user("ada"), left(1), start + GRACE);
        lingering.take_back(&user("ada"));
        lingering.begin(user("ada"), left(2), start + GRACE * 2);

        assert_eq!(over(&mut lingering, start + GRACE), []);
        assert_eq!(over(&mut lingering, start + GRACE * 2), [("ada".into(), 2)]);
    }

    #[test]
    fn a_return_after_the_entry_may_have_gone_is_missed() {
        let (mut lingering, start) = (Lingering::default(), Instant::now());
        for name in ["ada", "bob"] {
            lingering.begin(user(name), left(1), start + GRACE);
        }
        lingering.miss(&user("ada"));
        lingering.miss(&user("zoe"));
        assert_eq!(lingering.take_back(&user("ada")), Some(Return::Missed));
        assert_eq!(lingering.take_back(&user("bob")), Some(Return::Unnoticed));

        lingering.begin(user("carol"), left(2), start + GRACE);
        lingering.miss_all();
        lingering.begin(user("carol"), left(3), start + GRACE * 2);
        assert_eq!(lingering.take_back(&user("carol")), Some(Return::Missed));
    }

    #[test]
    fn beyond_the_bound_the_one_who_waited_longest_goes_early() {
        let (mut lingering, until) = (Lingering::default(), Instant::now());
        for number in 0..LINGERING_MAX {
            assert_eq!(lingering.begin(user(&format!("u{number}")), left(1), until), None);
        }
        lingering.take_back(&user("u0"));
        assert_eq!(lingering.begin(user("v0"), left(1), until), None);
        assert_eq!(lingering.begin(user("v1"), left(1), until), Some((user("u1"), stamp(1))));
        assert_eq!((lingering.len(), lingering.take_all().len()), (LINGERING_MAX, LINGERING_MAX));
    }

    #[test]
    fn a_user_who_comes_and_goes_all_the_time_takes_a_bounded_room() {
        let (mut lingering, until) = (Lingering::default(), Instant::now());
        for number in 0..10_000 {
            lingering.begin(user("ada"), left(number), until);
            lingering.take_back(&user("ada"));
            assert!(lingering.queue.len() <= 128, "{}", lingering.queue.len());
        }
    }
}
