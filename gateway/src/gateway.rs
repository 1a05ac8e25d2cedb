//! The gateway: builds its parts, starts sessions, runs the background loops.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use doorbell_backplane::{HintQueue, Registry, Versions};
use doorbell_protocol::{Clock, GatewayId};
use doorbell_rpc::{Audiences, Channels, Messages, Presence as PresenceService, sabotage};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Config;
use crate::auth::Authenticator;
use crate::canary::Canaries;
use crate::entries::Entries;
use crate::error::Error;
use crate::fanout::runner::TopicFanOuts;
use crate::follow::Following;
use crate::handshake::Upgraded;
use crate::interest::{Interest, InterestTask};
use crate::local::{Eviction, LocalSessions, Removed};
use crate::look::{LookTask, StoreReader};
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::session::event::Event;
use crate::session::state::Rules;
use crate::session::task::SessionTask;
use crate::session::{Errand, Errands, Session, Setting};
use crate::signals::Signals;
use crate::sweep::{self, Sweep};
use crate::topics::{Pace, Topics};
use crate::uptime::Uptime;

/// What a gateway is made of.
pub struct GatewayParts {
    /// Its name in the registry.
    pub id: GatewayId,
    /// Limits and times.
    pub config: Config,
    /// Where it enters its users.
    pub registry: Arc<dyn Registry>,
    /// Where it rings its canaries; it says how users are spread over the registry.
    pub queue: Arc<dyn HintQueue>,
    /// Who answers calls.
    pub messages: Arc<dyn Messages>,
    /// Who says which topics a user may follow.
    pub audiences: Arc<dyn Audiences>,
    /// Who passes signals on.
    pub signals: Arc<dyn doorbell_rpc::Signals>,
    /// Who is told which users come and go.
    pub presence: Arc<dyn PresenceService>,
    /// Who is told which topics are followed here.
    pub channels: Arc<dyn Channels>,
    /// Where the versions of topics are stored.
    pub versions: Arc<dyn Versions>,
    /// Who checks tokens.
    pub authenticator: Arc<dyn Authenticator>,
    /// Wall time: for tokens and for `welcome`, nothing else.
    pub clock: Clock,
    /// What it counts.
    pub metrics: Metrics,
}

/// Holds client sockets: see the crate's own page.
pub struct Gateway {
    id: GatewayId,
    setting: Setting,
    eviction: Eviction,
    local: LocalSessions,
    entries: Entries,
    topics: Topics,
    fan_outs: TopicFanOuts,
    following: Following,
    presence: Presence,
    interest: Interest,
    store_reader: StoreReader,
    signals: Signals,
    canaries: Canaries,
    sweep: Sweep,
    tasks: TaskTracker,
    draining: AtomicBool,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("id", &self.id)
            .field("sockets", &self.sockets())
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Builds a gateway; it does nothing until [`Gateway::run`] and [`Gateway::start`].
    #[must_use]
    pub fn new(parts: GatewayParts) -> Arc<Self> {
        Self::with_uptime(parts, Uptime::start())
    }

    /// Builds a gateway whose silence, deadlines and frame rate go by a clock that somebody else moves: for tests.
    #[must_use]
    pub fn with_uptime(parts: GatewayParts, uptime: Uptime) -> Arc<Self> {
        let GatewayParts { id, config, registry, queue, messages, .. } = parts;
        let GatewayParts { signals, audiences, presence, channels, versions, .. } = parts;
        let GatewayParts { authenticator, clock, metrics, .. } = parts;
        let partitions = queue.partitions();
        let told = config.presence.then_some(presence);
        let pace = Pace { followers_large: config.fanout_followers_large, interval: config.fanout_interval };
        Arc::new(Self {
            topics: Topics::new(versions.partitions(), pace),
            fan_outs: TopicFanOuts::default(),
            following: Following::new(audiences, config.asks_in_flight_max),
            presence: Presence::new(told, config.presence_waiting_max.get(), metrics.clone()),
            interest: Interest::new(channels),
            store_reader: StoreReader::new(versions),
            signals: Signals::new(signals, &config),
            canaries: Canaries::new(&id, queue, config.canary_interval, metrics.canary.clone()),
            eviction: Eviction::new(&config),
            local: LocalSessions::new(partitions),
            entries: Entries::new(id.clone(), registry, partitions, &metrics),
            sweep: Sweep::new(uptime.now().second()),
            setting: Setting { rules: Rules::new(config), metrics, clock, uptime, authenticator, messages },
            id,
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
        })
    }

    /// This gateway's name.
    #[must_use]
    pub const fn id(&self) -> &GatewayId {
        &self.id
    }

