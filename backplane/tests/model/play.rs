//! Does the same to a back-end and to the reference, and compares each reply and each state.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

use doorbell_backplane::conformance::Harness;
use doorbell_backplane::{
    Claim, ClaimToken, Enter, Entry, HintQueue as _, LeaseRenewal, News, Partition, Registry as _, Settled,
    Settlement, UserHint,
};
use doorbell_protocol::{Epoch, GatewayId, Generation, Hint, Stamp, TopicId, UserId, Version};
use proptest::sample::Index;

use super::channels::Channels;
use super::op::{Answer, FLOOD, GATEWAYS, NewsOp, Op, PARTITIONS, Step, TTL_MS, USERS};
use super::reference::{Offer, Reference};

const ANSWERS: &str = "the back-end answers";
/// Settlements and releases mean one of the last claims: older ones are stale anyway.
const RECENT_CLAIMS: usize = 8;

/// How often each kind of answer was seen: a run that saw too few proved nothing.
pub type Sights = BTreeMap<String, u64>;

/// A back-end, the reference, and what their callers remember.
pub struct Play<H> {
    pub(super) harness: H,
    pub(super) reference: Reference,
    /// Most of them in the first partition.
    users: Vec<UserId>,
    partitions: [Partition; PARTITIONS],
    gateways: Vec<GatewayId>,
    generation: u64,
    tokens: HashSet<ClaimToken>,
    claims: Vec<Claim>,
    enters: Vec<Enter>,
    leases: Vec<(GatewayId, Partition, Epoch)>,
    pub(super) channels: Channels,
    pub sights: Sights,
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn topic(number: u64, version: u64) -> News {
    let topic = TopicId::new(format!("t:{number}")).expect("a valid topic");
    News::Hint(Hint { topic, version: Version::new(version).expect("a small version") })
}

impl<H: Harness> Play<H> {
    /// Every gateway begins with a lease of each partition.
    pub async fn new() -> Self {
        let harness = H::fresh().await;
        let partitions = harness.backend().partitions();
        let mut names = (0..).map(|n| UserId::new(format!("user-{n}")).expect("a valid user"));
        let first = names.next().expect("endless");
        let home = partitions.of(&first);
        let (here, there): (Vec<_>, Vec<_>) = names.take(1_000).partition(|user| partitions.of(user) == home);
        let abroad = partitions.of(&there[0]);
        let there = there.into_iter().filter(|user| partitions.of(user) == abroad).take(2);
        let users: Vec<UserId> =
            std::iter::once(first).chain(here.into_iter().take(USERS - 3)).chain(there).collect();
        assert_eq!(users.len(), USERS);
        let mut play = Self {
            reference: Reference::new(harness.now().await, partitions),
            harness,
            users,
            partitions: [home, abroad],
            gateways: (0..GATEWAYS).map(|n| GatewayId::new(format!("g{n}")).expect("valid")).collect(),
            generation: 0,
            tokens: HashSet::new(),
            claims: Vec::new(),
            enters: Vec::new(),
            leases: Vec::new(),
            channels: Channels::new(partitions),
            sights: Sights::new(),
        };
        for gateway in 0..GATEWAYS {
            for partition in play.partitions {
                play.take_lease(gateway, partition, TTL_MS).await;
            }
        }
        play
    }

    pub(super) fn saw(&mut self, what: &str, answer: impl Debug) {
        *self.sights.entry(format!("{what} {answer:?}")).or_default() += 1;
    }

