//! What travels on Doorbell's wires: ids, versions, hints, client frames and their two encodings, close codes.
//!
//! This crate owns the meaning of each byte between a client and a gateway. It does no I/O, reads no clock and
//! knows no async. Ids and versions are checked where they enter; after that their types say that they are good.
//!
//! Invariants:
//! - **PR-1** No input makes a decoder panic, recurse without bound, or allocate beyond a small multiple of the input.
//! - **PR-2** Versions only grow; merging hints keeps the greatest ([`hint::DirtyMap`]).
//! - **PR-3** Both encodings carry the same frames: one set of types ([`frames`]), golden vectors in `vectors/`.
//! - **PR-4** Unknown fields are ignored; an unknown type or a bad field is answered, not fatal ([`error::DecodeError`]).
//!
//! Map: [`ids`] names; [`version`] counters; [`time`] wall time as data; [`hint`] hints and their merging;
//! [`payload`] opaque values; [`frames`] the frames as types; [`codec`] frames to bytes and back;
//! [`close`] close codes with their verdict; [`error`] error objects and decode errors.

pub mod close;
pub mod codec;
pub mod error;
pub mod frames;
pub mod hint;
pub mod ids;
pub mod payload;
pub mod time;
pub mod version;

pub use close::CloseCode;
pub use error::{DecodeError, ErrorBody, ErrorCode, InvalidId};
pub use frames::{CallId, ClientFrame, ServerFrame};
pub use hint::{DirtyMap, Hint};
pub use ids::{ConversationId, DeviceId, GatewayId, IdempotencyKey, MessageId, SessionId, TopicId, UserId};
pub use payload::{Encoding, Payload};
pub use time::{Clock, Timestamp};
pub use version::{Epoch, Generation, Stamp, Version};
