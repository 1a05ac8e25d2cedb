//! Members who were to be rung and had no session, with what they missed.

use std::collections::{HashMap, HashSet};

use doorbell_backplane::{News, UserHint};
use doorbell_protocol::{DirtyMap, UserId};
use doorbell_rpc::Missed;

/// Those of `offline` with what these hints held for them.
pub(super) fn missed(hints: Vec<UserHint>, offline: Vec<UserId>) -> Vec<Missed> {
    let offline: HashSet<UserId> = offline.into_iter().collect();
    let mut missed: HashMap<UserId, DirtyMap> = HashMap::new();
    for UserHint { user, news } in hints {
        // A refollow is a gateway's business: nobody is woken for it.
        if let News::Hint(hint) = news
            && offline.contains(&user)
        {
            missed.entry(user).or_default().hint(hint);
        }
    }
    missed.into_iter().map(|(user, news)| Missed { user, news }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::{Hint, TopicId, Version};

    #[test]
    fn only_who_is_offline_missed_something_and_a_refollow_is_nothing() {
        let user = |name: &str| UserId::new(name).unwrap();
        let hint = |topic: &str, version| {
            let (topic, version) = (TopicId::new(topic).unwrap(), Version::new(version).unwrap());
            Hint { topic, version }
        };
        let to = |name: &str, news| UserHint { user: user(name), news };
        let hints = vec![
            to("ada", News::Hint(hint("a:1", 1))),
            to("bob", News::Hint(hint("a:1", 1))),
            to("bob", News::Hint(hint("a:2", 5))),
            to("eve", News::Refollow),
        ];

        let missed = missed(hints, vec![user("bob"), user("eve")]);

        let mut news = DirtyMap::default();
        news.hint(hint("a:1", 1));
        news.hint(hint("a:2", 5));
        assert_eq!(missed, [Missed { user: user("bob"), news }]);
    }
}
