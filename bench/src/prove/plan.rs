//! Who is there and who is in which conversation: drawn from the seed, the same each time.

use std::time::Duration;

use doorbell_protocol::UserId;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::history::Role;

/// How large a run is.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Readers: hint-driven, polling and hostile.
    pub sessions: u32,
    /// How many conversations.
    pub conversations: u32,
    /// Readers in the first one; above 100 it is a large group.
    pub large_members: u32,
    /// Readers in each other one.
    pub members: u32,
    /// Sends a second, over all writers.
    pub rate: u32,
    /// How long the load lasts.
    pub duration: Duration,
}

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub user: u32,
    pub role: Role,
}

/// A conversation as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub owner: u32,
    /// The owner, its writers and its readers.
    pub members: Vec<u32>,
    pub writers: Vec<u32>,
    /// Hint-driven readers of it.
    pub readers: Vec<u32>,
}

/// Everything that is drawn before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub users: Vec<UserId>,
    /// Readers first, then writers, then one keeper a conversation; a client's number is its place here.
    pub clients: Vec<Place>,
    pub groups: Vec<Group>,
}

/// Every how many readers a user has a second session.
const TWICE_EVERY: u32 = 8;

impl Plan {
    /// Draws it. `run` keeps users of different runs apart.
    ///
    /// # Errors
    /// Where `run` is no part of a user's name.
    pub fn draw(seed: u64, run: &str, scale: &Scale) -> anyhow::Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut plan = Self { users: Vec::new(), clients: Vec::new(), groups: Vec::new() };
        let hostile = scale.sessions / 10;
        let polling = scale.sessions / 5;
        let hinted = scale.sessions - hostile - polling;
        for number in 0..hinted {
            let again = number % TWICE_EVERY == TWICE_EVERY - 1;
            let user = if again { plan.last_user() } else { plan.user(run, 'r')? };
            plan.clients.push(Place { user, role: Role::Hinted });
        }
        for (count, role, letter) in [(polling, Role::Polling, 'p'), (hostile, Role::Hostile, 'h')] {
            for _ in 0..count {
                let user = plan.user(run, letter)?;
                plan.clients.push(Place { user, role });
            }
        }
        let writers = plan.writers(run, scale)?;
        plan.gather(&mut rng, run, scale, &writers)?;
        Ok(plan)
    }

    fn user(&mut self, run: &str, letter: char) -> anyhow::Result<u32> {
        let number = u32::try_from(self.users.len())?;
        self.users.push(UserId::new(format!("prove-{run}-{letter}{number}"))?);
        Ok(number)
    }

    fn last_user(&self) -> u32 {
        u32::try_from(self.users.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// One writer for ten sends a second, at least two.
    fn writers(&mut self, run: &str, scale: &Scale) -> anyhow::Result<Vec<u32>> {
        let count = (scale.rate / 10).clamp(2, 64);
        let users: Vec<u32> = (0..count).map(|_| self.user(run, 'w')).collect::<Result<_, _>>()?;
        self.clients.extend(users.iter().map(|user| Place { user: *user, role: Role::Writer }));
        Ok(users)
    }

    fn gather(&mut self, rng: &mut StdRng, run: &str, scale: &Scale, writers: &[u32]) -> anyhow::Result<()> {
        let users_of = |role| {
            let mut users: Vec<u32> =
                self.clients.iter().filter(|place| place.role == role).map(|place| place.user).collect();
            users.dedup();
            users
        };
        let hinted = users_of(Role::Hinted);
        let readers: Vec<u32> = hinted.iter().copied().chain(users_of(Role::Polling)).collect();
        for number in 0..scale.conversations {
            let owner = self.user(run, 'o')?;
            let wanted = if number == 0 {
                scale.large_members
            } else {
                rng.random_range(2..=scale.members.max(2) * 2 - 2)
            };
            let mut chosen = readers.clone();
            let (chosen, _) = chosen.partial_shuffle(rng, wanted as usize);
            // Two writers for each, so that their order is put to the test; in turn, so that each has something to do.
            let first = number as usize * 2;
            let mut writing = vec![writers[first % writers.len()], writers[(first + 1) % writers.len()]];
            writing.push(writers[rng.random_range(0..writers.len())]);
            writing.sort_unstable();
            writing.dedup();
            let members = std::iter::once(owner).chain(writing.iter().copied()).chain(chosen.iter().copied());
            let of_it = chosen.iter().copied().filter(|user| hinted.contains(user)).collect();
            self.groups.push(Group { owner, members: members.collect(), writers: writing, readers: of_it });
            self.clients.push(Place { user: owner, role: Role::Keeper });
        }
        Ok(())
    }

    /// The conversations that a writer writes to.
    pub fn written_by(&self, user: u32) -> Vec<u32> {
        (0..)
            .zip(&self.groups)
            .filter(|(_, group)| group.writers.contains(&user))
            .map(|(number, _)| number)
            .collect()
    }
}

/// A client's own draws: another client's do not move them.
pub fn rng_of(seed: u64, client: u32) -> StdRng {
    StdRng::seed_from_u64(seed ^ (u64::from(client) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale {
        sessions: 200,
        conversations: 10,
        large_members: 120,
        members: 8,
        rate: 50,
        duration: Duration::from_secs(10),
    };

    #[test]
    fn the_same_seed_draws_the_same_plan_and_another_one_does_not() {
        let plan = |seed| Plan::draw(seed, "a", &SCALE).unwrap();
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn shares_are_kept_and_every_writer_has_something_to_do() {
        let plan = Plan::draw(7, "a", &SCALE).unwrap();
        let count = |role| plan.clients.iter().filter(|place| place.role == role).count();
        assert_eq!((count(Role::Hinted), count(Role::Polling), count(Role::Hostile)), (140, 40, 20));
        assert_eq!(plan.groups[0].members.len(), 1 + plan.groups[0].writers.len() + 120);
        for place in plan.clients.iter().filter(|place| place.role == Role::Writer) {
            assert!(!plan.written_by(place.user).is_empty());
        }
        let hostile = plan.clients.iter().filter(|place| place.role == Role::Hostile);
        for place in hostile {
            assert!(plan.groups.iter().all(|group| !group.members.contains(&place.user)));
        }
    }
}
