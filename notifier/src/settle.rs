//! Pure: the gateways' answers in, settlements out.

use std::time::Duration;

use doorbell_backplane::{Entry, Settlement};
use doorbell_protocol::{GatewayId, Stamp, Timestamp, UserId};
use doorbell_rpc::{Delivered, sabotage};

use crate::batch::{Held, Route};

/// What one gateway said about its batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// One outcome a member, in the order of the route; who is to be offered later waits that long.
    Outcomes {
        /// What became of each.
        outcomes: Vec<Delivered>,
        /// How long [`Delivered::Later`] waits.
        later: Duration,
    },
    /// Nothing: its users try again after the delay, where its lease is still live.
    None {
        /// How long they wait.
        delay: Duration,
    },
}

/// A user whose gateways have all answered or given up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) settlement: Settlement,
    /// How long to wait where a gateway did not answer, or asked for later: the longest of them.
    pub(crate) delay: Duration,
}

/// The users of one claim, until each is done (NT-2).
#[derive(Debug)]
pub(crate) struct Tally {
    users: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    held: Option<Held>,
    absent: Vec<(GatewayId, Stamp)>,
    unreachable: Vec<Entry>,
    delay: Duration,
}

impl Slot {
    /// The entry has not had its news: while its lease lives, the user is offered again after the delay.
    fn hold(&mut self, entry: Entry, delay: Duration) {
        self.unreachable.push(entry);
        self.delay = self.delay.max(delay);
    }

    fn take_if_done(&mut self) -> Option<Done> {
        let held = self.held.take_if(|held| held.open == 0)?;
        let settlement = Settlement {
            user: held.user,
            token: held.token,
            absent: std::mem::take(&mut self.absent),
            unreachable: std::mem::take(&mut self.unreachable),
        };
        Some(Done { settlement, delay: self.delay })
    }
}

impl Tally {
    pub(crate) fn new(held: Vec<Held>) -> Self {
        let slot = |held| Slot {
            held: Some(held),
            absent: Vec::new(),
            unreachable: Vec::new(),
            delay: Duration::ZERO,
        };
        Self { users: held.into_iter().map(slot).collect() }
    }

    /// Users with no entry at all: nobody to wait for.
    pub(crate) fn without_gateways(&mut self) -> Vec<Done> {
        self.users.iter_mut().filter_map(Slot::take_if_done).collect()
    }

    /// Takes one gateway's answer; gives the users who are done by it.
    pub(crate) fn answered(&mut self, route: &Route, answer: Answer) -> Vec<Done> {
        match answer {
            Answer::Outcomes { outcomes, later } => {
                for ((index, stamp), outcome) in route.members.iter().zip(outcomes) {
                    let slot = &mut self.users[*index];
                    match outcome {
                        Delivered::Sessions(_) => {}
                        Delivered::Absent(stamp) => slot.absent.push((route.gateway.clone(), stamp)),
                        Delivered::Later => slot.hold(route.entry(*stamp), later),
                    }
                }
            }
            Answer::None { .. } if sabotage::is("settle-unreached") => {}
            Answer::None { delay } => {
                for (index, stamp) in &route.members {
                    self.users[*index].hold(route.entry(*stamp), delay);
                }
            }
        }
        let mut done = Vec::with_capacity(route.members.len());
        for (index, _) in &route.members {
            let slot = &mut self.users[*index];
            if let Some(held) = &mut slot.held {
                held.open -= 1;
            }
            done.extend(slot.take_if_done());
        }
        done
    }

    /// Who a member is; `None` once the user is done.
    pub(crate) fn user(&self, index: usize) -> Option<&UserId> {
        self.users[index].held.as_ref().map(|held| &held.user)
    }

