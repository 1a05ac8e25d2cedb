//! Tells the gateways that have followers of a topic that it has changed: one call a gateway, not one a member.
//!
//! This crate owns the directory of large audiences: for each topic, the gateways that subscribe to it, in memory. It
//! never knows a user, a socket or who may follow what, and nothing of it has to survive: the versions are stored with
//! the backplane, and every gateway looks at what changed there.
//!
//! A publish: [`api`] raises the stored versions -> [`directory`] finds the gateways that have not been told of the
//! version -> on the [`line`] of each gateway the greatest version of each topic waits -> [`publish`], one task a
//! gateway, sends what waits, one call at a time -> what nobody follows there any more is unsubscribed.
//!
//! A subscription: a gateway says how many followers a topic has, with its counter -> [`api`] takes it unless a later
//! word was taken -> a version that the gateway brings and that is greater than the stored one is published.
//!
//! Invariants:
//! - **CH-1** What a publish answered was stored before.
//! - **CH-2** For each gateway and topic at most one version waits, the greatest, and only while the gateway
//!   subscribes to it.
//! - **CH-3** At most one call to a gateway is open, and one that is slow or out of reach delays no other.
//! - **CH-4** A subscription is changed and removed only by a word that is not older, in one operation.
//! - **CH-5** A gateway that was silent for too long is forgotten as a whole; whatever it says next is answered with
//!   another life, so that it says everything again.
//! - **CH-6** A version that was told waits or is being sent until the gateway has answered, is unsubscribed or is
//!   forgotten.
//! - **CH-7** What is known here is stored again where its store has lost it: nothing that is remembered keeps a later
//!   version from being stored, or from being told.
//!
//! Map: [`service`] the whole; [`api`] what others call; [`directory`] topic to gateways; [`line`] what is kept of one
//! gateway; [`gateways`] which gateways were heard of; [`publish`] the calls to one gateway;
//! [`restore`] what a store has lost; [`config`], [`error`],
//! [`metrics`].

mod api;
pub mod config;
mod directory;
pub mod error;
mod gateways;
mod line;
pub mod metrics;
mod publish;
mod restore;
pub mod service;

pub use config::Config;
pub use error::Error;
pub use metrics::Metrics;
pub use service::{ChannelService, Neighbours};
