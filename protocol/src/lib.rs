//! What travels on Doorbell's wires: ids, versions, hints, client frames and their two encodings, close codes.
//!
//! This crate owns the meaning of each byte between a client and a gateway. It does no I/O, reads no clock and
//! knows no async. Ids and versions are checked where they enter; after that their types say that they are good.
//!
//! The way of a frame: bytes are split into the fields that frames know, unread; `type` picks the kind; each field of that
//! kind is read and checked by name; opaque values are checked and copied as they are. Writing goes the other way and
//! splices opaque values without reading them.
//!
//! Invariants:
//! - **PR-1** No input makes a decoder panic, recurse without bound, or allocate beyond a small multiple of the input.
//! - **PR-2** Versions only grow; merging hints keeps the greatest ([`hint::DirtyMap`]).
//! - **PR-3** Both encodings carry the same frames: one set of types ([`frames`]), golden vectors in `vectors/`.
//! - **PR-4** Unknown fields are ignored; an unknown type or a bad field is answered, not fatal ([`error::DecodeError`]).
//! - **PR-5** A payload holds only what both encodings can say, at most 64 deep, so rewriting it cannot fail ([`Payload`]).
//! - **PR-6** No error repeats the input, and no `Debug` shows a token or a payload.
//!
//! Map: [`ids`] names; [`version`] counters; [`time`] wall time as data; [`hint`] hints and their merging;
//! [`payload`] opaque values; [`frames`] the frames as types; [`codec`] frames to bytes and back;
//! [`close`] close codes with their verdict; [`backends`] what other back ends say; [`error`] error objects and decode
//! errors; `schema` how the words look in JSON Schema.

pub mod backends;
pub mod close;
pub mod codec;
pub mod error;
pub mod frames;
pub mod hint;
pub mod ids;
pub mod payload;
mod schema;
pub mod time;
pub mod version;

pub use close::CloseCode;
pub use error::{DecodeError, ErrorBody, ErrorCode, InvalidId};
pub use frames::{CallId, ClientFrame, ServerFrame};
pub use hint::{DirtyMap, Hint, Raise};
pub use ids::{
    ConversationId, DeviceId, GatewayId, IdempotencyKey, InstanceId, MessageId, SessionId, TopicId, UserId,
};
pub use payload::{Encoding, Payload};
pub use time::{Clock, Timestamp};
pub use version::{Epoch, Generation, Stamp, Version};
