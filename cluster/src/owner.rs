//! Which of several processes owns a topic: the one with the greatest hash of both (rendezvous hashing, Thaler and
//! Ravishankar 1998). Who comes takes its share from everybody, who goes leaves its share to everybody, and nothing else
//! moves.

use doorbell_backplane::Instance;
use doorbell_protocol::{InstanceId, TopicId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The owner of a topic among some processes; `None` where there is none.
#[must_use]
pub fn owner<'a, I: AsRef<Instance>>(topic: &TopicId, among: &'a [I]) -> Option<&'a I> {
    let seed = xxh3_64_with_seed(topic.as_str().as_bytes(), 0);
    let ranked = among.iter().map(|instance| (weight(&instance.as_ref().id, seed), instance));
    let best = ranked.max_by(|(one, first), (other, second)| {
        one.cmp(other).then_with(|| first.as_ref().id.cmp(&second.as_ref().id))
    });
    best.map(|(_, instance)| instance)
}

fn weight(instance: &InstanceId, seed: u64) -> u64 {
    xxh3_64_with_seed(instance.as_str().as_bytes(), seed)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::view::tests::instance;

    fn some(names: &[&str]) -> Vec<Arc<Instance>> {
        names.iter().map(|name| Arc::new(instance(name))).collect()
    }

    fn topics() -> impl Iterator<Item = TopicId> {
        (0..3_000).map(|number| TopicId::new(format!("t:{number}")).unwrap())
    }

    fn owners(among: &[Arc<Instance>]) -> Vec<String> {
        topics().map(|topic| owner(&topic, among).unwrap().id.to_string()).collect()
    }

    #[test]
    fn everybody_owns_about_as_much_and_the_order_does_not_matter() {
        let owned = owners(&some(&["a", "b", "c"]));
        assert_eq!(owned, owners(&some(&["c", "a", "b"])));
        let mut counts = HashMap::new();
        owned.iter().for_each(|name| *counts.entry(name).or_insert(0) += 1);
        assert!(counts.len() == 3 && counts.values().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    #[test]
    fn who_comes_takes_only_what_it_owns_itself() {
        let (before, after) = (owners(&some(&["a", "b", "c"])), owners(&some(&["a", "b", "c", "d"])));
        let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
        assert!(moved.iter().all(|(_, after)| *after == "d"), "a topic moved between those who stayed");
        assert!((600..900).contains(&moved.len()), "{} of 3000 moved", moved.len());
    }

    #[test]
    fn the_owner_is_the_same_in_every_build() {
        let among = some(&["i-1", "i-2", "i-3", "i-4"]);
        let named = |topic: &str| owner(&TopicId::new(topic).unwrap(), &among).unwrap().id.to_string();
        let topics = ["conversation:a", "conversation:b", "news:de", "presence:ada"];
        assert_eq!(topics.map(named), ["i-4", "i-2", "i-2", "i-1"]);
        assert!(owner::<Arc<Instance>>(&TopicId::new("t:1").unwrap(), &[]).is_none());
    }
}