    pub async fn step(&mut self, op: &Op) {
        match op {
            Op::Hint(hints) => self.hint(hints).await,
            Op::Flood { user, first } => {
                let topics =
                    (*first..first + FLOOD).map(|topic| (*user, NewsOp::Topic { topic, version: 1 }));
                self.hint(&topics.collect::<Vec<_>>()).await;
            }
            Op::Claim { partition, users_max, lease_ms } => {
                self.claim(*partition, *users_max, *lease_ms).await
            }
            Op::Crash { partition, times } => {
                for _ in 0..*times {
                    self.claim(*partition, USERS, 0).await;
                }
            }
            Op::Settle { claims, delay_ms } => self.settle(claims, *delay_ms).await,
            Op::Release { claims, delay_ms } => self.release(claims, *delay_ms).await,
            Op::Enter(pairs) => {
                let enters = pairs.iter().map(|(user, gateway)| self.next_enter(*user, *gateway)).collect();
                self.enter(enters).await;
            }
            Op::EnterAgain(index) => {
                let enters = pick(index, &self.enters).cloned().into_iter().collect();
                self.enter(enters).await;
            }
            Op::Leave { enter, from_it } => self.leave(enter, *from_it).await,
            Op::TakeLease { gateway, partition, ttl_ms } => {
                self.take_lease(*gateway, self.partitions[*partition], *ttl_ms).await;
            }
            Op::Renew { leases, ttl_ms } => self.renew(leases, *ttl_ms).await,
            Op::EndLease(index) => self.end_lease(index).await,
            Op::LookUp(users) => self.look_up(users).await,
            Op::Sweep { partition, entries_max } => self.sweep(*partition, *entries_max).await,
            Op::Raise(raises) => self.raise(raises).await,
            Op::Read(topics) => self.read(topics).await,
            Op::Look { partition, seen, further, changes_max } => {
                self.look(*partition, seen, *further, *changes_max).await;
            }
            Op::Advance(by_ms) => {
                self.harness.advance(ms(*by_ms)).await;
                self.reference.now += by_ms;
            }
        }
        self.compare().await;
        self.compare_channels().await;
    }

    /// Everything that can be seen is equal.
    async fn compare(&mut self) {
        let backend = self.harness.backend();
        let found = backend.look_up(self.users.clone()).await.expect(ANSWERS);
        for (user, mut entries) in self.users.iter().zip(found) {
            entries.sort();
            assert_eq!(entries, self.reference.entries(user), "entries of {user}");
            assert_eq!(self.harness.user(user).await, self.reference.view(user), "state of {user}");
        }
        // Backwards, so that the order of the answers is that of the question.
        let asked: Vec<UserId> = self.users.iter().rev().cloned().collect();
        let expected: Vec<bool> = asked.iter().map(|user| self.reference.is_online(user)).collect();
        assert_eq!(backend.online(asked).await.expect(ANSWERS), expected, "who is online");
        let depth = self.reference.depth();
        assert_eq!(backend.depth().await.expect(ANSWERS), depth);
        for partition in self.partitions {
            let mut lapsed = backend.lapsed(partition, usize::MAX).await.expect(ANSWERS);
            lapsed.sort_by(|a, b| (&a.user, &a.entry).cmp(&(&b.user, &b.entry)));
            assert_eq!(lapsed, self.reference.lapsed(partition), "lapsed entries");
        }
        expected.into_iter().for_each(|one| self.saw("online", one));
        self.saw("delayed, with dead letters", (depth.delayed > 0, depth.dead_letters > 0));
    }

    async fn hint(&mut self, hints: &[(usize, NewsOp)]) {
        let news = |op: &NewsOp| match op {
            NewsOp::Topic { topic: number, version } => topic(*number, *version),
            NewsOp::Resync => News::Resync,
            NewsOp::Refollow => News::Refollow,
        };
        let hints: Vec<UserHint> = hints
            .iter()
            .map(|(user, op)| UserHint { user: self.users[*user].clone(), news: news(op) })
            .collect();
        let mut report = self.harness.backend().hint(hints.clone()).await.expect(ANSWERS);
        report.offline.sort();
        let expected = self.reference.hint(&hints);
        self.saw("hint", expected.0 > 0);
        assert_eq!((report.queued, report.merged, report.offline), expected);
    }

