//! How often a user may signal about one topic.

use std::time::Duration;

use doorbell_protocol::{TopicId, UserId};
use xxhash_rust::xxh3::Xxh3Default;

use crate::rates::{Limited, Rates};
use crate::session::rate::RateRule;
use crate::uptime::Moment;

/// Pairs of user and topic that are remembered at a time at most, some 36 bytes each: a million users who are all
/// typing make half as many signals a second as there are pairs here, which is beyond what a gateway passes on.
const PAIRS_MAX: usize = 65_536;

/// One signal in a time, for each user and topic.
pub(super) struct Throttle {
    /// By a hash of the pair: two pairs that share one share a turn, which happens to nobody. `None` where it is turned
    /// off.
    turns: Option<Rates<u64>>,
}

impl Throttle {
    /// One signal each `interval`; zero turns it off.
    pub(super) fn new(interval: Duration) -> Self {
        let turns = || Rates::new(RateRule::each(interval), PAIRS_MAX);
        Self { turns: (!interval.is_zero()).then(turns) }
    }

    /// Takes the pair's turn.
    pub(super) fn pass(&self, user: &UserId, topic: &TopicId, now: Moment) -> Result<(), Limited> {
        self.turns.as_ref().map_or(Ok(()), |turns| turns.take(&pair(user, topic), now))
    }
}

fn pair(user: &UserId, topic: &TopicId) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(user.as_str().as_bytes());
    // No name has this byte in it: the two parts cannot run into each other.
    hash.update(&[0]);
    hash.update(topic.as_str().as_bytes());
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn topic(name: &str) -> TopicId {
        TopicId::new(name).unwrap()
    }

    #[test]
    fn a_user_has_one_turn_a_topic_in_the_interval() {
        let throttle = Throttle::new(Duration::from_secs(2));
        let (ada, one) = (user("ada"), topic("conversation:a"));
        let pass =
            |user: &UserId, topic: &TopicId, second| throttle.pass(user, topic, Moment::from_secs(second));

        assert_eq!(pass(&ada, &one, 1), Ok(()));
        assert_eq!(pass(&ada, &topic("conversation:b"), 1), Ok(()));
        assert_eq!(pass(&user("bob"), &one, 1), Ok(()));
        assert_eq!(pass(&ada, &one, 2), Err(Limited::Wait(Duration::from_secs(1))));
        assert_eq!(pass(&ada, &one, 3), Ok(()));
    }

    #[test]
    fn an_interval_of_zero_turns_it_off() {
        let throttle = Throttle::new(Duration::ZERO);
        let (ada, topic) = (user("ada"), topic("conversation:a"));

        assert!((0..100).all(|_| throttle.pass(&ada, &topic, Moment::default()).is_ok()));
    }
}
