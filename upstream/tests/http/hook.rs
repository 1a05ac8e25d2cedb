//! The offline hook: batches, signatures, and a receiver that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::backends::OfflineReport;
use doorbell_protocol::{DirtyMap, Hint, Timestamp, TopicId, UserId, Version};
use doorbell_rpc::{Missed, Mutes, OfflineHook};
use doorbell_upstream::hook::{Config, Error, Metrics, signature::sign};
use doorbell_upstream::{Hook, Secret};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::server::{Behaviour, Server};

const SECRET: &str = "a secret of some length";
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers with these statuses, then with 200.
struct Receiver {
    server: Server,
    taken: usize,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let answer = |status| Behaviour::Answer(status, Vec::new(), String::new());
        let server = Server::scripted(statuses.iter().map(|status| answer(*status)), answer(200)).await;
        Self { server, taken: 0 }
    }

    /// The next delivery, its signature checked.
    async fn next(&mut self) -> OfflineReport {
        let asked = tokio::time::timeout(PATIENCE, self.server.nth(self.taken)).await.unwrap();
        self.taken += 1;
        assert_eq!(asked.headers["doorbell-signature"], *sign(SECRET.as_bytes(), clock_time(), &asked.body));
        let report: OfflineReport = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(asked.headers["doorbell-delivery"], *report.delivery);
        report
    }
}

fn clock_time() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn config(receiver: &Receiver) -> Config {
    Config {
        url: format!("{}/hook", receiver.server.url),
        secret_file: "secret".into(),
        window: Duration::from_millis(50),
        retry_min: Duration::from_millis(1),
        retry_max: Duration::from_millis(20),
        ..Config::default()
    }
}

struct Running {
    hook: Box<dyn OfflineHook>,
    registry: prometheus::Registry,
    stop: CancellationToken,
    reported: CancellationToken,
    task: JoinSet<()>,
}

/// One user has muted everything; the first question fails.
#[derive(Default)]
struct OneIsDeaf {
    asked: AtomicUsize,
}

#[async_trait]
impl Mutes for OneIsDeaf {
    async fn unmuted(&self, mut missed: Vec<Missed>) -> Result<Vec<Missed>, doorbell_rpc::Error> {
        if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(doorbell_rpc::Error::Unavailable {
                service: "message-svc",
                reason: "told to".into(),
            });
        }
        missed.retain(|one| one.user.as_str() != "deaf");
        Ok(missed)
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn start(config: Config) -> Running {
    start_heeding(config, None)
}

fn start_heeding(config: Config, mutes: Option<Arc<dyn Mutes>>) -> Running {
    let registry = prometheus::Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let mut hook = Hook::new(config, &secret(SECRET), Arc::new(clock_time), metrics).unwrap();
    if let Some(mutes) = mutes {
        hook = hook.heeding(mutes);
    }
    let (handle, mut task) = (hook.handle(), JoinSet::new());
    let (stop, reported) = (CancellationToken::new(), CancellationToken::new());
    task.spawn(hook.run(stop.clone(), reported.clone()));
    Running { hook: Box::new(handle), registry, stop, reported, task }
}

impl Running {
    fn miss(&self, user: &str, topic: &str, version: u64) {
        let mut news = DirtyMap::default();
        news.hint(Hint { topic: TopicId::new(topic).unwrap(), version: Version::new(version).unwrap() });
        self.hook.missed(vec![Missed { user: UserId::new(user).unwrap(), news }]);
    }

