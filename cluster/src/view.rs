//! Who is believed to be there, without clock or calls: what the registry answers goes in, and so does its silence.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{Instance, Instances, PartitionIdentity, Role};
use doorbell_protocol::{GatewayId, InstanceId};
use tokio::time::Instant;

/// Everybody who is believed to be there, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    instances: Vec<Arc<Instance>>,
    last_owner: Option<Arc<Instance>>,
}

impl View {
    /// One alone.
    #[must_use]
    pub fn of(instance: Instance) -> Self {
        Self { instances: vec![Arc::new(instance)], last_owner: None }
    }

    /// Those with a role.
    pub fn with(&self, role: Role) -> impl Iterator<Item = &Arc<Instance>> {
        self.instances.iter().filter(move |instance| instance.is(role))
    }

    /// A gateway by its name.
    #[must_use]
    pub fn gateway(&self, id: &GatewayId) -> Option<&Arc<Instance>> {
        let at = self.instances.binary_search_by(|instance| instance.id.as_str().cmp(id.as_str())).ok()?;
        Some(&self.instances[at]).filter(|instance| instance.is(Role::Gateway))
    }

    /// Whom to call for messages: of those who have the store open, the one that opened it last. The others have ended,
    /// and their word still holds for a few seconds.
    #[must_use]
    pub fn store_owner(&self) -> Option<&Arc<Instance>> {
        let opened = |instance: &Instance| instance.store.as_ref().map(|store| store.opened_ms);
        let open = self.with(Role::Message).filter(|instance| instance.store.is_some());
        open.max_by_key(|instance| (opened(instance), instance.id.clone()))
    }

    /// Who had the store open when somebody last said so. Where nobody says so now, its word may have lapsed because it alone
    /// does not reach the registry: it is worth a call, for nobody takes the store from a process that lives (CL-5).
    #[must_use]
    pub const fn last_store_owner(&self) -> Option<&Arc<Instance>> {
        self.last_owner.as_ref()
    }

    /// Everybody.
    #[must_use]
    pub fn all(&self) -> &[Arc<Instance>] {
        &self.instances
    }
}

/// What makes a view: the words that were heard, and whether their absence means anything.
#[derive(Debug)]
pub struct Belief {
    ttl: Duration,
    store: Option<PartitionIdentity>,
    heard: BTreeMap<InstanceId, Arc<Instance>>,
    /// Nobody is gone before then: the store was away or is another one, and its list may not be full again.
    lenient_until: Option<Instant>,
    away: bool,
    last_owner: Option<Arc<Instance>>,
}

impl Belief {
    /// Nobody is known. A word holds for `ttl`.
    #[must_use]
    pub const fn new(ttl: Duration) -> Self {
        Self { ttl, store: None, heard: BTreeMap::new(), lenient_until: None, away: false, last_owner: None }
    }

    /// The registry did not answer: everybody stays (CL-1).
    pub const fn silent(&mut self) {
        self.away = true;
    }

    /// The registry answered.
    pub fn heard(&mut self, answer: Instances, now: Instant) {
        let is_other = self.store.as_ref().is_some_and(|store| *store != answer.identity);
        if is_other || std::mem::take(&mut self.away) {
            self.lenient_until = Some(now + self.ttl);
        }
        self.store = Some(answer.identity);
        if self.lenient_until.is_none_or(|until| until <= now) {
            self.lenient_until = None;
            self.heard.retain(|id, _| answer.live.iter().any(|instance| instance.id == *id));
        }
        for instance in answer.live {
            match self.heard.get(&instance.id) {
                Some(known) if **known == instance => {}
                _ => drop(self.heard.insert(instance.id.clone(), Arc::new(instance))),
            }
        }
        if let Some(owner) = self.view().store_owner() {
            self.last_owner = Some(Arc::clone(owner));
        }
    }

