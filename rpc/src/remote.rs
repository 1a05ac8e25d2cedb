//! Calls to other processes: the traits of this crate over the network, point to point.
//!
//! A [`Server`] serves what its process has ([`Served`]); a [`Connection`] is one other process, as the same traits. Who is
//! where, and whom to call, is for others to know.
//!
//! It speaks gRPC (HTTP/2 and protocol buffers, `proto/rpc.proto`), in one method: a stream in each direction, for as long
//! as the connection lives, with numbered requests and answers. A call costs no stream of its own, answers come in any
//! order, calls of one kind begin in the order in which they were made, and every bound holds for all of them alike: calls
//! and bytes under way, the size of a message, the time for a call.
//!
//! What fails, fails at once or by its deadline, and nothing is repeated here: a call whose connection broke may have
//! happened, and its caller knows whether to make it again. Who may call is decided when a connection begins, on both
//! sides ([`Trust`]): no call goes to a foreign process, and none of one is read.
//!
//! *Versions*: what a reader does not know, it skips; a call that it does not know it refuses.

mod config;
mod connection;
mod convert;
mod dispatch;
mod error;
mod exchange;
mod gate;
mod greeting;
mod key;
mod lane;
mod link;
mod method;
mod metrics;
mod server;
#[cfg(test)]
mod tests;
mod tls;
// Made by `tonic-prost-build`; see `tests/wire.rs`.
#[rustfmt::skip]
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "it is generated")]
mod wire;

use std::sync::Arc;

use doorbell_protocol::GatewayId;

use crate::{Audiences, Channels, GatewayApi, Messages, Mutes, Presence, Signals};

pub use config::Config;
pub use connection::Connection;
pub use error::{BadCertificate, BadKey, BadRelation, Error};
pub use key::PeerKey;
pub use metrics::Metrics;
pub use server::Server;
pub use tls::{PeerPem, PeerTls};

/// How processes of one installation know one another. With neither, anybody who reaches the address may call: only for
/// loopback addresses, and a server refuses others.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Both sides prove that they have it; it says nothing of what is read or changed on the way.
    pub key: Option<PeerKey>,
    /// Both sides show certificates, and all that follows is encrypted.
    pub tls: Option<PeerTls>,
}

impl Trust {
    /// Whether foreign processes are kept out.
    #[must_use]
    pub const fn guards(&self) -> bool {
        self.key.is_some() || self.tls.is_some()
    }
}

/// What a process serves to others. Calls for what is not there are refused as unavailable.
#[derive(Clone, Default)]
pub struct Served {
    /// Its gateway. A call that means another one is answered as unreachable.
    pub gateway: Option<(GatewayId, Arc<dyn GatewayApi>)>,
    /// Its channel service.
    pub channels: Option<Arc<dyn Channels>>,
    /// Its message service.
    pub messages: Option<MessageDoor>,
}

/// What a message service serves.
#[derive(Clone)]
pub struct MessageDoor {
    /// Calls of clients.
    pub messages: Arc<dyn Messages>,
    /// Who may follow what.
    pub audiences: Arc<dyn Audiences>,
    /// What passes by.
    pub signals: Arc<dyn Signals>,
    /// Who came and who went.
    pub presence: Arc<dyn Presence>,
    /// What users do not want to be woken for.
    pub mutes: Arc<dyn Mutes>,
}

impl MessageDoor {
    /// All of it served by one.
    pub fn of<T>(service: &Arc<T>) -> Self
    where
        T: Messages + Audiences + Signals + Presence + Mutes + 'static,
    {
        Self {
            messages: Arc::clone(service) as _,
            audiences: Arc::clone(service) as _,
            signals: Arc::clone(service) as _,
            presence: Arc::clone(service) as _,
            mutes: Arc::clone(service) as _,
        }
    }
}