    /// When a member's oldest news came in; `None` once the user is done.
    pub(crate) fn since(&self, index: usize) -> Option<Timestamp> {
        self.users[index].held.as_ref().map(|held| held.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_backplane::ClaimToken;
    use doorbell_protocol::{Epoch, Generation};

    fn stamp(generation: u64) -> Stamp {
        Stamp { epoch: Epoch(7), generation: Generation(generation) }
    }

    fn gateway(id: &str) -> GatewayId {
        GatewayId::new(id).unwrap()
    }

    /// Ada at two gateways, Bob at the second.
    fn tally() -> (Tally, Route, Route) {
        let held = |user: &str, number, open| Held {
            user: UserId::new(user).unwrap(),
            token: ClaimToken(number),
            since: Timestamp::default(),
            open,
        };
        (
            Tally::new(vec![held("ada", 1, 2), held("bob", 2, 1)]),
            Route { gateway: gateway("gw-1"), members: vec![(0, stamp(1))] },
            Route { gateway: gateway("gw-2"), members: vec![(0, stamp(2)), (1, stamp(3))] },
        )
    }

    fn outcomes(outcomes: Vec<Delivered>) -> Answer {
        Answer::Outcomes { outcomes, later: Duration::from_secs(1) }
    }

    fn users(done: &[Done]) -> Vec<&str> {
        done.iter().map(|done| done.settlement.user.as_str()).collect()
    }

    #[test]
    fn a_user_is_done_when_each_of_their_gateways_has_answered() {
        let (mut tally, first, second) = tally();

        let early = tally.answered(&second, outcomes(vec![Delivered::Sessions(1); 2]));
        assert_eq!(users(&early), ["bob"]);
        let late = tally.answered(&first, outcomes(vec![Delivered::Sessions(1)]));
        assert_eq!(users(&late), ["ada"]);

        for done in early.iter().chain(&late) {
            assert!(done.settlement.absent.is_empty() && done.settlement.unreachable.is_empty());
        }
    }

    #[test]
    fn an_absent_user_is_settled_with_the_stamp_that_the_gateway_answered() {
        let (mut tally, first, second) = tally();

        tally.answered(&first, outcomes(vec![Delivered::Absent(stamp(9))]));
        let done = tally.answered(&second, outcomes(vec![Delivered::Sessions(1), Delivered::Sessions(1)]));

        assert_eq!(done[0].settlement.absent, [(gateway("gw-1"), stamp(9))]);
        assert!(done[1].settlement.absent.is_empty());
    }

    #[test]
    fn without_an_answer_the_entry_is_named_and_the_longest_delay_holds() {
        let (mut tally, first, second) = tally();

        tally.answered(&first, Answer::None { delay: Duration::from_secs(2) });
        let done = tally.answered(&second, Answer::None { delay: Duration::from_secs(1) });

        let entry = |id, generation| Entry { gateway: gateway(id), stamp: stamp(generation) };
        assert_eq!(done[0].settlement.unreachable, [entry("gw-1", 1), entry("gw-2", 2)]);
        assert_eq!(done[0].delay, Duration::from_secs(2));
        assert_eq!(done[1].settlement.unreachable, [entry("gw-2", 3)]);
        assert_eq!(done[1].delay, Duration::from_secs(1));
    }

    #[test]
    fn who_is_to_be_offered_later_waits_and_holds_up_nobody_else() {
        let (mut tally, first, second) = tally();

        tally.answered(&first, outcomes(vec![Delivered::Sessions(1)]));
        let done = tally.answered(&second, outcomes(vec![Delivered::Later, Delivered::Sessions(1)]));

        let entry = Entry { gateway: gateway("gw-2"), stamp: stamp(2) };
        assert_eq!(done[0].settlement.unreachable, [entry]);
        assert_eq!(done[0].delay, Duration::from_secs(1));
        assert!(done[1].settlement.unreachable.is_empty());
        assert_eq!(done[1].delay, Duration::ZERO);
    }

    #[test]
    fn a_user_without_gateways_is_done_at_once_and_only_once() {
        let held = Held {
            user: UserId::new("eve").unwrap(),
            token: ClaimToken(3),
            since: Timestamp::default(),
            open: 0,
        };
        let mut tally = Tally::new(vec![held]);

        assert_eq!(users(&tally.without_gateways()), ["eve"]);
        assert!(tally.without_gateways().is_empty());
    }
}
