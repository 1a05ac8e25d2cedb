//! Short words for what cases do, over any back-end.

use std::collections::HashMap;
use std::time::Duration;

use doorbell_protocol::{
    DirtyMap, Epoch, GatewayId, Generation, Hint, Stamp, Timestamp, TopicId, UserId, Version,
};

use super::{Harness, Place, UserView};
use crate::{
    Claim, ClaimToken, Enter, Entered, Entry, HintQueue as _, HintReport, News, Partition, QueueDepth,
    Registry as _, Settled, Settlement, UserHint,
};

/// How long leases of gateways last in these cases.
pub(super) const TTL: Duration = Duration::from_secs(3_600);
/// How long claims last in these cases.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// How long users are delayed in these cases.
pub(super) const DELAY: Duration = Duration::from_secs(2);
/// The smallest step of time.
pub(super) const TICK: Duration = Duration::from_millis(1);
const ANSWERS: &str = "the back-end answers";

/// A back-end and what its gateways remember.
pub(super) struct Driver<H> {
    harness: H,
    generation: Generation,
    leases: HashMap<(GatewayId, Partition), Epoch>,
}

pub(super) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a valid user")
}

pub(super) fn gateway(name: &str) -> GatewayId {
    GatewayId::new(name).expect("a valid gateway")
}

pub(super) fn news(topic: &str, version: u64) -> News {
    let topic = TopicId::new(format!("t:{topic}")).expect("a valid topic");
    News::Hint(Hint { topic, version: Version::new(version).expect("a small version") })
}

/// The map that these news make. A refollow mark comes last: so it is there whatever a collapse does to marks.
pub(super) fn map(news: impl IntoIterator<Item = News>) -> DirtyMap {
    let mut map = DirtyMap::default();
    for one in news {
        match one {
            News::Hint(hint) => map.hint(hint),
            News::Resync => map.mark_resync(),
            News::Refollow => map.mark_refollow(),
        }
    }
    map
}

pub(super) fn stamp(epoch: Epoch, generation: u64) -> Stamp {
    Stamp { epoch, generation: Generation(generation) }
}

impl<H: Harness> Driver<H> {
    pub(super) async fn fresh() -> Self {
        Self { harness: H::fresh().await, generation: Generation::default(), leases: HashMap::new() }
    }

    pub(super) fn backend(&self) -> &H::Backend {
        self.harness.backend()
    }

    pub(super) async fn now(&self) -> Timestamp {
        self.harness.now().await
    }

    pub(super) async fn advance(&self, by: Duration) {
        self.harness.advance(by).await;
    }

    pub(super) fn partition(&self, user: &UserId) -> Partition {
        self.backend().partitions().of(user)
    }

    /// The first `count` users of alice's partition, alice first.
    pub(super) fn neighbours(&self, count: usize) -> Vec<UserId> {
        let home = self.partition(&user("alice"));
        let others =
            (0..).map(|n| user(&format!("user-{n:05}"))).filter(|other| self.partition(other) == home);
        std::iter::once(user("alice")).chain(others).take(count).collect()
    }

    /// A user of another partition than alice's.
    pub(super) fn stranger(&self) -> UserId {
        let home = self.partition(&user("alice"));
        let mut others = (0..1_000).map(|n| user(&format!("stranger-{n}")));
        others.find(|other| self.partition(other) != home).expect("the harness has more than one partition")
    }

    pub(super) async fn take_lease(&mut self, name: &str, partition: Partition) -> Epoch {
        let gateway = gateway(name);
        let lease = self.backend().take_lease(&gateway, partition, TTL).await.expect(ANSWERS);
        self.leases.insert((gateway, partition), lease.epoch);
        lease.epoch
    }

    /// The stamp that the gateway's next enter of this user has; its lease is taken where it has none yet.
    pub(super) async fn next_entry(&mut self, user: &UserId, name: &str) -> Enter {
        let (gateway, partition) = (gateway(name), self.partition(user));
        let epoch = match self.leases.get(&(gateway.clone(), partition)) {
            Some(epoch) => *epoch,
            None => self.take_lease(name, partition).await,
        };
        self.generation = self.generation.next();
        let entry = Entry { gateway, stamp: Stamp { epoch, generation: self.generation } };
        Enter { user: user.clone(), entry }
    }

    /// Enters a user at a gateway.
    pub(super) async fn enter(&mut self, user: &UserId, name: &str) -> Entry {
        let enter = self.next_entry(user, name).await;
        let entry = enter.entry.clone();
        assert_eq!(self.try_enter(enter).await, Entered::Registered);
        entry
    }