    fn users(&self, outcome: &str) -> u64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let name = format!("doorbell_upstream_hook_users_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }

    async fn wait_for(&self, outcome: &str, users: u64) {
        let reached = async {
            while self.users(outcome) < users {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap();
    }

    async fn end(&mut self) {
        tokio::time::timeout(PATIENCE, self.task.join_next()).await.unwrap().unwrap().unwrap();
    }
}

fn names(report: &OfflineReport) -> Vec<&str> {
    report.users.iter().map(|user| user.user.as_str()).collect()
}

#[tokio::test]
async fn users_of_a_window_go_out_together_each_once_with_the_greatest_versions() {
    let mut receiver = Receiver::start(&[]).await;
    let running = start(config(&receiver));

    for (user, topic, version) in [("ada", "a:1", 1), ("bob", "a:1", 1), ("ada", "a:1", 3), ("ada", "b:1", 9)]
    {
        running.miss(user, topic, version);
    }

    let report = receiver.next().await;
    assert_eq!((names(&report), report.at_ms), (vec!["ada", "bob"], clock_time()));
    let versions: Vec<u64> = report.users[0].topics.values().map(|version| version.get()).collect();
    assert_eq!((versions, report.users[0].resync), (vec![3, 9], false));
    running.wait_for("delivered", 2).await;
}

#[tokio::test]
async fn a_receiver_that_fails_first_gets_the_same_delivery_again() {
    let mut receiver = Receiver::start(&[500, 302, 404]).await;
    let running = start(config(&receiver));

    running.miss("ada", "a:1", 1);

    let first = receiver.next().await;
    for _ in 0..3 {
        assert_eq!(receiver.next().await, first);
    }
    running.wait_for("delivered", 1).await;
    assert_eq!(running.users("given_up"), 0);
}

#[tokio::test]
async fn what_is_too_old_is_given_up_and_the_next_goes_out() {
    let mut receiver = Receiver::start(&[500]).await;
    let config = Config {
        age_max: Duration::from_millis(500),
        // The second try would come too late.
        retry_min: Duration::from_secs(1),
        retry_max: Duration::from_secs(1),
        ..config(&receiver)
    };
    let running = start(config);

    running.miss("ada", "a:1", 1);
    running.wait_for("given_up", 1).await;
    running.miss("bob", "a:1", 1);

    assert_eq!(names(&receiver.next().await), ["ada"]);
    assert_eq!(names(&receiver.next().await), ["bob"]);
}

#[tokio::test]
async fn what_a_user_has_muted_is_not_reported_and_nothing_is_until_that_is_known() {
    let mut receiver = Receiver::start(&[500]).await;
    let mutes = Arc::new(OneIsDeaf::default());
    let running = start_heeding(config(&receiver), Some(mutes.clone()));

    running.miss("deaf", "a:1", 1);
    running.miss("ada", "a:1", 1);

    let first = receiver.next().await;
    assert_eq!(names(&first), ["ada"]);
    assert_eq!(receiver.next().await, first);
    running.wait_for("delivered", 1).await;
    assert_eq!((running.users("muted"), mutes.asked.load(Ordering::Relaxed)), (1, 2));

    running.miss("deaf", "a:1", 2);
    running.wait_for("muted", 2).await;
    running.miss("ada", "a:1", 2);
    assert_eq!(names(&receiver.next().await), ["ada"], "a batch with nobody left is not posted");
}

#[tokio::test]
async fn batches_are_bounded_and_without_room_the_oldest_users_go_first() {
    let mut receiver = Receiver::start(&[]).await;
    let config = Config {
        batch_users_max: 2.try_into().unwrap(),
        users_waiting_max: 3.try_into().unwrap(),
        deliveries_max: 1.try_into().unwrap(),
        ..config(&receiver)
    };
    let running = start(config);

    for user in ["a", "b", "c", "d"] {
        running.miss(user, "a:1", 1);
    }

    assert_eq!(names(&receiver.next().await), ["b", "c"]);
    assert_eq!(names(&receiver.next().await), ["d"]);
    assert_eq!(running.users("dropped"), 1);
}

#[tokio::test]
async fn at_the_end_what_waits_and_what_is_still_reported_goes_out_without_its_window() {
    let mut receiver = Receiver::start(&[]).await;
    let long = Duration::from_secs(3_600);
    let mut running = start(Config { window: long, age_max: 2 * long, ..config(&receiver) });
    running.miss("ada", "a:1", 1);

    running.stop.cancel();
    assert_eq!(names(&receiver.next().await), ["ada"]);
    running.wait_for("delivered", 1).await;
    // One that ended now would have ended within these.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    running.miss("bob", "a:1", 1);
    assert_eq!(names(&receiver.next().await), ["bob"]);
    running.reported.cancel();

    running.end().await;
    assert_eq!((running.users("delivered"), running.users("given_up")), (2, 0));
}

#[tokio::test]
async fn the_end_tries_once_more_a_receiver_that_fails() {
    let mut receiver = Receiver::start(&[500; 20]).await;
    let long = Duration::from_secs(3_600);
    let config = Config { retry_min: long, retry_max: long, age_max: 9 * long, ..config(&receiver) };
    let mut running = start(config);
    running.miss("ada", "a:1", 1);
    receiver.next().await;

    running.stop.cancel();
    running.reported.cancel();

    receiver.next().await;
    running.end().await;
    assert_eq!(running.users("given_up"), 1);
}

#[tokio::test]
async fn the_end_waits_for_no_receiver_that_does_not_answer() {
    let receiver = Receiver { server: Server::start(Behaviour::Hang).await, taken: 0 };
    let config = Config {
        delivery_timeout: Duration::from_secs(3_600),
        deliveries_max: 1.try_into().unwrap(),
        batch_users_max: 1.try_into().unwrap(),
        stop_timeout: Duration::from_millis(200),
        ..config(&receiver)
    };
    let mut running = start(config);
    running.miss("ada", "a:1", 1);
    running.miss("bob", "a:1", 1);
    receiver.server.nth(0).await;

    running.stop.cancel();
    running.reported.cancel();

    running.end().await;
    assert_eq!(running.users("given_up"), 2);
    running.miss("cleo", "a:1", 1);
    assert_eq!(running.users("given_up"), 3, "who is reported after the end is not silently taken");
}

#[tokio::test]
async fn the_end_s_time_begins_when_nobody_reports_any_more() {
    let mut receiver = Receiver::start(&[]).await;
    let stop_timeout = Duration::from_millis(300);
    let mut running = start(Config { stop_timeout, ..config(&receiver) });

    running.stop.cancel();
    let ended = tokio::time::timeout(2 * stop_timeout, running.task.join_next()).await;
    assert!(ended.is_err(), "somebody may report still");
    running.miss("ada", "a:1", 1);
    assert_eq!(names(&receiver.next().await), ["ada"]);
    running.reported.cancel();

    running.end().await;
    assert_eq!((running.users("delivered"), running.users("given_up")), (1, 0));
}

#[tokio::test]
async fn who_waits_when_the_hook_is_dropped_is_given_up() {
    let receiver = Receiver::start(&[]).await;
    let long = Duration::from_secs(3_600);
    let mut running = start(Config { window: long, age_max: 2 * long, ..config(&receiver) });
    running.miss("ada", "a:1", 1);

    running.task.shutdown().await;

    assert_eq!(running.users("given_up"), 1);
}

#[tokio::test]
async fn a_secret_that_can_be_guessed_is_refused() {
    let receiver = Receiver::start(&[]).await;
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let hook = Hook::new(config(&receiver), &secret("short"), Arc::new(clock_time), metrics);
    assert!(matches!(hook.err(), Some(Error::Secret)));
}
