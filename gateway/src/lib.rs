//! Holds client sockets: checks who comes, registers where they are, rings them, and passes their calls on.
//!
//! This crate owns listening, the upgrade, tokens, sessions, the fan-out to local sockets, heartbeats and the drain.
//! It never holds durable state, nor anything that another gateway must know.
//!
//! Life of a socket: the listener accepts, the handshake checks and answers 101, [`Gateway::start`] takes over. The
//! session waits for `hello`; its token is checked; it enters the local index, able to hold hints; its enter goes to
//! the registry with others of the same milliseconds; confirmed, it gets `welcome` and what was held. From then on a
//! delivery writes hints straight to the socket; what the socket does not take merges. Calls go to message-svc and
//! come back as replies. Silence, expiry, eviction, flooding or the drain close it, each with its own code.
//!
//! Invariants:
//! - **GW-1** A session is in the local index before its enter is sent, and has its `welcome` only after that is
//!   confirmed: no change falls between.
//! - **GW-2** Frames of one socket never interleave: whoever writes holds the session's lock, and what was begun goes
//!   first.
//! - **GW-3** An idle session owns no buffer, no channel and no timer.
//! - **GW-4** What a session has not taken is bounded: one version a topic up to a cap, then `more`; and the answers to
//!   the calls it may have in flight, during which nothing more is read. In TLS one record of it may lie encrypted.
//! - **GW-5** A leave names the user's greatest stamp, an enter a greater one: a late leave removes nothing alive.
//! - **GW-6** Enters go out under a live lease of their partition; a lapsed one is replaced, everybody is entered
//!   again, and only then hinted `resync`.
//! - **GW-7** A slow socket delays no other, and is not closed for being slow, only for being dead.
//! - **GW-8** Every end has one code, mapped in one place ([`close`]).
//! - **GW-9** No lock is held across an await; a session's lock is never held while another is taken.
//! - **GW-10** A follower is in the index before it reads the topic's version, and a version is raised before its fan-out
//!   walks over the followers: whoever comes in the middle misses nothing.
//! - **GW-11** What a session's own list does not name is not written to it as a follower: once a topic is taken from the
//!   list, no hint of it goes out for that reason, not even one that waited.
//! - **GW-12** A refollow is answered only by an ask that began after its mark came, and after what that ask answered is
//!   followed and hinted.
//! - **GW-13** A topic's first follow here reads its stored version, and a look begins before that read: no change falls
//!   between. Another store than at the last look means reading everything again, and `resync`.
//! - **GW-14** A topic's fan-outs cost its sockets, not its publishes: one is under way at a time, newer versions
//!   replace what waits, and who is reached late in one is told the version of that time.
//! - **GW-15** What a session follows by `subscribe` rests on the token that it has, or on a word of message-svc that is no
//!   older than `authorize_interval`; without a fresh one it is suspended.
//! - **GW-16** A signal is written to a socket that takes it at once and has nothing owed, or to no socket: it waits
//!   nowhere. What a socket took in part is finished like any frame begun.
//! - **GW-17** Who comes is told after the enter, who goes after the leave: who pulls by the hint sees it. A user who is
//!   back within the grace is no news, unless the entry may have been gone meanwhile.
//! - **GW-18** Where the stored versions of a partition are lost, its followers are told `resync` after they were read
//!   again, and so is whoever had asked what there is before that was seen, and follows after it.
//! - **GW-19** A canary is rung only while an enter of it is confirmed, is no user to anybody, and decides nothing.
//!
//! Map: [`gateway`] the parts and the loops; `session` one socket: rules, outbox, task; `local` user to sessions;
//! `entries` the registry's side; `fanout` one hint to many; `topics` topic to sessions; `follow` who follows what;
//! `interest` what channel-svc is told; `presence` what message-svc is told of who comes and goes; `signals` what passes
//! by; `canary` whether rings arrive; `look` the stored versions; `sweep` the coarse wheel; `pull` calls; `rates` how often, by key; [`drain`]
//! leaving; `api` what notifiers call; [`close`] ends to codes; [`config`], [`error`], [`metrics`], [`uptime`];
//! [`handshake`] request to socket; [`socket`] plain or TLS; [`tls`] the certificate; [`auth`] tokens; [`ws`] frames.

mod api;
pub mod auth;
mod canary;
pub mod close;
pub mod config;
pub mod drain;
mod entries;
pub mod error;
mod fanout;
mod follow;
pub mod gateway;
pub mod handshake;
pub mod http;
mod interest;
pub mod listener;
mod local;
mod look;
pub mod metrics;
mod presence;
mod pull;
mod rates;
mod session;
mod signals;
pub mod socket;
mod sweep;
pub mod tls;
mod topics;
pub mod uptime;
pub mod ws;

pub use config::Config;
pub use drain::Drained;
pub use error::{End, Error};
pub use gateway::{Gateway, GatewayParts};
pub use handshake::Upgraded;
pub use metrics::Metrics;
