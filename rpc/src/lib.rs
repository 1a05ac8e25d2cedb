//! The calls between Doorbell's services: one trait each, within a process and between two.
//!
//! This crate owns the shape of a call and what a failed one means, and what every caller needs to bear one ([`backoff`],
//! [`peer`]); it owns no policy: who retries, how long to
//! wait and what to do next is the caller's. Services never import each other; they meet here.
//!
//! Within a process a service is called as it is ([`local`] finds gateways by name). Between two, [`remote`] serves the same
//! traits and is them: what a caller sees is the same, but for errors that only a network has.
//!
//! Delivery semantics: a call that returns `Err` may or may not have happened. Each call here may therefore be
//! repeated: a hint merges, and a method carries its idempotency key. A signal alone is never repeated. The caller sets the deadline by dropping the
//! future; every future here is cancel safe. Nothing is repeated here, on whatever way; a call between processes also ends
//! by itself, at a bound of the configuration.
//!
//! Map: [`gateway`] ring the users or the followers of one gateway; [`channel`] publish to a large audience;
//! [`audience`] who may follow what; [`presence`] who came and who went; [`message`] pull and act; [`ingress`] hints
//! from other back ends; [`signal`] what passes by; [`offline`] users without a session; [`local`] the same-process side;
//! [`remote`] the other processes; [`error`] whose fault, and whether to retry; [`backoff`] how long to wait before it; [`peer`] deadlines, and an outage
//! said once; [`failpoint`] and [`sabotage`] what tests break.

pub mod audience;
pub mod backoff;
pub mod channel;
pub mod error;
pub mod failpoint;
pub mod gateway;
pub mod ingress;
pub mod local;
pub mod message;
pub mod offline;
pub mod peer;
pub mod presence;
pub mod remote;
pub mod sabotage;
pub mod signal;

pub use audience::Audiences;
pub use backoff::Backoff;
pub use channel::{ChannelLife, Channels, NoChannels, Subscription};
pub use error::Error;
pub use gateway::{DeliverRequest, Delivered, GatewayApi, Gateways, Heard};
pub use ingress::Ingress;
pub use local::LocalGateways;
pub use message::{CallRequest, Caller, Messages};
pub use offline::{Missed, Mutes, OfflineHook};
pub use peer::{NoAnswer, Peer};
pub use presence::{Move, NoPresence, Presence, Way};
pub use signal::{NoSignals, Signal, SignalReply, SignalRequest, Signals};
