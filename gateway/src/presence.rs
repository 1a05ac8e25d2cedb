//! Tells message-svc who came and who went: gathered, merged by user, in one task for all sessions.
//!
//! Nobody waits for it. What cannot be told waits here, the last move of each user, up to a bound.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::UserId;
use doorbell_rpc::{Backoff, Move, Peer, Way};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::gateway::Gateway;
use crate::metrics::{Metrics, Told};

/// How long moves gather into one call: short beside what anybody notices.
const GATHER: Duration = Duration::from_millis(50);
/// Moves in one call.
const MOVES_MAX: usize = 1_000;
/// After a call that failed.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What is to be told.
pub(crate) struct Presence {
    /// `None` where presence is turned off: nothing is noted then.
    service: Option<Arc<dyn doorbell_rpc::Presence>>,
    waiting: Mutex<HashMap<UserId, Way>>,
    waiting_max: usize,
    bell: Notify,
    peer: Peer,
    /// How often the end has asked for a round of telling: the task alone tells, so that nobody overtakes what is on
    /// its way.
    asked: watch::Sender<u64>,
    answered: watch::Sender<Round>,
    metrics: Metrics,
}

/// A round of telling.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// It began after so many asks.
    asks: u64,
    /// All that waited was taken.
    told: bool,
}

/// Message-svc did not take it.
struct NotTold;

impl Presence {
    pub(crate) fn new(
        service: Option<Arc<dyn doorbell_rpc::Presence>>,
        waiting_max: usize,
        metrics: Metrics,
    ) -> Self {
        let (waiting, bell, peer) = (Mutex::default(), Notify::new(), Peer::new("message-svc (presence)"));
        let (asked, answered) = (watch::Sender::new(0), watch::Sender::new(Round::default()));
        Self { service, waiting, waiting_max, bell, peer, asked, answered, metrics }
    }

    /// A user came or went. The registry shows it already.
    pub(crate) fn note(&self, user: &UserId, way: Way) {
        if self.service.is_some() {
            self.keep(Move { user: user.clone(), way }, Precedence::Newer);
            self.bell.notify_one();
        }
    }

    fn keep(&self, moved: Move, precedence: Precedence) {
        let mut waiting = self.waiting.lock();
        let full = waiting.len() >= self.waiting_max;
        match waiting.entry(moved.user) {
            Slot::Occupied(mut known) => {
                if precedence == Precedence::Newer {
                    known.insert(moved.way);
                }
                self.metrics.presence.moved(Told::Merged, 1);
            }
            Slot::Vacant(_) if full => self.metrics.presence.moved(Told::Dropped, 1),
            Slot::Vacant(place) => {
                place.insert(moved.way);
            }
        }
        self.metrics.presence.waiting(waiting.len());
    }

    fn take(&self) -> Vec<Move> {
        let mut waiting = self.waiting.lock();
        let users: Vec<UserId> = waiting.keys().take(MOVES_MAX).cloned().collect();
        let moves = users.into_iter().filter_map(|user| {
            let way = waiting.remove(&user)?;
            Some(Move { user, way })
        });
        let moves = moves.collect();
        if waiting.is_empty() {
            // A burst is over: its room is given back.
            *waiting = HashMap::new();
        }
        self.metrics.presence.waiting(waiting.len());
        moves
    }
}

/// Whose word counts where one waits already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Precedence {
    Newer,
    Older,
}

impl Gateway {
    /// Tells as long as it is polled, by one task.
    pub(crate) async fn tell_presence(&self) {
        let presence = self.presence();
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
        let mut asked = presence.asked.subscribe();
        // What was asked before it began is answered as well.
        asked.mark_changed();
        loop {
            let gathered = async {
                presence.bell.notified().await;
                tokio::time::sleep(GATHER).await;
            };
            unless_asked(&mut asked, gathered).await;
            while self.tell_round(&mut asked).await.is_err() {
                unless_asked(&mut asked, tokio::time::sleep(backoff.failed())).await;
            }
            backoff.succeeded();
        }
    }

