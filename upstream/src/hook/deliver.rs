//! One batch to the hook: tried until it is taken, or too old.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::Clock;
use doorbell_protocol::backends::{DELIVERY_HEADER, OfflineReport, OfflineUser};
use doorbell_rpc::{Backoff, Missed, Mutes};
use http::header::CONTENT_TYPE;
use http::{Request, Uri};
use http_body_util::Full;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::config::Config;
use super::gather::Batch;
use super::metrics::{Fate, Metrics, Try};
use super::signature::{SECRET_BYTES_MIN, SIGNATURE_HEADER, sign};
use crate::http::{Answer, Connections, Http, with_causes};
use crate::secret::Secret;

/// Largest answer that is read: what it says beside its status nobody wants to know.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The way to the hook.
pub(super) struct Courier {
    url: Uri,
    secret: Secret,
    http: Http,
    /// What is left out.
    pub(super) mutes: Option<Arc<dyn Mutes>>,
    clock: Clock,
    config: Config,
    metrics: Metrics,
    /// Whether the last try failed: a row of failures is logged once.
    failing: AtomicBool,
}

/// A batch without what is muted, as it is posted.
struct Delivery {
    name: String,
    body: Bytes,
}

/// Users of whom the hook has to hear yet: given up when it is dropped, at whichever end.
struct Owed<'m> {
    metrics: &'m Metrics,
    users: usize,
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.metrics.users(Fate::GivenUp, self.users);
    }
}

/// Why a try failed.
struct Failed {
    what: String,
    /// How long the receiver asked to wait.
    asked: Option<Duration>,
}

impl Courier {
    pub(super) fn new(
        config: &Config,
        secret: &Secret,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        if secret.reveal().len() < SECRET_BYTES_MIN {
            return Err(Error::Secret);
        }
        let url = config.address()?;
        let connections = Connections {
            connect_timeout: config.connect_timeout,
            idle_timeout: config.idle_timeout,
            idle_max: config.deliveries_max.get(),
        };
        let http = Http::new(&url, connections).map_err(Error::Certificates)?;
        Ok(Self {
            url,
            secret: secret.clone(),
            http,
            mutes: None,
            clock,
            config: config.clone(),
            metrics,
            failing: AtomicBool::new(false),
        })
    }

    /// Delivers one batch. After a stop it is tried once more, at once.
    ///
    /// *Cancel safety*: who is dropped with it is counted as given up.
    pub(super) async fn deliver(self: Arc<Self>, batch: Batch, stop: CancellationToken) {
        let Batch { users, stale_at } = batch;
        let mut owed = Owed { metrics: &self.metrics, users: users.len() };
        let mut ready = None;
        let mut backoff = Backoff::new(self.config.retry_min, self.config.retry_max);
        loop {
            let is_last = stop.is_cancelled();
            let Err(Failed { what, asked }) = self.attempt(&users, &mut ready, &mut owed).await else {
                return;
            };
            if !self.failing.swap(true, Ordering::Relaxed) {
                tracing::warn!(what, "the offline hook did not take a delivery; trying again");
            }
            let wait = backoff.failed().max(asked.unwrap_or_default().min(self.config.retry_max));
            if is_last || Instant::now() + wait >= stale_at {
                break;
            }
            stop.run_until_cancelled(sleep(wait)).await;
        }
        tracing::error!(users = owed.users, "the offline hook did not take a delivery: given up");
    }

    /// Tries once. What is to be posted is made at the first try that finds out what is muted, and stays as it is.
    async fn attempt(
        &self,
        users: &[Missed],
        ready: &mut Option<Delivery>,
        owed: &mut Owed<'_>,
    ) -> Result<(), Failed> {
        let delivery = match ready {
            Some(delivery) => delivery,
            None => ready.insert(self.prepare(users.to_vec(), owed).await?),
        };
        if owed.users == 0 {
            return Ok(());
        }
        let began = Instant::now();
        let posted = self.post(delivery).await;
        let outcome = if posted.is_ok() { Try::Taken } else { Try::Failed };
        self.metrics.tried(outcome, began.elapsed());
        posted?;
        self.metrics.users(Fate::Delivered, std::mem::take(&mut owed.users));
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the offline hook takes deliveries again");
        }
        Ok(())
    }

    async fn prepare(&self, users: Vec<Missed>, owed: &mut Owed<'_>) -> Result<Delivery, Failed> {
        let users = self.unmuted(users).await?;
        self.metrics.users(Fate::Muted, owed.users - users.len());
        owed.users = users.len();
        let name = format!("{:032x}", rand::random::<u128>());
        Ok(Delivery { body: self.body(&name, users), name })
    }

    async fn unmuted(&self, users: Vec<Missed>) -> Result<Vec<Missed>, Failed> {
        let Some(mutes) = &self.mutes else { return Ok(users) };
        let what = match timeout(self.config.delivery_timeout, mutes.unmuted(users)).await {
            Ok(Ok(users)) => return Ok(users),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        Err(Failed { what: format!("nobody could say what is muted: {what}"), asked: None })
    }

    fn body(&self, delivery: &str, users: Vec<Missed>) -> Bytes {
        let user = |Missed { user, news }| OfflineUser {
            user,
            topics: news.topics().clone(),
            resync: news.resync(),
        };
        let report = OfflineReport {
            delivery: delivery.to_owned(),
            at_ms: (self.clock)(),
            users: users.into_iter().map(user).collect(),
        };
        serde_json::to_vec(&report).expect("text and numbers always encode").into()
    }

    /// Each try is signed anew, so that a receiver may refuse old signatures.
    async fn post(&self, delivery: &Delivery) -> Result<(), Failed> {
        let signature = sign(self.secret.reveal().as_bytes(), (self.clock)(), &delivery.body);
        let request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(DELIVERY_HEADER, &delivery.name)
            .header(SIGNATURE_HEADER, signature)
            .body(Full::new(delivery.body.clone()))
            .expect("an address and plain text make a request");
        match self.http.send(request, self.config.delivery_timeout, ANSWER_BYTES_MAX).await {
            Ok(Answer { status, .. }) if status.is_success() => Ok(()),
            Ok(Answer { status, retry_after_secs, .. }) => Err(Failed {
                what: format!("it answered {status}"),
                asked: retry_after_secs.map(Duration::from_secs),
            }),
            Err(error) => Err(Failed { what: with_causes(&error), asked: None }),
        }
    }
}
