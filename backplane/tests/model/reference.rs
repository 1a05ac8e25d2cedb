//! What a back-end must do, written to be obvious: every question is answered by looking at everybody.
//! It shares no rule with the crate; only names of things.

use std::collections::BTreeMap;

use doorbell_backplane::conformance::{Place, UserView};
use doorbell_backplane::queue::QueueDepth;
use doorbell_backplane::{
    ClaimToken, Enter, Entered, Entry, News, Partition, Partitions, Settled, Settlement, UserHint,
};
use doorbell_protocol::{DirtyMap, Epoch, GatewayId, Hint, Stamp, Timestamp, TopicId, UserId, Version};

const TOPICS_MAX: usize = 64;
const EXPIRIES_MAX: u32 = 10;

/// The whole world.
pub struct Reference {
    pub now: u64,
    pub partitions: Partitions,
    users: BTreeMap<UserId, User>,
    /// Users of all partitions, in the order in which they became ready.
    ready: Vec<UserId>,
    /// Per partition and gateway: the epoch and the end of its last lease.
    leases: BTreeMap<(Partition, GatewayId), (Epoch, u64)>,
    /// Per partition: the last epoch given.
    epochs: BTreeMap<Partition, u64>,
    expiries: u64,
    dead_letters: u64,
}

#[derive(Default)]
struct User {
    entries: BTreeMap<GatewayId, Stamp>,
    untold: Option<Bag>,
    hand: Option<Hand>,
    delayed_until: Option<u64>,
    expiries: u32,
}

/// What a worker has of a user.
struct Hand {
    token: ClaimToken,
    until: u64,
    bag: Bag,
}

#[derive(Clone, Default)]
struct Bag {
    topics: BTreeMap<TopicId, u64>,
    resync: bool,
    refollow: bool,
    since: u64,
}

/// A claim as it should look; its token is the back-end's to choose.
#[derive(Debug, PartialEq)]
pub struct Offer {
    pub user: UserId,
    pub dirty: DirtyMap,
    pub entries: Vec<Entry>,
    pub since: Timestamp,
}

impl Bag {
    fn topic(&mut self, topic: TopicId, version: u64) {
        let known = self.topics.get(&topic).copied().unwrap_or(0);
        self.topics.insert(topic, known.max(version));
        if self.topics.len() > TOPICS_MAX || self.resync {
            self.resync = true;
            self.topics.clear();
        }
    }

    fn add(&mut self, news: &News) {
        match news {
            News::Hint(hint) => self.topic(hint.topic.clone(), hint.version.get()),
            News::Refollow => self.refollow = true,
            News::Resync => {
                self.resync = true;
                self.topics.clear();
            }
        }
    }

    fn both(older: Self, newer: Option<Self>) -> Self {
        let Some(newer) = newer else { return older };
        let mut both = older;
        both.since = both.since.min(newer.since);
        both.refollow |= newer.refollow;
        for (topic, version) in newer.topics {
            both.topic(topic, version);
        }
        if newer.resync {
            both.add(&News::Resync);
        }
        both
    }

    fn as_dirty(&self) -> DirtyMap {
        let mut dirty = DirtyMap::default();
        if self.resync {
            dirty.mark_resync();
        }
        if self.refollow {
            dirty.mark_refollow();
        }
        for (topic, version) in &self.topics {
            dirty.hint(Hint { topic: topic.clone(), version: Version::new(*version).expect("small") });
        }
        dirty
    }
}

impl Reference {
    pub fn new(now: Timestamp, partitions: Partitions) -> Self {
        Self {
            now: now.as_millis(),
            partitions,
            users: BTreeMap::new(),
            ready: Vec::new(),
            leases: BTreeMap::new(),
            epochs: BTreeMap::new(),
            expiries: 0,
            dead_letters: 0,
        }
    }

    fn user_mut(&mut self, user: &UserId) -> &mut User {
        self.users.entry(user.clone()).or_default()
    }

    fn is_live(&self, partition: Partition, entry: &Entry) -> bool {
        self.leases
            .get(&(partition, entry.gateway.clone()))
            .is_some_and(|(epoch, until)| *epoch == entry.stamp.epoch && self.now < *until)
    }

    // The queue.

