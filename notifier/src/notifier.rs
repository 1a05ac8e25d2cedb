//! The whole: workers and the sweep under one owner.

use std::sync::Arc;

use doorbell_backplane::{HintQueue, Registry};
use doorbell_protocol::Clock;
use doorbell_rpc::{Gateways, OfflineHook, Presence};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backplane::{Asked, Backplane};
use crate::config::Config;
use crate::courier::Courier;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::reach::Reach;
use crate::sweep::Sweep;
use crate::turn::Shared;
use crate::worker::Worker;

/// What a notifier works with.
pub struct Neighbours {
    /// Who has news.
    pub queue: Arc<dyn HintQueue>,
    /// Where dead gateways left entries.
    pub registry: Arc<dyn Registry>,
    /// Who is told which users went with their gateway; `None` where presence is turned off.
    pub presence: Option<Arc<dyn Presence>>,
    /// Who rings.
    pub gateways: Arc<dyn Gateways>,
    /// Who hears of users without a session; `None` where nobody does.
    pub offline: Option<Arc<dyn OfflineHook>>,
    /// The clock by which the queue says since when news wait; used for metrics only.
    pub clock: Clock,
}

/// Moves hints from the queue to the gateways.
pub struct Notifier {
    shared: Arc<Shared>,
}

impl Notifier {
    /// Puts the parts together; nothing runs yet. `config` has been validated.
    #[must_use]
    pub fn new(config: Config, neighbours: Neighbours, metrics: Metrics) -> Self {
        let Neighbours { queue, registry, presence, gateways, offline, clock } = neighbours;
        metrics.capacity(config.users_in_hand_max.get());
        let asked = Asked { queue, registry, presence };
        let backplane = Backplane::new(asked, config.backplane_deadline, metrics.clone());
        let courier = Courier {
            gateways,
            reach: Reach::new(&config),
            deadline: config.deliver_deadline,
            delay_max: config.delay_max,
            metrics: metrics.clone(),
        };
        Self { shared: Arc::new(Shared { config, backplane, courier, offline, clock, metrics }) }
    }

    /// Runs until `stop`. What was claimed before is settled or released: it ends within the delivery's deadline and
    /// one answer of the backplane.
    ///
    /// # Errors
    /// [`Error::Panicked`] where one of its tasks did; the others are stopped and waited for first.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let stop = stop.child_token();
        let in_hand = Arc::new(Semaphore::new(self.shared.config.users_in_hand_max.get() as usize));
        let mut tasks = JoinSet::new();
        for index in 0..self.shared.config.workers.get() {
            let worker = Worker::new(Arc::clone(&self.shared), Arc::clone(&in_hand), index);
            tasks.spawn(worker.run(stop.clone()));
        }
        let sweep = Sweep { shared: self.shared };
        let sweep_stop = stop.clone();
        tasks.spawn(async move {
            sweep.run(sweep_stop).await;
            Ok(())
        });
        let mut result = Ok(());
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended.map_err(Error::Panicked).flatten() {
                stop.cancel();
                result = result.and(Err(error));
            }
        }
        result
    }
}
