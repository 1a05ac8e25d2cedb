//! The service: opens the store, answers calls, announces what was committed.

mod audiences;
mod calls;
mod presence;
mod signals;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::{Buckets, HintQueue, Registry, Versions};
use doorbell_protocol::{Clock, ErrorBody, Payload};
use doorbell_rpc::{CallRequest, Channels, Gateways, Messages, OfflineHook};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::announce::{Announcer, IdentityWatch, Parts};
use crate::api::Named;
use crate::inflight::Inflight;
use crate::metrics::ReadFor;
use crate::pulls::{Heads, Pulls};
use crate::reader::Reader;
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::service::signals::SignalLane;
use crate::store::counted::Counted;
use crate::store::disk::DiskStore;
use crate::store::{Store, StoreId};
use crate::throttle::{Keeper, Throttles};
use crate::turns::{Turns, WIDE_READS_MAX};
use crate::writer::request::Request;
use crate::writer::{Tools, WriterHandle};
use crate::{Config, Error, Metrics};

/// How often the throttle forgets users who have not sent anything for a while.
const TIDY_INTERVAL: Duration = Duration::from_secs(10);

/// Reads of neighbours that run at the same time, of each kind: each asks for hundreds of users at once, and seldom.
const ASIDE_READS_MAX: usize = 2;
/// Those that may wait, beyond which a neighbour asks again: more than there are workers that ask.
const ASIDE_WAITING_MAX: usize = 256;

/// Reads for what gateways ask about audiences that run at the same time: half as many as calls have by default. Such a
/// read is as wide as a user's conversations are many, and thousands are asked for when all clients return.
const AUDIENCE_READS_MAX: usize = 4;
/// Those that may wait: a gateway asks at most twice `gateway.asks_in_flight_max` (64) at once, for users' large topics
/// and whether topics may be followed, so that 64 of them find room. Beyond it, a gateway asks again.
const AUDIENCE_WAITING_MAX: usize = 8_192;

/// Whom the service tells.
#[derive(Clone)]
pub struct Neighbours {
    /// Rings the members of small conversations.
    pub queue: Arc<dyn HintQueue>,
    /// Rings the followers of large ones, and of who is there.
    pub channels: Arc<dyn Channels>,
    /// Knows who is online, and where.
    pub registry: Arc<dyn Registry>,
    /// Says which stores all of these are.
    pub versions: Arc<dyn Versions>,
    /// Keep how throttles stand for whoever takes the store over; `None` where nobody else can.
    pub buckets: Option<Arc<dyn Buckets>>,
    /// Take signals to them.
    pub gateways: Arc<dyn Gateways>,
    /// Hears of members of small ones who have no session; `None` where nobody does.
    pub offline: Option<Arc<dyn OfflineHook>>,
}

/// The truth that clients pull.
///
/// Dropping it ends the writers and waits for them, which takes as long as one commit.
pub struct MessageService {
    tools: Tools,
    neighbours: Neighbours,
    reader: Reader,
    /// For what the offline hook asks: who is muted.
    mutes: Reader,
    /// For what gateways tell: whose presence may be shown.
    moves: Reader,
    /// For what gateways ask: who may follow what. Who was removed is hinted until that is answered.
    audiences: Reader,
    pulls: Pulls,
    signals: SignalLane,
    inflight: Inflight,
    /// Of reads as wide as a user's conversations are many.
    turns: Turns,
    /// Statuses of one user are set one after the other.
    status_turns: Turns,
    seen: Seen,
    writers: Arc<[WriterHandle]>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Cancelled when a writer ends, in whatever way.
    writer_ended: CancellationToken,
    /// Calls are refused.
    closing: AtomicBool,
}