    async fn claim(&mut self, partition: usize, users_max: usize, lease_ms: u64) {
        let partition = self.partitions[partition];
        let claims = self.harness.backend().claim(partition, users_max, ms(lease_ms)).await.expect(ANSWERS);
        let offers: Vec<Offer> = claims
            .iter()
            .map(|claim| {
                let Claim { user, dirty, mut entries, since, .. } = claim.clone();
                entries.sort();
                Offer { user, dirty, entries, since }
            })
            .collect();
        assert_eq!(offers, self.reference.claim(partition, users_max));
        for claim in claims {
            assert!(self.tokens.insert(claim.token), "a token came twice");
            self.saw("claim with resync, with entries", (claim.dirty.resync(), !claim.entries.is_empty()));
            self.reference.claimed(&claim.user, claim.token, lease_ms);
            self.claims.push(claim);
        }
    }

    async fn settle(&mut self, picks: &[(Index, [Answer; GATEWAYS])], delay_ms: u64) {
        let chosen =
            picks.iter().filter_map(|(index, answers)| Some((pick(index, &self.claims)?.clone(), answers)));
        let settlements: Vec<Settlement> =
            chosen.map(|(claim, answers)| self.settlement(&claim, answers)).collect();
        for partition in self.partitions {
            let own = |one: &&Settlement| self.reference.partitions.of(&one.user) == partition;
            let some: Vec<Settlement> = settlements.iter().filter(own).cloned().collect();
            let settled =
                self.harness.backend().settle(partition, some.clone(), ms(delay_ms)).await.expect(ANSWERS);
            let expected: Vec<Settled> =
                some.iter().map(|one| self.reference.settle(partition, one, delay_ms)).collect();
            assert_eq!(settled, expected);
            expected.into_iter().for_each(|one| self.saw("settle", one));
        }
    }

    fn settlement(&self, claim: &Claim, answers: &[Answer; GATEWAYS]) -> Settlement {
        let Claim { user, token, entries, .. } = claim.clone();
        let mut settlement = Settlement { user, token, absent: vec![], unreachable: vec![] };
        for (entry, answer) in entries.into_iter().zip(answers) {
            match answer {
                Answer::Delivered => {}
                Answer::Absent { from_it } => {
                    settlement.absent.push((entry.gateway, stepped(entry.stamp, *from_it)));
                }
                Answer::Unreachable => settlement.unreachable.push(entry),
            }
        }
        settlement
    }

    fn recent(&self, index: &Index) -> Option<&Claim> {
        pick(index, &self.claims[self.claims.len().saturating_sub(RECENT_CLAIMS)..])
    }

    async fn release(&mut self, picks: &[Index], delay_ms: u64) {
        let chosen: Vec<(UserId, ClaimToken)> = picks
            .iter()
            .filter_map(|index| self.recent(index))
            .map(|claim| (claim.user.clone(), claim.token))
            .collect();
        for partition in self.partitions {
            let own = |user: &UserId| self.reference.partitions.of(user) == partition;
            let some: Vec<_> = chosen.iter().filter(|(user, _)| own(user)).cloned().collect();
            self.harness.backend().release(partition, some.clone(), ms(delay_ms)).await.expect(ANSWERS);
            for (user, token) in some {
                self.reference.release(&user, token, delay_ms);
            }
        }
    }

    /// An enter under the gateway's last lease there, lapsed or not; under none where it never had one.
    fn next_enter(&mut self, user: usize, gateway: usize) -> Enter {
        let (user, gateway) = (self.users[user].clone(), self.gateways[gateway].clone());
        let partition = self.reference.partitions.of(&user);
        let lease = self.leases.iter().rev().find(|(g, p, _)| *g == gateway && *p == partition);
        let epoch = lease.map_or(Epoch(0), |(_, _, epoch)| *epoch);
        self.generation += 1;
        let stamp = Stamp { epoch, generation: Generation(self.generation) };
        let enter = Enter { user, entry: Entry { gateway, stamp } };
        self.enters.push(enter.clone());
        enter
    }

    async fn enter(&mut self, enters: Vec<Enter>) {
        let entered = self.harness.backend().enter(enters.clone()).await.expect(ANSWERS);
        let expected: Vec<_> = enters.iter().map(|enter| self.reference.enter(enter)).collect();
        assert_eq!(entered, expected);
        expected.into_iter().for_each(|one| self.saw("enter", one));
    }