    /// Has what waits told, once, at the end, after what is on its way. What message-svc does not take is lost, and
    /// said so. [`Gateway::tell_presence`] must be under way.
    pub(crate) async fn tell_last_moves(&self) {
        let presence = self.presence();
        if presence.service.is_none() {
            return;
        }
        let mut answered = presence.answered.subscribe();
        let mut ask = 0;
        presence.asked.send_modify(|asks| {
            *asks += 1;
            ask = *asks;
        });
        let round = answered.wait_for(|round| round.asks >= ask).await.map(|round| *round);
        if !round.expect("the sender lives in self").told {
            let left = presence.waiting.lock().len();
            tracing::warn!(users = left, "presence: nobody took who went; it shows when they are asked for");
        }
    }

    /// Tells what waits, and answers who has asked for it by now.
    async fn tell_round(&self, asked: &mut watch::Receiver<u64>) -> Result<(), NotTold> {
        let asks = *asked.borrow_and_update();
        let told = self.tell_moves().await;
        self.presence().answered.send_replace(Round { asks, told: told.is_ok() });
        told
    }

    async fn tell_moves(&self) -> Result<(), NotTold> {
        let presence = self.presence();
        let Some(service) = &presence.service else { return Ok(()) };
        loop {
            let moves = presence.take();
            if moves.is_empty() {
                return Ok(());
            }
            let wait = self.setting().rules.config.audience_timeout;
            match presence.peer.within(wait, service.moved(moves.clone())).await {
                Ok(()) => presence.metrics.presence.moved(Told::Done, moves.len()),
                Err(_) => {
                    presence.metrics.presence.moved(Told::Failed, moves.len());
                    moves.into_iter().for_each(|moved| presence.keep(moved, Precedence::Older));
                    return Err(NotTold);
                }
            }
        }
    }
}

/// Waits for something, or until the end asks.
async fn unless_asked(asked: &mut watch::Receiver<u64>, waited_for: impl Future<Output = ()>) {
    tokio::select! {
        () = waited_for => {}
        asked = asked.changed() => asked.expect("the sender lives in the gateway"),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    struct Nobody;

    #[async_trait]
    impl doorbell_rpc::Presence for Nobody {
        async fn moved(&self, _: Vec<Move>) -> Result<(), doorbell_rpc::Error> {
            Ok(())
        }
    }

    fn presence(waiting_max: usize) -> (Presence, prometheus::Registry) {
        let registry = prometheus::Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        (Presence::new(Some(Arc::new(Nobody)), waiting_max, metrics), registry)
    }

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn counted(registry: &prometheus::Registry, label: &str) -> f64 {
        let families = registry.gather();
        let of_name =
            families.iter().find(|one| one.name() == "doorbell_gateway_presence_moves_total").unwrap();
        let of_label = of_name.get_metric().iter().find(|one| one.get_label()[0].value() == label).unwrap();
        of_label.get_counter().get_value()
    }

    #[test]
    fn of_several_moves_of_a_user_the_last_is_told() {
        let (presence, registry) = presence(10);
        presence.note(&user("ada"), Way::Came);
        presence.note(&user("ada"), Way::Went);
        assert_eq!(presence.take(), [Move { user: user("ada"), way: Way::Went }]);
        assert_eq!(presence.take(), []);

        presence.note(&user("ada"), Way::Came);
        presence.keep(Move { user: user("ada"), way: Way::Went }, Precedence::Older);
        assert_eq!(presence.take(), [Move { user: user("ada"), way: Way::Came }], "newer than what failed");
        assert_eq!(counted(&registry, "merged"), 2.0);
    }

    #[test]
    fn moves_beyond_the_bound_are_dropped_and_counted() {
        let (presence, registry) = presence(2);
        for name in ["ada", "bob", "carol", "ada"] {
            presence.note(&user(name), Way::Came);
        }
        assert_eq!(presence.take().len(), 2);
        assert_eq!((counted(&registry, "dropped"), counted(&registry, "merged")), (1.0, 1.0));
    }
}
