//! Places for requests under way, of which one user never has more than a part.

use std::hash::{BuildHasher, RandomState};

use doorbell_protocol::UserId;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Slots; two users who share one share its part too. Nobody can choose whom: the hash has a key of its own each start.
const SLOTS: u64 = 1_024;
/// All of the places are so many times what one user may hold.
const SHARES: usize = 8;

/// Free places.
pub(crate) struct Places {
    all: Semaphore,
    by_user: Box<[Semaphore]>,
    hasher: RandomState,
}

/// A place that is taken, until it is dropped.
pub(crate) struct Place<'p> {
    _of_all: SemaphorePermit<'p>,
    _of_user: SemaphorePermit<'p>,
}

/// Who has taken what a call would have needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All users together.
    ByAll,
    /// This user alone has an eighth of the places.
    ByUser,
}

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        let share = (count / SHARES).max(1);
        Self {
            all: Semaphore::new(count),
            by_user: (0..SLOTS).map(|_| Semaphore::new(share)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// A place for a request of this user, without waiting for one.
    pub(crate) fn take(&self, user: &UserId) -> Result<Place<'_>, Taken> {
        let slot = usize::try_from(self.hasher.hash_one(user) % SLOTS).expect("less than the slots");
        Ok(Place {
            _of_all: self.all.try_acquire().map_err(|_| Taken::ByAll)?,
            _of_user: self.by_user[slot].try_acquire().map_err(|_| Taken::ByUser)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_an_eighth_of_the_places_and_all_users_together_have_them_all() {
        let (places, user) = (Places::new(16), |number: usize| UserId::new(format!("u{number}")).unwrap());
        let held = [places.take(&user(0)).unwrap(), places.take(&user(0)).unwrap()];
        assert_eq!(places.take(&user(0)).err(), Some(Taken::ByUser));

        let others: Vec<_> = (1..100).filter_map(|number| places.take(&user(number)).ok()).collect();
        assert_eq!(others.len(), 14);
        assert_eq!(places.take(&user(100)).err(), Some(Taken::ByAll));

        drop(held);
        assert!(places.take(&user(0)).is_ok());
    }

    #[test]
    fn one_place_is_still_one() {
        let (places, ada) = (Places::new(1), UserId::new("ada").unwrap());
        let _held = places.take(&ada).unwrap();
        assert_eq!(places.take(&ada).err(), Some(Taken::ByAll));
    }
}
