//! Leaving without losing anybody: tell clients to move, spread; close who stayed; leave the registry.

use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::frames::Goaway;
use tokio::time::{Instant, timeout_at};

use crate::gateway::Gateway;
use crate::session::Session;
use crate::session::event::Event;

/// How often the drain looks for sessions that it has not told yet, and says how far it is.
const LOOK: Duration = Duration::from_secs(1);
/// Sessions told between two yields.
const CHUNK: usize = 64;

/// How a drain went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Sessions when it began.
    pub sessions: usize,
    /// Sessions that stayed to the deadline and were closed with 4503.
    pub closed: usize,
    /// Sockets that were cut when the budget was used up.
    pub cut: usize,
}

/// When the drain does what.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Clients come back somewhere until then.
    spread_ends: Instant,
    /// Who is still there is closed.
    close_at: Instant,
    /// Who has not answered the close is cut.
    cut_at: Instant,
}

impl Plan {
    fn new(gateway: &Gateway, budget: Duration) -> Self {
        let config = &gateway.setting().rules.config;
        let now = Instant::now();
        // The rest of the budget is for close handshakes and for leaving the registry.
        let close_after = budget.saturating_sub(config.close_timeout.min(budget / 4));
        let leave_after = budget.saturating_sub(config.registry_timeout.min(budget / 8));
        let spread = close_after.mul_f64(f64::from(config.drain_spread_percent) / 100.0);
        Self { spread_ends: now + spread, close_at: now + close_after, cut_at: now + leave_after }
    }

    fn goaway(&self, now: Instant) -> Goaway {
        let millis = |until: Instant| {
            u32::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(u32::MAX)
        };
        Goaway {
            reason: "this gateway is leaving".into(),
            reconnect_after_ms: rand::random_range(0..=millis(self.spread_ends)),
            deadline_ms: millis(self.close_at),
            url: None,
        }
    }
}

impl Gateway {
    /// Moves all clients away and leaves the registry, within `budget`.
    ///
    /// From its first moment on the gateway is unready and takes no new socket; hints go on to those that are here.
    /// The background loops ([`Gateway::run`]) must run until it returns.
    pub async fn drain(&self, budget: Duration) -> Drained {
        let began = Instant::now();
        let plan = Plan::new(self, budget);
        self.begin_drain();
        let mut done = Drained { sessions: self.sockets(), ..Drained::default() };
        tracing::info!(sessions = done.sessions, ?budget, "drain: clients are told to move");

        while !self.all_gone_by(plan.close_at.min(Instant::now() + LOOK)).await {
            let now = Instant::now();
            if now >= plan.close_at {
                break;
            }
            self.each_session(|session| {
                if !session.was_told_goaway() {
                    self.tell(session, Event::Draining(plan.goaway(now)));
                }
            })
            .await;
            tracing::info!(left = self.sockets(), "drain: waiting for clients to move");
        }
        done.closed = self.sockets();
        loop {
            self.each_session(|session| self.tell(session, Event::Drained)).await;
            let look = plan.cut_at.min(Instant::now() + LOOK);
            if self.all_gone_by(look).await || Instant::now() >= plan.cut_at {
                break;
            }
        }
        done.cut = self.sockets();
        self.each_session(|session| self.tell(session, Event::SocketEnded)).await;
        self.entries().finish(self, (began + budget).saturating_duration_since(Instant::now())).await;
        tracing::info!(sessions = done.sessions, closed = done.closed, cut = done.cut, "drain: done");
        done
    }

    async fn all_gone_by(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.tasks().wait()).await.is_ok()
    }

    async fn each_session(&self, mut each: impl FnMut(&Arc<Session>)) {
        for shard in 0..self.sweep().shards() {
            for chunk in self.sweep().sessions(shard).chunks(CHUNK) {
                for session in chunk {
                    each(session);
                }
                tokio::task::yield_now().await;
            }
        }
    }
}
