//! An opaque value in one of the two encodings: what a call carries, and what its reply brings.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ErrorBody;

/// The two encodings of the protocol; a session speaks one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `doorbell.v1.json`: text frames, one JSON object each.
    Json,
    /// `doorbell.v1.msgpack`: binary frames, one MessagePack map each.
    MsgPack,
}

impl Encoding {
    /// The WebSocket sub-protocol's name.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "doorbell.v1.json",
            Self::MsgPack => "doorbell.v1.msgpack",
        }
    }
}

/// A value whose meaning is somebody else's: the gateway passes it on unread.
///
/// The bytes are one whole, well-formed value in `encoding`.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    encoding: Encoding,
    bytes: Bytes,
}

impl std::fmt::Debug for Payload {
    /// Never prints the content: payloads stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({:?}, {} bytes)", self.encoding, self.bytes.len())
    }
}

impl Payload {
    /// Writes a value; the types of this project always encode.
    ///
    /// # Panics
    /// Where `value` has a map key that is no text, or reports an error of its own: a bug in its type.
    pub fn encode<T: Serialize>(encoding: Encoding, value: &T) -> Self {
        let bytes = match encoding {
            Encoding::Json => serde_json::to_vec(value).expect("the value encodes as JSON"),
            Encoding::MsgPack => rmp_serde::to_vec_named(value).expect("the value encodes as MessagePack"),
        };
        Self { encoding, bytes: bytes.into() }
    }

    /// Reads an object into a type. Unknown fields are ignored.
    ///
    /// # Errors
    /// `invalid`, with the field and the rule it breaks; never the content.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ErrorBody> {
        let _ = &self.bytes;
        unimplemented!("codec")
    }

    /// Takes bytes from outside that claim to be one object in `encoding`.
    ///
    /// # Errors
    /// `invalid` where they are not one whole, well-formed object within the depth limit.
    pub fn from_untrusted(encoding: Encoding, bytes: Bytes) -> Result<Self, ErrorBody> {
        let _ = (encoding, bytes);
        unimplemented!("codec")
    }

    /// The encoding of the bytes.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bytes: one whole, well-formed value.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}
