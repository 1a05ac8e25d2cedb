//! A back-end with one online user, by the server's own time.

use std::time::Duration;

use doorbell_backplane::redis::{Address, ConnectError};
use doorbell_backplane::{
    Claim, Enter, Entered, Entry, Error, HintQueue as _, HintReport, News, Partition, Redis, Registry as _,
    Settled, Settlement, UserHint,
};
use doorbell_protocol::{GatewayId, Generation, Hint, Stamp, TopicId, UserId, Version};
use tokio::time::Instant;

use super::harness::{backplane, section};

const LEASE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);

pub fn user(name: &str) -> UserId {
    UserId::new(name).expect("a valid user")
}

pub fn news() -> News {
    News::Hint(Hint { topic: TopicId::new("t:1").expect("valid"), version: Version::new(7).expect("small") })
}

/// Short deadlines, so that a test sees them pass.
pub async fn connect(urls: &[String]) -> Result<Redis, ConnectError> {
    let section = section(urls);
    connect_with(doorbell_backplane::redis::Config {
        call_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_millis(500),
        ..section
    })
    .await
}

pub async fn connect_with(section: doorbell_backplane::redis::Config) -> Result<Redis, ConnectError> {
    Redis::connect(&backplane(), &section).await
}

pub fn at(url: &str) -> Address {
    Address::new(url)
}

/// Calls again until it is answered; how often a call failed does not matter.
pub async fn until<T, E: std::fmt::Debug>(what: &str, mut call: impl AsyncFnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match call().await {
            Ok(done) => return done,
            Err(error) => assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}: {error:?}"),
        }
        tokio::task::yield_now().await;
    }
}

pub async fn enter(redis: &Redis, user: &UserId) -> Result<Entry, Error> {
    let gateway = GatewayId::new("g1").expect("valid");
    let epoch = redis.take_lease(&gateway, redis.partitions().of(user), LEASE).await?.epoch;
    let entry = Entry { gateway, stamp: Stamp { epoch, generation: Generation(1) } };
    let entered = redis.enter(vec![Enter { user: user.clone(), entry: entry.clone() }]).await?;
    assert_eq!(entered, [Entered::Registered]);
    Ok(entry)
}

pub async fn hint(redis: &Redis, user: &UserId) -> Result<HintReport, Error> {
    redis.hint(vec![UserHint { user: user.clone(), news: news() }]).await
}

pub async fn claim(redis: &Redis, user: &UserId) -> Result<Vec<Claim>, Error> {
    redis.claim(redis.partitions().of(user), 10, LEASE).await
}

pub async fn ack(redis: &Redis, claim: &Claim) -> Result<Vec<Settled>, Error> {
    let Claim { user, token, .. } = claim.clone();
    let settlement = Settlement { user, token, absent: vec![], unreachable: vec![] };
    redis.settle(redis.partitions().of(&claim.user), vec![settlement], Duration::ZERO).await
}

/// What the partition's store is.
pub async fn identity(redis: &Redis, partition: Partition) -> Result<String, Error> {
    let gateway = GatewayId::new("watcher").expect("valid");
    Ok(redis.take_lease(&gateway, partition, LEASE).await?.identity.0)
}

/// The whole way of a hint.
pub async fn ring(redis: &Redis, user: &UserId) {
    enter(redis, user).await.expect("entered");
    assert!(hint(redis, user).await.expect("hinted").offline.is_empty());
    let claims = claim(redis, user).await.expect("claimed");
    assert_eq!(claims.iter().map(|claim| &claim.user).collect::<Vec<_>>(), [user]);
    assert_eq!(
        ack(redis, &claims[0]).await.expect("settled"),
        [Settled::Acked { requeued: false, online: true }]
    );
}

/// What an unavailable back-end says.
pub fn reason<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    let Error::Unavailable { reason } = answer.expect_err("the server does not do it");
    reason
}
