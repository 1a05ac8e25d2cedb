//! Who is rung when: each user once in each lap, in an order that no two laps have in common. It is arithmetic, so that whoever holds
//! a user's session knows all rings that are due to it, and nobody has to tell.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The laps over so many users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Laps {
    /// Below 2^32, so that a product of two fits.
    users: u64,
    seed: u64,
    /// A step that has nothing in common with the number of users: it comes past each of them.
    step: u64,
    /// How often to take the step to get one further.
    back: u64,
}

impl Laps {
    /// Over users 0 to `users` - 1, drawn from the seed.
    pub fn new(users: u32, seed: u64) -> Self {
        let users = u64::from(users.max(1));
        let mut step = xxh3_64_with_seed(b"step", seed) % users;
        let back = loop {
            match inverse(step, users) {
                Some(back) => break back,
                // One of the numbers below `users` has nothing in common with it: 1.
                None => step = (step + 1) % users,
            }
        };
        Self { users, seed, step, back }
    }

    /// Whom ring `number` is for, counted from 0 over all laps.
    pub fn user(&self, number: u64) -> u64 {
        (self.step * (number % self.users) + self.shift(number / self.users)) % self.users
    }

    /// Which ring is that of a user in a lap.
    pub fn number(&self, user: u64, lap: u64) -> u64 {
        let from = (user + self.users - self.shift(lap)) % self.users;
        lap * self.users + self.back * from % self.users
    }

    /// How many of the first `rings` rings are for a user: that many laps.
    pub fn of(&self, user: u64, rings: u64) -> u64 {
        let whole = rings / self.users;
        whole + u64::from(self.number(user, whole) < rings)
    }

    /// Where a lap begins.
    fn shift(&self, lap: u64) -> u64 {
        xxh3_64_with_seed(&lap.to_le_bytes(), self.seed) % self.users
    }
}

/// The number that times `of` is 1, counted in a circle of `circle`; `None` where they have something in common.
fn inverse(of: u64, circle: u64) -> Option<u64> {
    if circle == 1 {
        return Some(0);
    }
    let (mut old, mut rest) = (i128::from(of), i128::from(circle));
    let (mut found, mut next) = (1_i128, 0_i128);
    while rest != 0 {
        let times = old / rest;
        (old, rest) = (rest, old - times * rest);
        (found, next) = (next, found - times * next);
    }
    let found = found.rem_euclid(i128::from(circle));
    (old == 1).then(|| u64::try_from(found).expect("it is in the circle"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_is_rung_once_a_lap_and_knows_when() {
        for users in [1, 2, 3, 12, 97, 1_000] {
            let laps = Laps::new(users, 7);
            for lap in 0..4 {
                let mut seen = vec![false; users as usize];
                for number in lap * u64::from(users)..(lap + 1) * u64::from(users) {
                    let user = laps.user(number);
                    assert_eq!(laps.number(user, lap), number, "{users} users, lap {lap}");
                    assert!(!std::mem::replace(&mut seen[user as usize], true));
                }
            }
        }
    }

    #[test]
    fn a_users_rings_are_counted_as_if_one_by_one() {
        let (laps, mut counts) = (Laps::new(12, 3), [0; 12]);
        for rings in 0..60 {
            for user in 0..12 {
                assert_eq!(laps.of(user, rings), counts[user as usize], "user {user} of {rings}");
            }
            counts[laps.user(rings) as usize] += 1;
        }
    }

    #[test]
    fn laps_differ_and_come_from_the_seed() {
        let order = |seed, lap: u64| {
            let laps = Laps::new(1_000, seed);
            (lap * 1_000..(lap + 1) * 1_000).map(|number| laps.user(number)).collect::<Vec<_>>()
        };

        assert_eq!(order(5, 0), order(5, 0));
        assert_ne!(order(5, 0), order(5, 1));
        assert_ne!(order(5, 0), order(6, 0));
    }
}
