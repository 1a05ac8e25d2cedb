//! What stateless processes share, or, where one process does everything, its memory.

use std::sync::Arc;

use anyhow::{Context, Result};
use doorbell_backplane::{
    Buckets, Discovery, HintQueue, Memory, Metered, Metrics, Redis, Registry, Versions,
};

use doorbell_protocol::Clock;

use crate::clock;
use crate::config::Config;

/// One back-end, by what it is used for.
pub struct Backplane {
    /// Who has news.
    pub queue: Arc<dyn HintQueue>,
    /// Where each user's sockets are.
    pub registry: Arc<dyn Registry>,
    /// The versions of large audiences.
    pub versions: Arc<dyn Versions>,
    /// The clock of the queue.
    pub clock: Clock,
    /// Which processes are there; none where this is the only one.
    pub discovery: Option<Arc<dyn Discovery>>,
    /// How throttles stand, for a process that takes the message store over; none where this is the only one.
    pub buckets: Option<Arc<dyn Buckets>>,
}

impl Backplane {
    /// The memory of this process, or the Redis that is configured. One that is away for now is no error: calls fail until
    /// it is there.
    ///
    /// # Errors
    /// It can never be reached so: an address, a certificate or a password is wrong.
    pub async fn of(config: &Config, registry: &prometheus::Registry) -> Result<Self> {
        let metrics = Arc::new(Metrics::register(registry)?);
        if !config.is_cluster() {
            let steady = clock::steady();
            let memory = Metered::new(Memory::new(&config.backplane, Arc::clone(&steady)), metrics);
            return Ok(Self::sharing(&Arc::new(memory), steady));
        }
        let redis = Redis::connect(&config.backplane, &config.redis).await.context("`redis`")?;
        let redis = Arc::new(Metered::new(redis, metrics));
        // Its time is Redis's own, which is a wall's.
        let all = Self::sharing(&redis, clock::wall());
        Ok(Self { discovery: Some(Arc::clone(&redis) as _), buckets: Some(redis), ..all })
    }

    fn sharing<B: HintQueue + Registry + Versions + 'static>(backend: &Arc<B>, clock: Clock) -> Self {
        Self {
            queue: Arc::clone(backend) as _,
            registry: Arc::clone(backend) as _,
            versions: Arc::clone(backend) as _,
            clock,
            discovery: None,
            buckets: None,
        }
    }
}