    /// Who is believed to be there now.
    #[must_use]
    pub fn view(&self) -> View {
        View { instances: self.heard.values().cloned().collect(), last_owner: self.last_owner.clone() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use doorbell_backplane::discovery::StoreFacts;

    const TTL: Duration = Duration::from_secs(5);

    pub(crate) fn instance(id: &str) -> Instance {
        Instance {
            id: InstanceId::new(id).unwrap(),
            roles: Role::ALL.to_vec(),
            address: "127.0.0.1:1".to_owned(),
            gateway: None,
            store: None,
        }
    }

    fn answer(store: &str, names: &[&str]) -> Instances {
        let live = names.iter().map(|name| instance(name)).collect();
        Instances { identity: PartitionIdentity(store.to_owned()), live }
    }

    fn names(belief: &Belief) -> Vec<String> {
        belief.view().all().iter().map(|instance| instance.id.to_string()).collect()
    }

    #[test]
    fn while_the_registry_answers_its_list_is_believed() {
        let (mut belief, now) = (Belief::new(TTL), Instant::now());
        belief.heard(answer("s", &["a", "b"]), now);
        assert_eq!(names(&belief), ["a", "b"]);
        belief.heard(answer("s", &["b", "c"]), now);
        assert_eq!(names(&belief), ["b", "c"]);
    }

    #[test]
    fn a_registry_that_was_away_or_is_another_one_removes_nobody_for_a_lease() {
        for is_away in [true, false] {
            let (mut belief, start) = (Belief::new(TTL), Instant::now());
            belief.heard(answer("s", &["a", "b"]), start);
            if is_away {
                belief.silent();
            }
            let store = if is_away { "s" } else { "other" };
            let back = start + Duration::from_secs(60);
            belief.heard(answer(store, &["c"]), back);
            assert_eq!(names(&belief), ["a", "b", "c"]);
            belief.heard(answer(store, &["b", "c"]), back + TTL - Duration::from_millis(1));
            assert_eq!(names(&belief), ["a", "b", "c"]);
            belief.heard(answer(store, &["b", "c"]), back + TTL);
            assert_eq!(names(&belief), ["b", "c"]);
        }
    }

    #[test]
    fn an_outage_within_the_lenient_time_begins_it_again() {
        let (mut belief, start) = (Belief::new(TTL), Instant::now());
        belief.heard(answer("s", &["a"]), start);
        belief.silent();
        belief.heard(answer("s", &[]), start);
        belief.silent();
        let back = start + TTL;
        belief.heard(answer("s", &[]), back);
        assert_eq!(names(&belief), ["a"]);
        belief.heard(answer("s", &[]), back + TTL);
        assert!(names(&belief).is_empty());
    }

    #[test]
    fn of_two_with_a_store_the_later_one_is_called() {
        let mut belief = Belief::new(TTL);
        let of = |id: &str, opened_ms: Option<u64>| Instance {
            store: opened_ms.map(|opened_ms| StoreFacts { id: "s".to_owned(), opened_ms }),
            ..instance(id)
        };
        let live = vec![of("a", Some(9)), of("b", Some(5)), of("c", None)];
        belief.heard(Instances { identity: PartitionIdentity("x".to_owned()), live }, Instant::now());
        assert_eq!(belief.view().store_owner().unwrap().id.as_str(), "a");
    }

    #[test]
    fn who_had_the_store_last_is_remembered_until_somebody_else_has_it() {
        let mut belief = Belief::new(TTL);
        let of = |id: &str, opened_ms: u64| Instance {
            store: Some(StoreFacts { id: "s".to_owned(), opened_ms }),
            ..instance(id)
        };
        let mut hear = |live: Vec<Instance>| {
            belief.heard(Instances { identity: PartitionIdentity("x".to_owned()), live }, Instant::now());
            let view = belief.view();
            let name = |owner: Option<&Arc<Instance>>| owner.map(|owner| owner.id.to_string());
            (name(view.store_owner()), name(view.last_store_owner()))
        };
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(hear(vec![instance("b")]), (None, None));
        assert_eq!(hear(vec![of("a", 1)]), (some("a"), some("a")));
        assert_eq!(hear(vec![instance("b")]), (None, some("a")));
        assert_eq!(hear(vec![of("b", 2)]), (some("b"), some("b")));
    }

    #[test]
    fn a_gateway_is_found_by_its_name() {
        let (mut belief, now) = (Belief::new(TTL), Instant::now());
        let mut answer = answer("s", &["a", "b", "c"]);
        answer.live[1].roles = vec![Role::Notifier];
        belief.heard(answer, now);
        let view = belief.view();
        let found = |id: &str| view.gateway(&GatewayId::new(id).unwrap()).map(|found| found.id.to_string());
        assert_eq!(["a", "b", "c", "d"].map(found), [Some("a".to_owned()), None, Some("c".to_owned()), None]);
    }
}