    /// Open sockets.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.tasks.len()
    }

    /// Whether it leaves: it is unready, and the listener takes no new socket.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Takes over an upgraded socket and serves it to its end. Returns at once.
    #[expect(
        clippy::disallowed_methods,
        reason = "the drain waits for the place that the session holds; the tracker's own future would be larger by a pointer"
    )]
    pub fn start(self: &Arc<Self>, upgraded: Upgraded) {
        let Upgraded { socket, leftover, encoding, verified, peer } = upgraded;
        let session = Arc::new(Session::new(socket.hold(), encoding, verified, self.setting.uptime.now()));
        tracing::debug!(session = %session.id(), %peer, "socket opened");
        self.setting.metrics.socket_opened();
        self.reschedule(&session);
        let task = SessionTask::new(Arc::clone(self), Arc::clone(&session), &leftover);
        tokio::spawn(task);
        if self.is_draining() {
            self.tell(&session, Event::Drained);
        }
    }

    /// Runs the background loops until `stop`: enters and leaves, lease renewals, the sweep, and all that followed topics
    /// need. Cancel `stop` after
    /// [`Gateway::drain`].
    ///
    /// # Errors
    /// A loop panicked. The process should end: its sessions would be neither registered nor swept.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        let mut loops = JoinSet::new();
        self.entries.spawn(&self, &mut loops, &stop);
        loops.spawn(Arc::clone(&self).sweep_loop(stop.clone()));
        self.fan_outs.spawn(&self, &mut loops, &stop);
        self.spawn_talkers(&mut loops, &stop);
        while let Some(ended) = loops.join_next().await {
            ended.map_err(|source| Error::Loop { source })?;
        }
        self.signals.finish().await;
        Ok(())
    }

    /// The tasks that say and ask what followed topics and presence need, and that ring canaries: each stops where it is.
    fn spawn_talkers(self: &Arc<Self>, into: &mut JoinSet<()>, stop: &CancellationToken) {
        let look = LookTask::new(Arc::clone(self)).run();
        let interest = InterestTask::new(Arc::clone(self)).run();
        let reads = Arc::clone(self);
        let reading = async move { reads.read_for_sessions().await };
        let asks = Arc::clone(self);
        let asking = async move { asks.ask_for_large_topics().await };
        let reviews = Arc::clone(self);
        let reviewing = async move { reviews.review_subscriptions().await };
        let moves = Arc::clone(self);
        let telling = async move { moves.tell_presence().await };
        let rings = Arc::clone(self);
        let ringing = async move { rings.ring_canaries().await };
        let tasks: [Pin<Box<dyn Future<Output = ()> + Send>>; 7] = [
            Box::pin(look),
            Box::pin(reading),
            Box::pin(interest),
            Box::pin(asking),
            Box::pin(reviewing),
            Box::pin(telling),
            Box::pin(ringing),
        ];
        for task in tasks {
            let stop = stop.clone();
            into.spawn(async move {
                stop.run_until_cancelled(task).await;
            });
        }
    }

    async fn sweep_loop(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.setting.rules.config.sweep_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.sweep_once().await;
        }
    }

    async fn sweep_once(&self) {
        let second = self.setting.uptime.now().second();
        let mut looked_at: usize = 0;
        for shard in 0..self.sweep.shards() {
            for session in self.sweep.take_due(shard, second) {
                let errands = session.tick(&self.setting);
                self.run_errands(&session, errands);
                self.reschedule(&session);
                looked_at += 1;
                if looked_at.is_multiple_of(sweep::CHUNK) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// A checked `hello`: into the index first, then the enter (GW-1).
    pub(crate) fn admit(&self, session: &Arc<Session>) {
        let evicted = self.local.insert(session, &self.eviction, self.setting.uptime.now());
        for session in evicted {
            self.tell(&session, Event::Evicted);
        }
        self.entries.enter(session);
        self.reschedule(session);
    }

    /// Out of the index; the user's last session leaves the registry too. May be called again.
    pub(crate) fn leave(&self, session: &Arc<Session>) {
        if !sabotage::is("forget-followers") {
            self.unfollow_all(session);
        }
        let Some(identity) = session.identity() else { return };
        match self.local.remove(session) {
            Removed::Last(Some(left)) => {
                self.entries.leave(&identity.user, left, self.setting.rules.config.grace());
            }
            Removed::Last(None) | Removed::OneOfMany | Removed::Unknown => {}
        }
    }

    /// A session ends: out of the index, and the sweep sees to it that its socket ends in time.
    pub(crate) fn end(&self, session: &Arc<Session>) {
        self.leave(session);
        self.reschedule(session);
    }

    /// Tells a session what happened outside it.
    pub(crate) fn tell(&self, session: &Arc<Session>, event: Event) {
        let errands = session.tell(event, &self.setting);
        self.run_errands(session, errands);
    }

    fn run_errands(&self, session: &Arc<Session>, errands: Errands) {
        for errand in errands {
            match errand {
                Errand::Leave => self.end(session),
                Errand::Verify(_)
                | Errand::Admit
                | Errand::Call { .. }
                | Errand::Subscribe { .. }
                | Errand::Signal { .. }
                | Errand::Unsubscribe { .. } => {
                    unreachable!("only a client's frame asks for that, and only the session's task reads one")
                }
            }
        }
    }

    /// Moves a session's appointment with the sweep to where it belongs now.
    pub(crate) fn reschedule(&self, session: &Arc<Session>) {
        self.sweep.schedule(session, || session.next_due((self.setting.clock)(), &self.setting));
    }

    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.setting.metrics.drain_began();
        self.tasks.close();
    }

    pub(crate) const fn setting(&self) -> &Setting {
        &self.setting
    }

    pub(crate) const fn local(&self) -> &LocalSessions {
        &self.local
    }

    pub(crate) const fn entries(&self) -> &Entries {
        &self.entries
    }

    pub(crate) const fn topics(&self) -> &Topics {
        &self.topics
    }

    pub(crate) const fn fan_outs(&self) -> &TopicFanOuts {
        &self.fan_outs
    }

    pub(crate) const fn following(&self) -> &Following {
        &self.following
    }

    pub(crate) const fn presence(&self) -> &Presence {
        &self.presence
    }

    pub(crate) const fn interest(&self) -> &Interest {
        &self.interest
    }

    pub(crate) const fn store_reader(&self) -> &StoreReader {
        &self.store_reader
    }

    pub(crate) const fn signals(&self) -> &Signals {
        &self.signals
    }

    pub(crate) const fn canaries(&self) -> &Canaries {
        &self.canaries
    }

    pub(crate) const fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    pub(crate) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }
}
