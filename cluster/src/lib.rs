//! Who is there in an installation, who owns what, and the way to them.
//!
//! Services call each other by the traits of [`doorbell_rpc`]; here are the implementations that find out whom to call:
//! a gateway by its name, the channel service that owns a topic, the message service that has the store open. Every
//! process says once a second that it is there ([`membership`]) and hears who else is; what is believed of that, and for
//! how long, is decided in [`view`].
//!
//! Invariants:
//! - **CL-1** A registry that does not answer, or lost its data, removes nobody: not until one lease after it is back.
//! - **CL-2** Two processes with the same view name the same owner of a topic; one more process moves only the topics
//!   that it owns from then on. Two views are harmless: see `docs/adr/0005-soft-state-channels-with-a-look.md`.
//! - **CL-3** A publish that its owner does not take is stored all the same, or answered with an error.
//! - **CL-4** Who calls this process itself does not leave it.
//! - **CL-5** Who has the store open is called as long as it serves and nobody else says so, though its word lapsed: it may be
//!   cut off from the registry alone.
//!
//! Map: [`membership`] the task; [`view`] who is believed to be there; [`owner`] who owns a topic; [`links`] the way to
//! each process; [`gateways`], [`channels`], [`messages`] the calls; [`config`], [`metrics`].

pub mod channels;
pub mod config;
pub mod gateways;
pub mod links;
pub mod membership;
pub mod messages;
pub mod metrics;
pub mod owner;
pub mod view;

pub use channels::OwnedChannels;
pub use config::Config;
pub use gateways::NamedGateways;
pub use links::{Dial, Links, Local, Remote};
pub use membership::{Membership, Others};
pub use messages::StoreOwner;
pub use metrics::Metrics;
pub use view::View;
