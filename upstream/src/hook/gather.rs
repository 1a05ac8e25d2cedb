//! Pure: who waits to be reported, each once, with merged news.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use doorbell_protocol::{DirtyMap, UserId};
use doorbell_rpc::Missed;
use tokio::time::Instant;

use super::config::Config;

/// What surrounds a user, and a topic with its version, in a report; about what they take in memory beside their names.
const USER_BYTES: usize = 64;
const TOPIC_BYTES: usize = 32;

/// Users in the order in which they were first missed. The news of one are bounded by themselves.
pub(super) struct Waiting {
    news: HashMap<UserId, DirtyMap>,
    /// Each of them once, with when they were first missed.
    order: VecDeque<(Instant, UserId)>,
    /// The weight of all of them.
    bytes: usize,
    limits: Limits,
}

/// How much waits, how long, and how much goes out at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) users_max: usize,
    pub(super) bytes_max: usize,
    pub(super) batch_users_max: usize,
    pub(super) batch_bytes_max: usize,
    pub(super) window: Duration,
    pub(super) age_max: Duration,
}

/// Users who go out together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) users: Vec<Missed>,
    /// From then on nobody wants to hear of it.
    pub(super) stale_at: Instant,
}

/// Whose window counts when a batch is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// Only those whose is over.
    Over,
    /// Everybody: the process ends.
    Cut,
}

impl Limits {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            users_max: config.users_waiting_max.get(),
            bytes_max: config.bytes_waiting_max,
            batch_users_max: config.batch_users_max.get(),
            batch_bytes_max: config.batch_bytes_max,
            window: config.window,
            age_max: config.age_max,
        }
    }
}

impl Waiting {
    pub(super) fn new(limits: Limits) -> Self {
        Self { news: HashMap::new(), order: VecDeque::new(), bytes: 0, limits }
    }

    /// Merges one user's news; answers how many had to go for it, the oldest first.
    pub(super) fn add(&mut self, missed: Missed, now: Instant) -> usize {
        let Missed { user, news } = missed;
        if news.topics().is_empty() && !news.resync() {
            // A mark for a gateway: nothing that a person would want to know.
            return 0;
        }
        if let Some(known) = self.news.get_mut(&user) {
            let before = weight(&user, known);
            known.merge(news);
            self.bytes = self.bytes - before + weight(&user, known);
        } else {
            self.bytes += weight(&user, &news);
            self.order.push_back((now, user.clone()));
            self.news.insert(user, news);
        }
        let mut dropped = 0;
        while (self.len() > self.limits.users_max || self.bytes > self.limits.bytes_max)
            && self.pop().is_some()
        {
            dropped += 1;
        }
        dropped
    }

    /// The next batch, the oldest first: within the limits of one, or a single user. Empty where nobody is due.
    ///
    /// It is given up as a whole when its oldest news are, so nobody is in it who was missed more than a window after
    /// the first.
    pub(super) fn take(&mut self, now: Instant, window: Window) -> Batch {
        let first = self.order.front().map_or(now, |(since, _)| *since);
        let stale_at = first + self.limits.age_max;
        let (mut users, mut bytes) = (Vec::new(), 0);
        while users.len() < self.limits.batch_users_max
            && let Some((since, user)) = self.order.front()
            && (window == Window::Cut || *since + self.limits.window <= now)
            && *since <= first + self.limits.window
        {
            bytes += self.news.get(user).map_or(0, |news| weight(user, news));
            if bytes > self.limits.batch_bytes_max && !users.is_empty() {
                break;
            }
            users.extend(self.pop());
        }
        Batch { users, stale_at }
    }

    /// Drops those of whom nobody wants to hear any more; answers how many.
    pub(super) fn drop_stale(&mut self, now: Instant) -> usize {
        let mut dropped = 0;
        while self.order.front().is_some_and(|(since, _)| *since + self.limits.age_max <= now)
            && self.pop().is_some()
        {
            dropped += 1;
        }
        dropped
    }

    /// Drops everybody; answers how many.
    pub(super) fn clear(&mut self) -> usize {
        self.order.clear();
        self.bytes = 0;
        self.news.drain().count()
    }