    async fn leave(&mut self, index: &Index, from_it: Step) {
        let Some(mut leave) = pick(index, &self.enters).cloned() else { return };
        leave.entry.stamp = stepped(leave.entry.stamp, from_it);
        self.harness.backend().leave(vec![leave.clone()]).await.expect(ANSWERS);
        self.reference.leave(&leave);
    }

    async fn take_lease(&mut self, gateway: usize, partition: Partition, ttl_ms: u64) {
        let gateway = self.gateways[gateway].clone();
        let lease = self.harness.backend().take_lease(&gateway, partition, ms(ttl_ms)).await.expect(ANSWERS);
        assert_eq!(lease.epoch, self.reference.take_lease(&gateway, partition, ttl_ms));
        self.leases.push((gateway, partition, lease.epoch));
    }

    async fn renew(&mut self, picks: &[Index], ttl_ms: u64) {
        let chosen: Vec<_> = picks.iter().filter_map(|index| pick(index, &self.leases)).cloned().collect();
        for gateway in self.gateways.clone() {
            let own = chosen.iter().filter(|(owner, _, _)| *owner == gateway);
            let some: Vec<(Partition, Epoch)> =
                own.map(|(_, partition, epoch)| (*partition, *epoch)).collect();
            let renewed =
                self.harness.backend().renew_leases(&gateway, some.clone(), ms(ttl_ms)).await.expect(ANSWERS);
            let renewed: Vec<bool> = renewed.iter().map(|one| *one != LeaseRenewal::Lapsed).collect();
            let expected: Vec<bool> = some
                .iter()
                .map(|(partition, epoch)| self.reference.renew_lease(&gateway, *partition, *epoch, ttl_ms))
                .collect();
            assert_eq!(renewed, expected);
            expected.into_iter().for_each(|one| self.saw("renewed", one));
        }
    }

    async fn end_lease(&mut self, index: &Index) {
        let Some((gateway, partition, epoch)) = pick(index, &self.leases).cloned() else { return };
        self.harness.backend().end_leases(&gateway, vec![(partition, epoch)]).await.expect(ANSWERS);
        self.reference.end_lease(&gateway, partition, epoch);
    }

    async fn look_up(&self, users: &[usize]) {
        let asked: Vec<UserId> = users.iter().map(|user| self.users[*user].clone()).collect();
        let mut found = self.harness.backend().look_up(asked.clone()).await.expect(ANSWERS);
        found.iter_mut().for_each(|entries| entries.sort());
        let expected: Vec<_> = asked.iter().map(|user| self.reference.entries(user)).collect();
        assert_eq!(found, expected, "in the order asked");
    }

    async fn sweep(&mut self, partition: usize, entries_max: usize) {
        let partition = self.partitions[partition];
        let lapsed = self.harness.backend().lapsed(partition, entries_max).await.expect(ANSWERS);
        let all = self.reference.lapsed(partition);
        assert_eq!(lapsed.len(), all.len().min(entries_max));
        self.saw("swept", !lapsed.is_empty());
        assert!(lapsed.iter().all(|enter| all.contains(enter)));
        self.harness.backend().leave(lapsed.clone()).await.expect(ANSWERS);
        lapsed.iter().for_each(|leave| self.reference.leave(leave));
    }
}

fn stepped(stamp: Stamp, from_it: Step) -> Stamp {
    let Stamp { epoch: Epoch(epoch), generation: Generation(generation) } = stamp;
    let (epoch, generation) = match from_it {
        Step::Same => (epoch, generation),
        Step::Earlier => (epoch, generation.saturating_sub(1)),
        Step::Later => (epoch, generation + 1),
        Step::EpochBefore => (epoch.saturating_sub(1), generation + 1),
        Step::EpochAfter => (epoch + 1, generation.saturating_sub(1)),
    };
    Stamp { epoch: Epoch(epoch), generation: Generation(generation) }
}

fn pick<'a, T>(index: &Index, among: &'a [T]) -> Option<&'a T> {
    (!among.is_empty()).then(|| index.get(among))
}
