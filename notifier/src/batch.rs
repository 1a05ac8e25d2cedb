//! Pure: claims in, one batch a gateway out.

use std::collections::HashMap;

use doorbell_backplane::{Claim, ClaimToken, Entry};
use doorbell_protocol::{GatewayId, Stamp, Timestamp, UserId};
use doorbell_rpc::DeliverRequest;

/// A claim whose map is on its way to the gateways.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) user: UserId,
    pub(crate) token: ClaimToken,
    pub(crate) since: Timestamp,
    /// Gateways that have not answered yet.
    pub(crate) open: usize,
}

/// Who of the held users stands at which place of a gateway's batch, with the stamp of their entry there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) gateway: GatewayId,
    pub(crate) members: Vec<(usize, Stamp)>,
}

impl Route {
    pub(crate) fn entry(&self, stamp: Stamp) -> Entry {
        Entry { gateway: self.gateway.clone(), stamp }
    }
}

/// What one gateway is asked; `requests` stand in the order of the route's members.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) route: Route,
    pub(crate) requests: Vec<DeliverRequest>,
}

/// One batch a gateway, in the order in which the gateways first occur, and another for its users whose large topics
/// must be asked for again: that takes the gateway a call of its own, and the others are not to wait for it. A user
/// with several gateways is in several batches; one with none is in no batch.
pub(crate) fn group(claims: Vec<Claim>) -> (Vec<Held>, Vec<Batch>) {
    let mut held = Vec::with_capacity(claims.len());
    let mut batches: Vec<Batch> = Vec::new();
    let mut places: HashMap<(GatewayId, bool), usize> = HashMap::new();
    for (index, claim) in claims.into_iter().enumerate() {
        let Claim { user, token, mut dirty, entries, since } = claim;
        let open = entries.len();
        for (nth, entry) in entries.into_iter().enumerate() {
            // The last gateway takes the map itself: most users have one.
            let dirty = if nth + 1 == open { std::mem::take(&mut dirty) } else { dirty.clone() };
            let place = *places.entry((entry.gateway.clone(), dirty.refollow())).or_insert_with(|| {
                let route = Route { gateway: entry.gateway.clone(), members: Vec::new() };
                batches.push(Batch { route, requests: Vec::new() });
                batches.len() - 1
            });
            batches[place].route.members.push((index, entry.stamp));
            batches[place].requests.push(DeliverRequest { user: user.clone(), dirty });
        }
        held.push(Held { user, token, since, open });
    }
    (held, batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::{DirtyMap, Epoch, Generation, Hint, TopicId, Version};

    fn stamp(generation: u64) -> Stamp {
        Stamp { epoch: Epoch(1), generation: Generation(generation) }
    }

    fn dirty(version: u64) -> DirtyMap {
        let mut map = DirtyMap::default();
        map.hint(Hint { topic: TopicId::new("t:1").unwrap(), version: Version::new(version).unwrap() });
        map
    }

    fn claim(user: &str, number: u64, gateways: &[&str]) -> Claim {
        let entries =
            gateways.iter().map(|id| Entry { gateway: GatewayId::new(id).unwrap(), stamp: stamp(number) });
        Claim {
            user: UserId::new(user).unwrap(),
            token: ClaimToken(number.into()),
            dirty: dirty(number),
            entries: entries.collect(),
            since: Timestamp::from_millis(number),
        }
    }

    #[test]
    fn each_gateway_gets_one_batch_with_the_whole_map_of_each_of_its_users() {
        let (held, batches) =
            group(vec![claim("ada", 1, &["gw-1", "gw-2"]), claim("bob", 2, &["gw-2"]), claim("eve", 3, &[])]);

        let shape: Vec<_> =
            batches.iter().map(|batch| (batch.route.gateway.as_str(), batch.route.members.clone())).collect();
        assert_eq!(shape, [("gw-1", vec![(0, stamp(1))]), ("gw-2", vec![(0, stamp(1)), (1, stamp(2))])]);
        let asked: Vec<_> = batches[1].requests.iter().map(|r| (r.user.as_str(), r.dirty.clone())).collect();
        assert_eq!(asked, [("ada", dirty(1)), ("bob", dirty(2))]);
        assert_eq!(batches[0].requests[0].dirty, dirty(1));
        assert_eq!(held.iter().map(|h| h.open).collect::<Vec<_>>(), [2, 1, 0]);
    }

    #[test]
    fn users_to_refollow_hold_up_nobody_else_of_their_gateway() {
        let mut follows = claim("bob", 2, &["gw-1"]);
        follows.dirty.mark_refollow();
        let (held, batches) = group(vec![claim("ada", 1, &["gw-1"]), follows, claim("eve", 3, &["gw-1"])]);

        let shape: Vec<_> = batches.iter().map(|batch| batch.route.members.clone()).collect();
        assert_eq!(shape, [vec![(0, stamp(1)), (2, stamp(3))], vec![(1, stamp(2))]]);
        assert!(held.iter().all(|held| held.open == 1));
    }
}
