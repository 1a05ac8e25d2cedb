//! The Redis back-end: for an installation of many processes. Redis or Valkey 7 and later; one server, a primary behind
//! Sentinels, or a Cluster.
//!
//! Every operation is one Lua script (`redis/lua/`, one a file), which is atomic, goes by the server's own time and keeps
//! the rules that [`crate::queue::entry`], [`crate::registry`] and [`crate::versions`] state. A partition's keys share a hash
//! tag; a call that concerns several partitions asks all of them at the same time, and a large one goes in pieces, so
//! that no script keeps others waiting for long.
//!
//! Nothing here is repeated without need and everything may be: a call has a deadline, a new connection and one
//! repetition included, and what it did not hear of is [`Error::Unavailable`].

mod address;
mod buckets;
mod calls;
mod config;
mod dial;
mod discovery;
mod failure;
mod keys;
mod link;
mod listener;
mod queue;
mod registry;
mod reply;
mod script;
mod secret;
mod stored;
#[cfg(feature = "testing")]
mod testing;
mod versions;

use std::fmt;
use std::sync::Arc;

pub use address::InvalidAddress;
pub use config::{Config, InvalidConfig};
pub use secret::Address;

use dial::{DialError, Dialer};
use keys::Keys;
use link::Link;
use listener::Listener;
use script::Scripts;

use crate::{Error, Partitions};

/// The hint queue, the session registry, the versions of channels, the list of processes and the buckets of throttles, in
/// Redis.
pub struct Redis {
    partitions: Partitions,
    keys: Keys,
    link: Arc<Link>,
    scripts: &'static Scripts,
    listener: Listener,
    dead_letters_max: usize,
    channel_topics_max: u32,
    throttle_buckets_max: u32,
    #[cfg(feature = "testing")]
    clock: Option<doorbell_protocol::Clock>,
}

/// What will not work, however often it is tried.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A key of the section is wrong.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// A file of the section cannot be used.
    #[error("redis: {0}")]
    File(String),
    /// More partitions than a Redis can be asked for all the time.
    #[error("backplane.partitions: at most {max} with Redis")]
    Partitions {
        /// The most.
        max: usize,
    },
    /// The server is there, and refuses: a wrong password, or too old.
    #[error("redis: {0}")]
    Refused(String),
}

impl Redis {
    /// Connects. Where Redis does not answer, this waits for `connect_timeout` and succeeds all the same: calls are
    /// [`Error::Unavailable`] until it is there.
    ///
    /// # Errors
    /// Where it will never work: a key or a file is wrong, or the server refuses the password or is too old.
    pub async fn connect(backplane: &crate::Config, config: &Config) -> Result<Self, ConnectError> {
        config.validate()?;
        let partitions = Partitions::new(backplane.partitions);
        if partitions.count() > keys::PARTITIONS_MAX {
            return Err(ConnectError::Partitions { max: keys::PARTITIONS_MAX });
        }
        let target = address::parse_all(&config.urls).map_err(InvalidConfig::Address)?;
        let dialer = Dialer::new(config, target).map_err(ConnectError::File)?;
        let link = Arc::new(Link::new(dialer, config.call_timeout));
        let keys = Keys::new(&config.key_prefix, partitions);
        match link.connect().await {
            Ok(()) => {}
            Err(DialError::Never(said)) => return Err(ConnectError::Refused(said)),
            Err(DialError::Away(said)) => {
                tracing::warn!(said, "redis does not answer: waiting for it");
            }
        }
        let channels = partitions.all().map(|partition| (keys.bell(partition), partition));
        Ok(Self {
            partitions,
            listener: Listener::new(Arc::clone(&link), channels.collect()),
            keys,
            link,
            scripts: script::scripts(),
            dead_letters_max: backplane.dead_letters_max,
            channel_topics_max: backplane.channel_topics_max.get(),
            throttle_buckets_max: backplane.throttle_buckets_max.get(),
            #[cfg(feature = "testing")]
            clock: None,
        })
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("partitions", &self.partitions)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}
