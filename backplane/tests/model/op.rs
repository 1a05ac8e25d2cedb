//! What can happen, as data: few users, gateways and times, so that things meet.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One thing that happens. Users, partitions and gateways are small numbers; `Index` picks among what happened before.
#[derive(Clone, Debug)]
pub enum Op {
    Hint(Vec<(usize, NewsOp)>),
    /// So many topics for one user, from this number on: two of these pass the cap.
    Flood {
        user: usize,
        first: u64,
    },
    Claim {
        partition: usize,
        users_max: usize,
        lease_ms: u64,
    },
    /// Workers that take everything and die, so many times.
    Crash {
        partition: usize,
        times: u32,
    },
    Settle {
        claims: Vec<(Index, [Answer; GATEWAYS])>,
        delay_ms: u64,
    },
    Release {
        claims: Vec<Index>,
        delay_ms: u64,
    },
    Enter(Vec<(usize, usize)>),
    /// A late or repeated copy of an earlier enter.
    EnterAgain(Index),
    /// Leaves as of an earlier enter, or so far from it.
    Leave {
        enter: Index,
        from_it: Step,
    },
    TakeLease {
        gateway: usize,
        partition: usize,
        ttl_ms: u64,
    },
    /// Renews with the epoch of an earlier lease.
    Renew {
        leases: Vec<Index>,
        ttl_ms: u64,
    },
    EndLease(Index),
    LookUp(Vec<usize>),
    Sweep {
        partition: usize,
        entries_max: usize,
    },
    Raise(Vec<(usize, RaiseOp)>),
    Read(Vec<usize>),
    /// Looks from where an earlier look ended, or so far from it.
    Look {
        partition: usize,
        seen: Index,
        further: u64,
        changes_max: usize,
    },
    Advance(u64),
}

#[derive(Clone, Copy, Debug)]
pub enum RaiseOp {
    To(u64),
    Next,
}

#[derive(Clone, Debug)]
pub enum NewsOp {
    Topic { topic: u64, version: u64 },
    Resync,
    Refollow,
}

/// What a gateway says of a user whom a claim names.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Delivered,
    /// Absent, as of the entry's stamp or so far from it.
    Absent {
        from_it: Step,
    },
    Unreachable,
}

/// How far a stamp is from another.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Same,
    Earlier,
    Later,
    /// Of the epoch before, with a greater generation.
    EpochBefore,
    /// Of the epoch after, with a smaller generation.
    EpochAfter,
}

pub const USERS: usize = 6;
pub const GATEWAYS: usize = 3;
pub const PARTITIONS: usize = 2;
/// All but one of them in one partition, which keeps fewer.
pub const TOPICS: usize = 7;
/// A long lease.
pub const TTL_MS: u64 = 1_000;
/// Topics in one flood: two thirds of what a map holds.
pub const FLOOD: u64 = 43;

fn news() -> impl Strategy<Value = NewsOp> {
    prop_oneof![
        12 => (0..4_u64, 1..6_u64).prop_map(|(topic, version)| NewsOp::Topic { topic, version }),
        1 => Just(NewsOp::Resync),
        2 => Just(NewsOp::Refollow),
    ]
}

fn raise() -> impl Strategy<Value = RaiseOp> {
    prop_oneof![6 => (0..6_u64).prop_map(RaiseOp::To), 1 => Just(RaiseOp::Next)]
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{Earlier, EpochAfter, EpochBefore, Later, Same};
    select(vec![Same, Same, Same, Earlier, Later, EpochBefore, EpochAfter])
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => Just(Answer::Delivered),
        2 => step().prop_map(|from_it| Answer::Absent { from_it }),
        2 => Just(Answer::Unreachable),
    ]
}

pub fn op() -> impl Strategy<Value = Op> {
    let lease = || select(vec![0, 10, 100]);
    let ttl = || select(vec![0, 50, TTL_MS, TTL_MS]);
    let some = |max| 1..=max;
    prop_oneof![
        8 => prop::collection::vec((0..USERS, news()), some(4)).prop_map(Op::Hint),
        1 => (0..USERS, select(vec![0, FLOOD])).prop_map(|(user, first)| Op::Flood { user, first }),
        8 => (0..PARTITIONS, 0..4_usize, lease())
            .prop_map(|(partition, users_max, lease_ms)| Op::Claim { partition, users_max, lease_ms }),
        1 => (0..PARTITIONS, 1..15_u32).prop_map(|(partition, times)| Op::Crash { partition, times }),
        8 => (prop::collection::vec((any::<Index>(), prop::array::uniform(answer())), some(3)), select(vec![0, 20]))
            .prop_map(|(claims, delay_ms)| Op::Settle { claims, delay_ms }),
        2 => (prop::collection::vec(any::<Index>(), some(2)), select(vec![0, 20]))
            .prop_map(|(claims, delay_ms)| Op::Release { claims, delay_ms }),
        8 => prop::collection::vec((0..USERS, 0..GATEWAYS), some(4)).prop_map(Op::Enter),
        1 => any::<Index>().prop_map(Op::EnterAgain),
        2 => (any::<Index>(), step()).prop_map(|(enter, from_it)| Op::Leave { enter, from_it }),
        2 => (0..GATEWAYS, 0..PARTITIONS, ttl())
            .prop_map(|(gateway, partition, ttl_ms)| Op::TakeLease { gateway, partition, ttl_ms }),
        2 => (prop::collection::vec(any::<Index>(), some(3)), ttl())
            .prop_map(|(leases, ttl_ms)| Op::Renew { leases, ttl_ms }),
        1 => any::<Index>().prop_map(Op::EndLease),
        1 => prop::collection::vec(0..USERS, some(8)).prop_map(Op::LookUp),
        1 => (0..PARTITIONS, 0..4_usize)
            .prop_map(|(partition, entries_max)| Op::Sweep { partition, entries_max }),
        4 => prop::collection::vec((0..TOPICS, raise()), some(3)).prop_map(Op::Raise),
        1 => prop::collection::vec(0..TOPICS, some(8)).prop_map(Op::Read),
        4 => (0..PARTITIONS, any::<Index>(), select(vec![0, 0, 0, 1]), 0..5_usize).prop_map(
            |(partition, seen, further, changes_max)| Op::Look { partition, seen, further, changes_max }
        ),
        4 => select(vec![1, 1, 10, 10, 20, 20, 100, TTL_MS]).prop_map(Op::Advance),
    ]
}
