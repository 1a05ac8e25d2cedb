//! Moves hints from the queue to the gateways that hold the users' sockets.
//!
//! This crate owns the turn: claim, group, deliver, settle; the sweep of what a dead gateway left in the registry; and
//! the ingress for hints from other back ends. Who was to be rung and had no session it reports to the offline hook. It
//! never sees content, sockets or who is in an audience, and it keeps nothing that must survive it.
//!
//! One turn: a bell or the look of each second -> [`worker`] claims users of a partition -> [`batch`] makes one batch
//! a gateway -> [`courier`] delivers all of them at once, each with a deadline -> as the answers come, [`settle`]
//! makes the settlements of the users whose gateways have all answered -> the queue settles them.
//!
//! Invariants:
//! - **NT-1** A claim in hand is settled or released, also after a stop; where the backplane does not answer, its
//!   lease ends and it is offered again.
//! - **NT-2** A user is settled when each of their gateways has answered or missed its deadline, never before.
//! - **NT-3** A gateway that is slow or out of reach delays only its own users.
//! - **NT-4** A gateway's users wait at most `delay_max` between two tries.
//! - **NT-5** The users in hand are bounded for the process, whatever the gateways do.
//! - **NT-6** The sweep removes entries only by the stamps that the registry gave as lapsed.
//! - **NT-7** The sweep removes entries only after message-svc was told whose they were.
//! - **NT-8** Reporting who is offline never holds up a turn: the hook takes note at once, or drops.
//!
//! Map: [`notifier`] the whole; [`worker`] when to claim; [`turn`] one claim from delivery to settlement; [`batch`]
//! and [`settle`] the pure parts; [`courier`] one call to one gateway; [`reach`] which gateways answer; [`sweep`] what
//! dead gateways left; [`ingress`] hints from other back ends; [`backplane`] calls with a deadline; [`config`], [`error`],
//! [`metrics`].

mod backplane;
mod batch;
pub mod config;
mod courier;
pub mod error;
pub mod ingress;
pub mod metrics;
pub mod notifier;
mod reach;
mod settle;
mod sweep;
mod turn;
mod worker;

pub use config::Config;
pub use error::Error;
pub use ingress::Ingress;
pub use metrics::Metrics;
pub use notifier::{Neighbours, Notifier};