    pub(super) async fn try_enter(&self, enter: Enter) -> Entered {
        let answers = self.backend().enter(vec![enter]).await.expect(ANSWERS);
        assert_eq!(answers.len(), 1, "one answer for one enter");
        answers[0]
    }

    pub(super) async fn leave(&self, user: &UserId, name: &str, stamp: Stamp) {
        let entry = Entry { gateway: gateway(name), stamp };
        self.backend().leave(vec![Enter { user: user.clone(), entry }]).await.expect(ANSWERS);
    }

    /// Ends a gateway's lease of the user's partition.
    pub(super) async fn end_lease(&mut self, user: &UserId, name: &str) {
        let key = (gateway(name), self.partition(user));
        let epoch = self.leases.remove(&key).expect("the gateway has a lease");
        self.backend().end_leases(&key.0, vec![(key.1, epoch)]).await.expect(ANSWERS);
    }

    pub(super) async fn entries(&self, user: &UserId) -> Vec<Entry> {
        let mut answers = self.backend().look_up(vec![user.clone()]).await.expect(ANSWERS);
        let mut entries = answers.pop().expect("one answer for one user");
        entries.sort();
        entries
    }

    pub(super) async fn lapsed(&self, user: &UserId, entries_max: usize) -> Vec<Enter> {
        self.backend().lapsed(self.partition(user), entries_max).await.expect(ANSWERS)
    }

    pub(super) async fn announce(&self, hints: Vec<(UserId, News)>) -> HintReport {
        let hints = hints.into_iter().map(|(user, news)| UserHint { user, news }).collect();
        self.backend().hint(hints).await.expect(ANSWERS)
    }

    pub(super) async fn hint(&self, user: &UserId, news: News) {
        let report = self.announce(vec![(user.clone(), news)]).await;
        assert!(report.offline.is_empty(), "{user} has an entry");
    }

    /// An online user with news; the usual beginning.
    pub(super) async fn ready(&mut self, user: &UserId) -> Entry {
        let entry = self.enter(user, "g1").await;
        self.hint(user, news("a", 1)).await;
        entry
    }

    /// An online user with news under a claim.
    pub(super) async fn claimed(&mut self, user: &UserId) -> (Entry, Claim) {
        let entry = self.ready(user).await;
        (entry, self.claim_one(user).await)
    }

    /// Claims in the user's partition.
    pub(super) async fn claim(&self, user: &UserId, users_max: usize) -> Vec<Claim> {
        self.backend().claim(self.partition(user), users_max, LEASE).await.expect(ANSWERS)
    }

    /// Claims the one user of this partition who is ready.
    pub(super) async fn claim_one(&self, user: &UserId) -> Claim {
        let mut claims = self.claim(user, 10).await;
        let claim = claims.pop().expect("the user is ready");
        assert!(claims.is_empty() && claim.user == *user, "only {user} is ready");
        claim
    }

    /// Names of all users who are ready in the user's partition; they are claimed.
    pub(super) async fn claim_names(&self, user: &UserId, users_max: usize) -> Vec<UserId> {
        self.claim(user, users_max).await.into_iter().map(|claim| claim.user).collect()
    }

    pub(super) async fn ack(&self, claim: &Claim) -> Settled {
        self.settle(claim, vec![], vec![]).await
    }

    pub(super) async fn settle(
        &self,
        claim: &Claim,
        absent: Vec<(GatewayId, Stamp)>,
        unreachable: Vec<Entry>,
    ) -> Settled {
        let settlement = Settlement { user: claim.user.clone(), token: claim.token, absent, unreachable };
        let answers = self.settle_all(&claim.user, vec![settlement]).await;
        assert_eq!(answers.len(), 1, "one answer for one settlement");
        answers[0]
    }

    pub(super) async fn settle_all(&self, user: &UserId, settlements: Vec<Settlement>) -> Vec<Settled> {
        self.backend().settle(self.partition(user), settlements, DELAY).await.expect(ANSWERS)
    }

    pub(super) async fn release(&self, user: &UserId, token: ClaimToken, delay: Duration) {
        let claims = vec![(user.clone(), token)];
        self.backend().release(self.partition(user), claims, delay).await.expect(ANSWERS);
    }

    pub(super) async fn depth(&self) -> QueueDepth {
        self.backend().depth().await.expect(ANSWERS)
    }

    pub(super) async fn view(&self, user: &UserId) -> UserView {
        self.harness.user(user).await
    }

    pub(super) async fn place(&self, user: &UserId) -> Place {
        self.view(user).await.place
    }
}
