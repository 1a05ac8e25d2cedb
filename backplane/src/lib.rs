//! What stateless servers share: who has news, and where each user's sockets are.
//!
//! This crate owns the hint queue ([`queue::HintQueue`]), the session registry ([`registry::Registry`]), the stored
//! versions of channels ([`versions::Versions`]) and the kept buckets of throttles ([`buckets::Buckets`]): traits,
//! back-ends, and one conformance suite that every back-end passes. It never knows a socket, a message or who is in an
//! audience.
//!
//! Life of a hint: `hint` merges it into the user's dirty map and queues the user; a worker `claim`s the user, and the
//! map is set aside under a token; what comes meanwhile goes to a fresh map; `settle` drops what was set aside and
//! queues the user again if the fresh map holds anything; `release` and the end of the lease merge it back.
//!
//! Life of an entry: a gateway takes a lease for a partition, `enter`s users under it, renews it, `leave`s; an entry
//! is replaced only by a greater stamp and removed only by a stamp that is not smaller than its own.
//!
//! Life of a channel's version: a publish `raise`s it, which moves its partition's counter; every gateway `look`s at
//! the counters and is shown what changed after its own; what has not changed for the longest time is forgotten.
//!
//! Invariants:
//! - **BP-1** A user has at most one live claim, and stands at most once in the ready list.
//! - **BP-2** A settlement drops only what was set aside under its token; a late token changes nothing.
//! - **BP-3** A claim that is neither settled nor released is offered again when its lease ends.
//! - **BP-4** An entry is replaced and removed only by its stamp, in one operation.
//! - **BP-5** An enter whose epoch's lease is not live is refused.
//! - **BP-6** Whether a gateway is alive is judged only when a claim is settled.
//! - **BP-7** Within one identity, looks that begin where the one before ended show every raise that happened before
//!   the last of them, or answer a gap.
//!
//! Map: [`partition`] user to partition; [`queue`] the queue's contract and its rules for one user; [`registry`] the
//! registry's contract and its rules; [`versions`] what is stored of channels; [`discovery`] which processes are there; [`buckets`] how full throttles'
//! buckets are; [`memory`] the back-end in this process; [`redis`] the one for many processes; [`metered`] counts around any back-end; [`conformance`] what every back-end must show (feature
//! `testing`); [`config`], [`error`], [`metrics`].

mod bell;
pub mod buckets;
pub mod config;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod discovery;
pub mod error;
pub mod memory;
pub mod metered;
pub mod metrics;
pub mod partition;
pub mod queue;
pub mod redis;
pub mod registry;
pub mod versions;

pub use buckets::{BucketId, BucketLevel, Buckets};
pub use config::Config;
pub use discovery::{Discovery, Instance, Instances, Role};
pub use error::Error;
pub use memory::Memory;
pub use metered::Metered;
pub use metrics::Metrics;
pub use partition::{Partition, Partitions};
pub use queue::{Claim, ClaimToken, HintQueue, HintReport, News, QueueDepth, Settled, Settlement, UserHint};
pub use redis::Redis;
pub use registry::{Enter, Entered, Entry, Lease, LeaseRenewal, PartitionIdentity, Registry};
pub use versions::{ChangeCounter, Look, Versions};
