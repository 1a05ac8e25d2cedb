//! Says once a second that this process is there, and hears who else is.

use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{Discovery, Instance};
use doorbell_rpc::Peer;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::links::Links;
use crate::view::Belief;
use crate::{Config, Metrics, View};

/// Who is asked for in vain is looked for at once, but no more often than that.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// A list that is no older names everybody who matters.
const LOOK_FRESH: Duration = Duration::from_millis(250);
/// How long a call that names somebody unknown waits for the next list.
const LOOK_WAIT: Duration = Duration::from_millis(500);
/// How long the word of the end may take.
const WITHDRAW_TIMEOUT: Duration = Duration::from_millis(500);

/// What this process says of itself, made anew each time.
pub type Describe = Arc<dyn Fn() -> Instance + Send + Sync>;

/// Who else is there, for those who call them. Cheap to clone.
#[derive(Clone)]
pub struct Others {
    views: watch::Receiver<Seen>,
    look: Arc<Notify>,
}

/// A view, and when it was heard; `None` where it never changes.
#[derive(Clone, Default)]
struct Seen {
    view: Arc<View>,
    heard_at: Option<Instant>,
}

impl Others {
    /// Nobody but this process, for ever.
    #[must_use]
    pub fn nobody(own: Instance) -> Self {
        let (views, receiver) = watch::channel(Seen { view: Arc::new(View::of(own)), heard_at: None });
        drop(views);
        Self { views: receiver, look: Arc::default() }
    }

    /// As of now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow().view)
    }

    /// Finds somebody: among those who are known, or else in the next list, which is asked for at once. A list that is
    /// new already is believed: who is gone costs the others no time.
    pub(crate) async fn find<T>(&self, find: impl Fn(&View) -> Option<T>) -> Option<T> {
        let mut views = self.views.clone();
        let Seen { view, heard_at } = views.borrow_and_update().clone();
        if let Some(found) = find(&view) {
            return Some(found);
        }
        if heard_at.is_some_and(|at| at.elapsed() < LOOK_FRESH) {
            return None;
        }
        self.look.notify_one();
        // The registry may be away, or nobody asks it: then there is no next list.
        timeout(LOOK_WAIT, views.changed()).await.ok()?.ok()?;
        find(&self.view())
    }

    /// As [`Others::find`], for somebody who must be there sooner or later: waits for several lists.
    pub(crate) async fn await_one<T>(
        &self,
        patience: Duration,
        find: impl Fn(&View) -> Option<T>,
    ) -> Option<T> {
        let mut views = self.views.clone();
        let found = async {
            loop {
                if let Some(found) = find(&views.borrow_and_update().view) {
                    return Some(found);
                }
                self.look.notify_one();
                views.changed().await.ok()?;
            }
        };
        timeout(patience, found).await.ok()?
    }

    /// Says that something has changed, here or elsewhere: what this process is, is told at once, and who is there is
    /// heard.
    pub fn changed(&self) {
        self.look.notify_one();
    }
}

/// The task.
pub struct Membership {
    discovery: Arc<dyn Discovery>,
    describe: Describe,
    links: Arc<Links>,
    config: Config,
    metrics: Metrics,
    belief: Belief,
    views: watch::Sender<Seen>,
    look: Arc<Notify>,
    peer: Peer,
}

impl Membership {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(
        discovery: Arc<dyn Discovery>,
        describe: Describe,
        links: Arc<Links>,
        config: Config,
        metrics: Metrics,
    ) -> Self {
        let belief = Belief::new(config.lease_ttl);
        let (views, look) = (watch::Sender::default(), Arc::default());
        Self {
            discovery,
            describe,
            links,
            config,
            metrics,
            belief,
            views,
            look,
            peer: Peer::new("the registry of processes"),
        }
    }

    /// Who is there.
    #[must_use]
    pub fn others(&self) -> Others {
        Others { views: self.views.subscribe(), look: Arc::clone(&self.look) }
    }

    /// Says it once: with its end, this process is known, or the registry did not answer.
    ///
    /// *Cancel safety*: it may have been said.
    pub async fn announce(&mut self) {
        let instance = (self.describe)();
        let call = self.discovery.announce(&instance, self.config.lease_ttl);
        // As often as it is said: the next time is the next try.
        let answer = self.peer.within(self.config.announce_interval, call).await;
        self.metrics.announced(answer.is_ok());
        match answer {
            Ok(mut answer) => {
                // Who has this process's own address ran there before it: a call to that one would come back here.
                answer.live.retain(|other| other.id == instance.id || other.address != instance.address);
                self.belief.heard(answer, Instant::now());
                let view = Arc::new(self.belief.view());
                self.metrics.seen(&view);
                self.links.keep(&view);
                self.views.send_replace(Seen { view, heard_at: Some(Instant::now()) });
            }
            Err(_) => self.belief.silent(),
        }
    }

    /// Says it again and again until `stop`, and then takes it back.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut said = Instant::now();
        loop {
            let (next, soonest) = (said + self.config.announce_interval, said + LOOK_PAUSE);
            let look = async {
                self.look.notified().await;
                sleep_until(soonest).await;
            };
            // All arms are cancel safe: a look that was asked for comes with the interval at the latest.
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep_until(next) => {}
                () = look => {}
            }
            said = Instant::now();
            self.announce().await;
        }
        let own = (self.describe)().id;
        let withdrawn = timeout(WITHDRAW_TIMEOUT, self.discovery.withdraw(&own)).await;
        if !matches!(withdrawn, Ok(Ok(()))) {
            tracing::debug!("the end of this process was not told: others know within its lease");
        }
    }
}
