//! The message store of an installation of several processes: one of those who may keep messages has it open, the
//! others stand by and pass calls on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use doorbell_backplane::Discovery;
use doorbell_backplane::discovery::StoreFacts;
use doorbell_cluster::Others;
use doorbell_message_svc::{MessageService, Metrics, Neighbours};
use doorbell_protocol::Clock;
use doorbell_rpc::remote::MessageDoor;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::peers::Own;
use crate::datadir::DataDir;

/// How often who stands by tries to take the store, and who has it looks whether it is the installation's.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the registry may take to say which store the installation has.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes the store when nobody has it, and serves it.
pub struct StoreTask {
    /// Its section.
    pub config: doorbell_message_svc::Config,
    /// Where it is.
    pub data_dir: PathBuf,
    /// The time of messages.
    pub wall: Clock,
    /// Whom it tells.
    pub told: Neighbours,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Knows which store the installation has.
    pub discovery: Arc<dyn Discovery>,
    /// Where this process serves it from.
    pub local: Arc<doorbell_cluster::Local>,
    /// What this process says of itself.
    pub own: Arc<Own>,
    /// Whom it is told to, at once.
    pub others: Others,
    /// Asked whether the store is sound.
    pub opened: Arc<std::sync::OnceLock<Arc<MessageService>>>,
}

impl StoreTask {
    /// Stands by, takes the store, and serves it until `stop`.
    ///
    /// # Errors
    /// The store cannot be opened, or is not the one that the installation has.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let Some(data_dir) = stop.run_until_cancelled(self.take()).await.transpose()? else { return Ok(()) };
        // Others open the store once they have it: not before this process has let go of everything.
        data_dir.keep();
        let service = self.open().await?;
        let id = service.store_id().to_string();
        let Some(settled) = stop.run_until_cancelled(self.settle(&id)).await else { return Ok(()) };
        settled?;
        // Before anybody can send: whoever had the store before may have let through all that a user may do.
        if stop.run_until_cancelled(service.recall_throttles()).await.is_none() {
            return Ok(());
        }
        assert!(self.opened.set(Arc::clone(&service)).is_ok(), "a store is opened once");
        assert!(self.local.store.set(MessageDoor::of(&service)).is_ok(), "a store is served once");
        let facts = StoreFacts { id: id.clone(), opened_ms: (self.wall)().as_millis() };
        assert!(self.own.store.set(facts).is_ok(), "a store is told of once");
        self.others.changed();
        tracing::info!(store = id, "the message store is open");
        tokio::select! {
            ended = service.run(stop) => Ok(ended?),
            Err(other) = self.watch(&id) => Err(other),
        }
    }

    /// Waits for the directory: another process may have it.
    async fn take(&self) -> Result<DataDir> {
        let mut waits = false;
        loop {
            if let Some(taken) = DataDir::try_take(&self.data_dir)? {
                return Ok(taken);
            }
            if !std::mem::replace(&mut waits, true) {
                tracing::info!(
                    data_dir = %self.data_dir.display(),
                    "another process has the message store: this one stands by, and passes calls on to it"
                );
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Opening reads the disk, for long after a crash under load: not on a thread that serves.
    async fn open(&self) -> Result<Arc<MessageService>> {
        let (config, data_dir) = (self.config.clone(), self.data_dir.clone());
        let (wall, told, metrics) = (Arc::clone(&self.wall), self.told.clone(), Arc::clone(&self.metrics));
        let opening = move || MessageService::open(config, &data_dir, wall, told, metrics);
        Ok(tokio::task::spawn_blocking(opening).await.context("opening the message store")??)
    }

    /// Waits until the registry says that this is the installation's store.
    async fn settle(&self, id: &str) -> Result<()> {
        let mut waits = false;
        while !self.is_ours(id).await? {
            if !std::mem::replace(&mut waits, true) {
                tracing::warn!(
                    "the registry does not say whether this is the installation's message store: waiting for it"
                );
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// A registry that lost its data is told again which store there is.
    async fn watch(&self, id: &str) -> Result<()> {
        loop {
            sleep(LOOK_INTERVAL).await;
            self.is_ours(id).await?;
        }
    }

    /// False where nobody can say.
    async fn is_ours(&self, id: &str) -> Result<bool> {
        match timeout(SETTLE_TIMEOUT, self.discovery.settle_store(id)).await {
            Ok(Ok(store)) if store == id => Ok(true),
            Ok(Ok(other)) => bail!(
                "this installation's message store is {other}, and {} holds {id}: start it with the directory of that store; \
                 to serve this one, forget the other: see docs/operations.md, \"Another message store\"",
                self.data_dir.display()
            ),
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }
}