    /// Queued, merged, and who is offline, each once, sorted.
    pub fn hint(&mut self, hints: &[UserHint]) -> (u64, u64, Vec<UserId>) {
        let (mut queued, mut merged, mut offline) = (0, 0, Vec::new());
        for UserHint { user, news } in hints {
            if self.entries(user).is_empty() {
                offline.push(user.clone());
                continue;
            }
            let idle = self.view(user).place == Place::Idle;
            let now = self.now;
            let bag = self.user_mut(user).untold.get_or_insert(Bag { since: now, ..Bag::default() });
            bag.add(news);
            if idle {
                self.ready.push(user.clone());
                queued += 1;
            } else {
                merged += 1;
            }
        }
        offline.sort();
        offline.dedup();
        (queued, merged, offline)
    }

    pub fn claim(&mut self, partition: Partition, users_max: usize) -> Vec<Offer> {
        self.end_leases(partition, users_max);
        self.end_delays(partition, users_max);
        let of = |user: &UserId| self.partitions.of(user) == partition;
        let first: Vec<UserId> = self.ready.iter().filter(|user| of(user)).take(users_max).cloned().collect();
        self.ready.retain(|user| !first.contains(user));
        first
            .into_iter()
            .map(|user| {
                let bag = self.users[&user].untold.clone().expect("ready means news");
                let since = Timestamp::from_millis(bag.since);
                Offer { dirty: bag.as_dirty(), entries: self.entries(&user), since, user }
            })
            .collect()
    }

    /// The back-end has made the offer under this token.
    pub fn claimed(&mut self, user: &UserId, token: ClaimToken, lease_ms: u64) {
        let until = self.now + lease_ms;
        let user = self.user_mut(user);
        let bag = user.untold.take().expect("ready means news");
        user.hand = Some(Hand { token, until, bag });
    }

    fn end_leases(&mut self, partition: Partition, users_max: usize) {
        let ends = self.users.iter().filter_map(|(id, user)| Some((user.hand.as_ref()?.until, id.clone())));
        for id in self.over(ends.collect(), partition, users_max) {
            self.expiries += 1;
            let user = self.user_mut(&id);
            let hand = user.hand.take().expect("claimed");
            let mut bag = Bag::both(hand.bag, user.untold.take());
            user.expiries += 1;
            let given_up = user.expiries == EXPIRIES_MAX;
            if given_up {
                bag.add(&News::Resync);
                user.expiries = 0;
            }
            user.untold = Some(bag);
            self.dead_letters += u64::from(given_up);
            self.ready.push(id);
        }
    }

    fn end_delays(&mut self, partition: Partition, users_max: usize) {
        let ends = self.users.iter().filter_map(|(id, user)| Some((user.delayed_until?, id.clone())));
        for id in self.over(ends.collect(), partition, users_max) {
            self.user_mut(&id).delayed_until = None;
            self.ready.push(id);
        }
    }

    fn over(&self, mut ends: Vec<(u64, UserId)>, partition: Partition, users_max: usize) -> Vec<UserId> {
        ends.retain(|(until, user)| *until <= self.now && self.partitions.of(user) == partition);
        ends.sort();
        ends.into_iter().map(|(_, user)| user).take(users_max).collect()
    }

    pub fn settle(&mut self, partition: Partition, settlement: &Settlement, delay_ms: u64) -> Settled {
        let Settlement { user: id, token, absent, unreachable } = settlement;
        if !self.holds(id, *token) {
            return Settled::Stale;
        }
        for (gateway, stamp) in absent {
            self.leave(&Enter { user: id.clone(), entry: Entry { gateway: gateway.clone(), stamp: *stamp } });
        }
        let wait = unreachable.iter().any(|entry| self.is_live(partition, entry));
        self.user_mut(id).expiries = 0;
        if wait {
            self.put_back(id, delay_ms);
            return Settled::Delayed;
        }
        self.user_mut(id).hand = None;
        let requeued = self.users[id].untold.is_some();
        if requeued {
            self.ready.push(id.clone());
        }
        let online = self.is_online(id);
        Settled::Acked { requeued, online }
    }

    pub fn release(&mut self, id: &UserId, token: ClaimToken, delay_ms: u64) {
        if self.holds(id, token) {
            self.put_back(id, delay_ms);
        }
    }

    fn holds(&self, id: &UserId, token: ClaimToken) -> bool {
        self.users.get(id).and_then(|user| user.hand.as_ref()).is_some_and(|hand| hand.token == token)
    }