impl MessageService {
    /// Opens the store in `<data_dir>/log`, creating it where there is none, and starts its writers. Announcing
    /// starts with [`MessageService::run`].
    ///
    /// It blocks for the time of a recovery: well under a second, longer after a crash under load.
    ///
    /// # Errors
    /// The directory is in use, holds something else, or was made with other settings: each says what to do.
    pub fn open(
        config: Config,
        data_dir: &Path,
        clock: Clock,
        neighbours: Neighbours,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, Error> {
        let store: Arc<dyn Store> = Arc::new(DiskStore::open(data_dir, config.clone())?);
        let mut throttles = Throttles::new(&config);
        if neighbours.buckets.is_some() {
            throttles = throttles.noting();
        }
        metrics.sound(true);
        let reader = Reader::new(Arc::clone(&store), &config, Arc::clone(&metrics));
        let heads: Arc<[Heads]> = store.shards().all().map(|_| Heads::default()).collect();
        let pulls = Pulls::new(reader.clone(), Arc::clone(&heads), &config, Arc::clone(&metrics));
        let store = Arc::new(Counted::new(store, Arc::clone(&metrics), ReadFor::Write));
        let signals = SignalLane::new(&reader, &config);
        let aside = || reader.beside_calls(ReadFor::Announce, ASIDE_READS_MAX, ASIDE_WAITING_MAX);
        let (mutes, moves) = (aside(), aside());
        let audiences = reader.beside_calls(ReadFor::Audience, AUDIENCE_READS_MAX, AUDIENCE_WAITING_MAX);
        let throttles = Arc::new(throttles);
        let tools = Tools { store, clock, throttles, heads, metrics, config: Arc::new(config) };
        let writer_ended = CancellationToken::new();
        let mut service = Self {
            neighbours,
            reader,
            mutes,
            moves,
            audiences,
            pulls,
            signals,
            inflight: Inflight::default(),
            turns: Turns::of(WIDE_READS_MAX),
            status_turns: Turns::of(1),
            seen: Seen::new(tools.config.seen_users_max.get()),
            writers: Arc::new([]),
            threads: Mutex::default(),
            writer_ended,
            closing: AtomicBool::new(false),
            tools,
        };
        let mut writers = Vec::new();
        for shard in service.tools.store.shards().all() {
            let ended = service.writer_ended.clone().drop_guard();
            let (writer, thread) = WriterHandle::start(shard, service.tools.clone(), ended)?;
            writers.push(writer);
            service.threads.get_mut().push(thread);
            service.writers = writers.clone().into();
        }
        Ok(Arc::new(service))
    }

    /// Announces and keeps house until `stop`; then refuses calls, announces what is committed for at most
    /// `drain_timeout`, notes how far it came, and closes the store.
    ///
    /// # Errors
    /// A part of the service panicked. Nothing that was acknowledged is lost: start it again.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        let (drained, abort) = (CancellationToken::new(), CancellationToken::new());
        let mut announcers = JoinSet::new();
        for announcer in self.announcers() {
            announcers.spawn(announcer.run(drained.clone(), abort.clone()));
        }
        // Until the very end: at the first start ever, announcements wait for its first look.
        let mut watch = JoinSet::new();
        watch.spawn(self.identity_watch().run(abort.clone()));
        let mut keepers = JoinSet::new();
        if let Some(keeper) = self.keeper() {
            keepers.spawn(keeper.run(drained.clone()));
        }
        let mut tidy = interval(TIDY_INTERVAL);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outcome = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                () = self.writer_ended.cancelled() => break Err(Error::Panicked { part: "a writer" }),
                Some(_) = announcers.join_next() => break Err(Error::Panicked { part: "an announcer" }),
                Some(_) = watch.join_next() => break Err(Error::Panicked { part: "the watch of the backplane" }),
                Some(_) = keepers.join_next() => break Err(Error::Panicked { part: "the keeper of throttles" }),
                _ = tidy.tick() => {
                    self.tools.metrics.throttles.users(self.tools.throttles.tidy());
                    self.tools.metrics.presence.seen_users(self.seen.users());
                }
            }
        };
        self.closing.store(true, Ordering::Release);
        for writer in self.writers.iter() {
            // What was asked before is committed now, and can be announced; a writer that is gone has nothing.
            drop(writer.ask(Request::Pass).await);
        }
        drained.cancel();
        let all = async { while announcers.join_next().await.is_some() {} };
        let deadline = Instant::now() + self.tools.config.drain_timeout;
        match timeout_at(deadline, all).await {
            Ok(()) => info!("everything that was committed is announced"),
            Err(_) => warn!("not everything is announced yet: the rest follows after the next start"),
        }
        if timeout_at(deadline, keepers.join_next()).await.is_err() {
            warn!(
                "how throttles stand is not kept: whoever takes the store over does not know of the last sends"
            );
        }
        abort.cancel();
        announcers.shutdown().await;
        keepers.shutdown().await;
        watch.shutdown().await;
        let service = Arc::clone(&self);
        let closed = tokio::task::spawn_blocking(move || service.close()).await;
        self.tools.metrics.sound(false);
        outcome.and(closed.unwrap_or(Err(Error::Panicked { part: "the shutdown" })))
    }

    /// Takes over how throttles stood when the store was last served; to be awaited before the first call. It takes 2 s at most,
    /// after which buckets begin full.
    ///
    /// *Cancel safety*: what was not read yet begins full.
    pub async fn recall_throttles(&self) {
        if let Some(keeper) = self.keeper() {
            keeper.recall().await;
        }
    }

    fn keeper(&self) -> Option<Keeper> {
        let keeper = |buckets| Keeper {
            throttles: Arc::clone(&self.tools.throttles),
            buckets: Arc::clone(buckets),
            metrics: Arc::clone(&self.tools.metrics),
        };
        self.neighbours.buckets.as_ref().map(keeper)
    }

    fn announcers(&self) -> Vec<Announcer> {
        let shards = self.tools.store.shards();
        let parts = |shard| Parts {
            shard,
            shards,
            writers: Arc::clone(&self.writers),
            // It reads one thing after the other; one place, for what waits behind a read that was given up.
            reader: self.reader.beside_calls(ReadFor::Announce, 1, 1),
            queue: Arc::clone(&self.neighbours.queue),
            channels: Arc::clone(&self.neighbours.channels),
            offline: self.neighbours.offline.clone(),
            metrics: Arc::clone(&self.tools.metrics),
            config: Arc::clone(&self.tools.config),
        };
        shards.all().map(parts).map(Announcer::new).collect()
    }

    fn identity_watch(&self) -> IdentityWatch {
        IdentityWatch {
            versions: Arc::clone(&self.neighbours.versions),
            writers: Arc::clone(&self.writers),
            metrics: Arc::clone(&self.tools.metrics),
            config: Arc::clone(&self.tools.config),
        }
    }

    /// Ends the writers, and waits for them.
    fn close(&self) -> Result<(), Error> {
        for writer in self.writers.iter() {
            writer.close();
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        let ended = threads.into_iter().map(JoinHandle::join).collect::<Vec<_>>();
        if ended.iter().any(Result::is_err) {
            return Err(Error::Panicked { part: "a writer" });
        }
        Ok(())
    }

    /// Which store this is: made with it, and never the same for two.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.tools.store.id()
    }

    /// Whether writes can be served: false after a failed write until the store was recovered from disk, while a
    /// commit hangs, and after the end. A full disk does not make it unsound: reads go on, and sends come back by
    /// themselves.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let stalled = |writer: &WriterHandle| writer.committing_for() > self.tools.config.commit_stall_after;
        let stands = self.tools.store.is_sound() && !self.writer_ended.is_cancelled();
        stands && !self.writers.iter().any(stalled)
    }
}

impl Drop for MessageService {
    fn drop(&mut self) {
        if self.close().is_err() {
            error!("a writer panicked");
        }
    }
}

#[async_trait]
impl Messages for MessageService {
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        let named = Named::of(&request.method);
        let user = request.caller.user.clone();
        let call = self.tools.metrics.call_began(named.label());
        let outcome = if self.closing.load(Ordering::Acquire) {
            Err(Refusal::Stopping)
        } else {
            self.answer(named, request).await
        };
        // After it, so that whoever hides by this call was not seen by it.
        self.seen.note(&user, (self.tools.clock)());
        let outcome = outcome.map_err(|refusal| {
            if refusal.is_ours() {
                error!(method = named.label(), %refusal, cause = ?std::error::Error::source(&refusal), "call failed");
            }
            refusal.into_body()
        });
        let label = outcome.as_ref().map_or_else(|body| calls::code(body.code), |_| "ok");
        call.answered(label);
        outcome
    }
}

#[cfg(test)]
mod tests;
