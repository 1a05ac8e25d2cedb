//! The truth that clients pull: conversations, messages, read marks.
//!
//! This crate owns the conversations' logs, who is in them, how far each member has read, and what each user's list
//! looks like. It never knows a socket, and a gateway by its name alone: it answers calls ([`doorbell_rpc::Messages`]) and
//! questions about audiences ([`doorbell_rpc::Audiences`]), hears who comes and goes ([`doorbell_rpc::Presence`]), passes
//! signals on ([`doorbell_rpc::Signals`]), and tells the hint queue or the channel service what changed.
//!
//! A write: its parameters are checked against every limit; it goes into the bounded queue of its shard's writer, in
//! the order of the calls; the writer decides all that waits on top of each other, commits it with one fsync,
//! publishes a view at the new position, and only then answers. The shard's announcer takes the commit, from memory or
//! from the store, looks up the members, gives the hints to the queue, and moves its cursor.
//!
//! A read: it takes the newest view of the shards that it needs, on a thread that may block, checks membership, and
//! answers a page that fits a frame. A pull of a log checks membership in memory, and shares its page with equal ones.
//!
//! Invariants:
//! - **MS-1** Nothing is readable, hinted, counted or given as the answer to a repeated key before it is durable.
//! - **MS-2** A conversation's versions are dense, from 1, in the order of commit, the same for every reader.
//! - **MS-3** One key of one user in one conversation makes one message, however often and in parallel it is sent; with
//!   other content it makes none. The same for a user's key and a new conversation. Kept for at least 7 days.
//! - **MS-4** What is committed is announced, also after a crash; the cursor moves past a commit only when all of its
//!   hints are with the queue.
//! - **MS-5** A reader sees whole commits, up to a position, never half of one.
//! - **MS-6** A cursor holds positions at or below which everything was visible: who follows it misses nothing. One that
//!   cannot be placed is answered with everything and `reset`.
//! - **MS-7** Membership is looked at before anything else; an absent conversation and a foreign one answer alike.
//! - **MS-8** Only a shard's writer writes there, and it is the only thread that decides.
//! - **MS-9** A failed write is never tried again on the same open store: it is opened again from what the disk holds.
//! - **MS-10** `unread` counts the messages of others after the read mark, exactly. A mark only moves forward; sending
//!   does not move it, because what was sent is no proof of what was read.
//! - **MS-11** Every right follows from being a member now. Whoever was removed by a commit is shown nothing later, and
//!   is told of no later one once the gateway has heard of it: a small conversation's hints do not go there at all, a
//!   large one's may until the mark is settled, some milliseconds after. Whoever was added by one is told of every later one.
//! - **MS-12** A member who changes over between being rung and following (coming, going, a crossing of the threshold) is
//!   marked to ask again, together with the head as read at or after the change.
//! - **MS-13** From the commit of a delete on, the content of the message and of its edits is in no row and in no answer.
//!   An entry changes in no other way that readers of the log see.
//! - **MS-14** A pull shows the log as of a head that is not older than the pull, to members as of that head. What is kept
//!   for pulls lies under a key that names all that it follows from, the last delete included: nothing is taken back.
//! - **MS-15** A signal takes nothing that calls and announcements need, waits for nothing past its deadline, and reaches
//!   nobody but the other members of a small conversation, as read when it came.
//! - **MS-16** Nothing that an invisible user does moves their presence or shows in it, but what they say themselves.
//! - **MS-17** What was announced to stores of the backplane that are others now, up to `reannounce_window` before those
//!   were last seen, is announced again, once for each change that is seen, also by the next start (not where the store
//!   lives in memory and began with it): the cursor goes back in one step with taking the new identities over, no announcement that began before moves it on, and no commit that may be needed for that is
//!   forgotten.
//!
//! Decisions that `protocol.md` leaves open: a conversation with oneself alone is a group without other members, made
//! by `conversations.create`; `to` must be somebody else. A mark beyond the head means the head. `messages.list`
//! without a range is the newest page. A `limit` beyond the maximum means the maximum. `before` pages of
//! `conversations.list` are cut where a conversation stood at that page: one that moves up meanwhile is news of
//! `topics.changes`.
//!
//! Who is added reads the whole log, with a read mark at its head. An owner who leaves is followed by the longest
//! member. A title that is so already makes no entry. Deleting what is deleted is answered as the first time.
//!
//! Map: [`service`] open, call, run; `api` names, parameters, results; `refusal` errors to clients; `writer` queue,
//! decisions, commits; `store` the contract and the embedded back-end; `read` pages; `pulls` equal pulls
//! share a page; `announce` commits to hints, and again where the backplane is another one;
//! `reach` whom they go to, and by which way;
//! `status` how a user is seen, `seen` when last;
//! `marks` what a read mark counts; `throttle` messages a user; `inflight` a user's own writes come before own reads;
//! `turns` a user's wide reads, and statuses, one after the other;
//! `reader` threads for reads; `conversation` plain data; `shard` who lives where; [`config`], [`error`], [`metrics`].

mod announce;
mod api;
pub mod config;
mod conversation;
pub mod error;
mod inflight;
mod marks;
pub mod metrics;
mod pulls;
mod reach;
mod read;
mod reader;
mod refusal;
mod seen;
pub mod service;
mod shard;
mod status;
mod store;
mod throttle;
mod turns;
mod writer;

pub use api::describe::{Description, MethodDescription, describe};
pub use config::Config;
pub use error::{BadRelation, Error};
pub use metrics::Metrics;
pub use service::{MessageService, Neighbours};
pub use store::StoreId;