    fn put_back(&mut self, id: &UserId, delay_ms: u64) {
        let until = self.now + delay_ms;
        let user = self.user_mut(id);
        let hand = user.hand.take().expect("claimed");
        user.untold = Some(Bag::both(hand.bag, user.untold.take()));
        if delay_ms == 0 {
            self.ready.push(id.clone());
        } else {
            user.delayed_until = Some(until);
        }
    }

    pub fn depth(&self) -> QueueDepth {
        let mut depth =
            QueueDepth { expiries: self.expiries, dead_letters: self.dead_letters, ..QueueDepth::default() };
        for (id, user) in &self.users {
            match self.view(id).place {
                Place::Idle => {}
                Place::Queued => depth.ready += 1,
                Place::Claimed => depth.claimed += 1,
                Place::Delayed => depth.delayed += 1,
            }
            for bag in user.untold.iter().chain(user.hand.iter().map(|hand| &hand.bag)) {
                depth.oldest = depth.oldest.max(std::time::Duration::from_millis(self.now - bag.since));
            }
        }
        depth
    }

    pub fn view(&self, id: &UserId) -> UserView {
        let nobody = User::default();
        let user = self.users.get(id).unwrap_or(&nobody);
        let place = if user.hand.is_some() {
            Place::Claimed
        } else if user.delayed_until.is_some() {
            Place::Delayed
        } else if self.ready.contains(id) {
            Place::Queued
        } else {
            Place::Idle
        };
        let dirty = |bag: Option<&Bag>| bag.map(Bag::as_dirty).unwrap_or_default();
        UserView {
            place,
            aside: dirty(user.hand.as_ref().map(|hand| &hand.bag)),
            fresh: dirty(user.untold.as_ref()),
            expiries: user.expiries,
        }
    }

    // The registry.

    pub fn take_lease(&mut self, gateway: &GatewayId, partition: Partition, ttl_ms: u64) -> Epoch {
        let epoch = match self.epochs.get(&partition) {
            Some(previous) => self.now.max(previous + 1),
            None => self.now,
        };
        self.epochs.insert(partition, epoch);
        self.leases.insert((partition, gateway.clone()), (Epoch(epoch), self.now + ttl_ms));
        Epoch(epoch)
    }

    /// Whether it was renewed.
    pub fn renew_lease(
        &mut self,
        gateway: &GatewayId,
        partition: Partition,
        epoch: Epoch,
        ttl_ms: u64,
    ) -> bool {
        let now = self.now;
        match self.leases.get_mut(&(partition, gateway.clone())) {
            Some((own, until)) if *own == epoch && now < *until => {
                *until = now + ttl_ms;
                true
            }
            _ => false,
        }
    }

    pub fn end_lease(&mut self, gateway: &GatewayId, partition: Partition, epoch: Epoch) {
        self.leases.retain(|(p, g), (own, _)| !(*p == partition && g == gateway && *own == epoch));
    }

    pub fn enter(&mut self, enter: &Enter) -> Entered {
        let Enter { user, entry } = enter;
        if !self.is_live(self.partitions.of(user), entry) {
            return Entered::LeaseLapsed;
        }
        let stamp = self.user_mut(user).entries.entry(entry.gateway.clone()).or_insert(entry.stamp);
        *stamp = (*stamp).max(entry.stamp);
        Entered::Registered
    }

    pub fn leave(&mut self, leave: &Enter) {
        let Entry { gateway, stamp } = &leave.entry;
        self.user_mut(&leave.user).entries.retain(|own, at| own != gateway || *at > *stamp);
    }

    pub fn entries(&self, user: &UserId) -> Vec<Entry> {
        let entries = self.users.get(user).map(|user| &user.entries).into_iter().flatten();
        entries.map(|(gateway, stamp)| Entry { gateway: gateway.clone(), stamp: *stamp }).collect()
    }

    pub fn is_online(&self, user: &UserId) -> bool {
        let partition = self.partitions.of(user);
        self.entries(user).iter().any(|entry| self.is_live(partition, entry))
    }

    /// All of them, in some order.
    pub fn lapsed(&self, partition: Partition) -> Vec<Enter> {
        let users = self.users.keys().filter(|user| self.partitions.of(user) == partition);
        let enters = users
            .flat_map(|user| self.entries(user).into_iter().map(|entry| Enter { user: user.clone(), entry }));
        enters.filter(|enter| !self.is_live(partition, &enter.entry)).collect()
    }
}