    /// When the first window ends.
    pub(super) fn due(&self) -> Option<Instant> {
        self.order.front().map(|(since, _)| *since + self.limits.window)
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The oldest, who is there once in both.
    fn pop(&mut self) -> Option<Missed> {
        let (_, user) = self.order.pop_front()?;
        let news = self.news.remove(&user).expect("who stands in the order has news");
        self.bytes -= weight(&user, &news);
        Some(Missed { user, news })
    }
}

/// At least the bytes of one user in a report: at worst each byte of a name is escaped by another.
fn weight(user: &UserId, news: &DirtyMap) -> usize {
    let topics: usize = news.topics().keys().map(|topic| TOPIC_BYTES + 2 * topic.as_str().len()).sum();
    USER_BYTES + 2 * user.as_str().len() + topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::backends::OfflineUser;
    use doorbell_protocol::{Hint, TopicId, Version};

    const WINDOW: Duration = Duration::from_secs(5);
    const LIMITS: Limits = Limits {
        users_max: 10,
        bytes_max: 1_000_000,
        batch_users_max: 10,
        batch_bytes_max: 100_000,
        window: WINDOW,
        age_max: Duration::from_secs(60),
    };

    fn waiting(limits: Limits) -> Waiting {
        Waiting::new(limits)
    }

    fn missed(user: &str, topic: &str, version: u64) -> Missed {
        let mut news = DirtyMap::default();
        news.hint(Hint { topic: TopicId::new(topic).unwrap(), version: Version::new(version).unwrap() });
        Missed { user: UserId::new(user).unwrap(), news }
    }

    fn taken(waiting: &mut Waiting, now: Instant) -> Vec<String> {
        waiting.take(now, Window::Over).users.iter().map(|missed| missed.user.to_string()).collect()
    }

    #[test]
    fn a_user_waits_one_window_and_is_told_once_with_the_greatest_versions() {
        let (mut waiting, start) = (waiting(LIMITS), Instant::now());
        waiting.add(missed("ada", "a:1", 3), start);
        waiting.add(missed("bob", "a:1", 3), start + Duration::from_secs(1));
        waiting.add(missed("ada", "a:1", 2), start + Duration::from_secs(2));
        waiting.add(missed("ada", "a:2", 7), start + Duration::from_secs(4));

        assert!(taken(&mut waiting, start + Duration::from_secs(4)).is_empty());
        let batch = waiting.take(start + WINDOW, Window::Over);

        assert_eq!((batch.users.len(), batch.users[0].user.as_str()), (1, "ada"));
        assert_eq!(batch.stale_at, start + LIMITS.age_max);
        let versions: Vec<_> = batch.users[0].news.topics().values().map(|version| version.get()).collect();
        assert_eq!(versions, [3, 7]);
        assert_eq!((waiting.len(), waiting.due()), (1, Some(start + Duration::from_secs(6))));
    }

    #[test]
    fn a_batch_takes_the_oldest_first_and_leaves_the_rest() {
        let (mut waiting, start) = (waiting(Limits { batch_users_max: 2, ..LIMITS }), Instant::now());
        for user in ["c", "a", "b"] {
            waiting.add(missed(user, "a:1", 1), start);
        }
        assert_eq!(taken(&mut waiting, start + WINDOW), ["c", "a"]);
        assert_eq!(taken(&mut waiting, start + WINDOW), ["b"]);
        assert!(waiting.due().is_none());
    }

    #[test]
    fn fresh_news_do_not_go_out_with_old_ones() {
        for window in [Window::Over, Window::Cut] {
            let (mut waiting, start) = (waiting(LIMITS), Instant::now());
            let fresh = start + 10 * WINDOW;
            for (user, since) in [("old", start), ("same", start + WINDOW), ("fresh", fresh)] {
                waiting.add(missed(user, "a:1", 1), since);
            }
            let batches = [(); 2].map(|()| waiting.take(fresh + WINDOW, window));
            let names = batches
                .each_ref()
                .map(|batch| batch.users.iter().map(|missed| missed.user.as_str()).collect::<Vec<_>>());
            assert_eq!(names, [vec!["old", "same"], vec!["fresh"]]);
            let stale_at = batches.each_ref().map(|batch| batch.stale_at);
            assert_eq!(stale_at, [start + LIMITS.age_max, fresh + LIMITS.age_max]);
        }
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_takes_at_least_one() {
        let batch_bytes_max = 2 * weight(&UserId::new("a").unwrap(), &missed("a", "a:1", 1).news);
        let (mut waiting, start) = (waiting(Limits { batch_bytes_max, ..LIMITS }), Instant::now());
        let long = format!("a:{}", "x".repeat(200));
        for (user, topic) in [("a", "a:1"), ("b", "a:1"), ("c", "a:1"), ("d", &*long), ("e", "a:1")] {
            waiting.add(missed(user, topic, 1), start);
        }
        let batches: Vec<_> = (0..4).map(|_| taken(&mut waiting, start + WINDOW)).collect();
        assert_eq!(batches, [vec!["a", "b"], vec!["c"], vec!["d"], vec!["e"]]);
    }

    #[test]
    fn without_room_the_oldest_goes_and_a_known_user_needs_none() {
        let (mut waiting, start) = (waiting(Limits { users_max: 2, ..LIMITS }), Instant::now());
        let dropped: Vec<usize> =
            ["a", "b", "a", "c"].iter().map(|user| waiting.add(missed(user, "a:1", 1), start)).collect();
        assert_eq!(dropped, [0, 0, 0, 1]);
        assert_eq!(taken(&mut waiting, start + WINDOW), ["b", "c"]);
    }

    #[test]
    fn memory_is_bounded_in_bytes_and_given_back() {
        let bytes_max = 20_000;
        let (mut waiting, start) =
            (waiting(Limits { users_max: 1_000_000, bytes_max, ..LIMITS }), Instant::now());
        let (mut dropped, mut most) = (0, 0);
        for number in 0..5_000 {
            let (user, topic) = (format!("u{}", number % 700), format!("a:{number}"));
            dropped += waiting.add(missed(&user, &topic, 1), start);
            most = most.max(waiting.bytes);
        }
        assert!(dropped > 1_000 && most <= bytes_max, "{dropped} {most}");
        while waiting.len() > 0 {
            waiting.take(start, Window::Cut);
        }
        assert_eq!(waiting.bytes, 0);
    }

    #[test]
    fn what_is_too_old_is_dropped() {
        let (mut waiting, start) = (waiting(LIMITS), Instant::now());
        waiting.add(missed("a", "a:1", 1), start);
        waiting.add(missed("b", "a:1", 1), start + Duration::from_secs(1));
        assert_eq!(waiting.drop_stale(start + LIMITS.age_max - Duration::from_millis(1)), 0);
        assert_eq!(waiting.drop_stale(start + LIMITS.age_max), 1);
        assert_eq!(taken(&mut waiting, start + LIMITS.age_max), ["b"]);
    }

    #[test]
    fn a_report_of_a_user_is_no_longer_than_its_weight() {
        for (user, topics, version) in [("a", 1, 0), (&*"\"".repeat(128), 64, Version::MAX.get())] {
            let mut news = DirtyMap::default();
            for number in 0..topics {
                let topic = format!("a:{number:02}{}", "\\".repeat(252));
                let hint =
                    Hint { topic: TopicId::new(topic).unwrap(), version: Version::new(version).unwrap() };
                news.hint(hint);
            }
            let user = UserId::new(user).unwrap();
            let weight = weight(&user, &news);
            let report = OfflineUser { user, topics: news.topics().clone(), resync: news.resync() };
            let written = serde_json::to_vec(&report).unwrap().len();
            assert!(written < weight && weight < 64 * 1024, "{written} {weight}");
        }
    }

    #[test]
    fn a_mark_for_a_gateway_is_no_news() {
        let mut waiting = waiting(LIMITS);
        let mut news = DirtyMap::default();
        news.mark_refollow();
        waiting.add(Missed { user: UserId::new("ada").unwrap(), news }, Instant::now());
        assert_eq!(waiting.len(), 0);
    }
}
