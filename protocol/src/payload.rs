//! An opaque value in one of the two encodings: what a call carries, and what its reply brings.

mod check;
mod fault;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ErrorBody, ErrorCode};
use check::check;
pub(crate) use check::{Top, check_value};

/// Most arrays and objects inside each other in a payload. What recurses over one is safe on any stack; serde_json's
/// own limit is 128.
pub const DEPTH_MAX: usize = 64;

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
/// The bytes are one whole, well-formed value in `encoding`, and it holds only what both encodings can: `null`,
/// booleans, finite numbers, strings, arrays, and objects with strings as names, at most [`DEPTH_MAX`] deep. So
/// MessagePack's bin and ext and other kinds of names are refused at the edge, and [`Payload::to`] cannot fail.
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

    /// `{}`: what a call without parameters has.
    #[must_use]
    pub const fn empty_object(encoding: Encoding) -> Self {
        let bytes: &'static [u8] = match encoding {
            Encoding::Json => b"{}",
            Encoding::MsgPack => &[0x80],
        };
        Self { encoding, bytes: Bytes::from_static(bytes) }
    }

    /// Takes bytes from outside that claim to be one object in `encoding`. Nothing is copied.
    ///
    /// # Errors
    /// `invalid` where they are not one whole, well-formed object within the depth limit.
    pub fn from_untrusted(encoding: Encoding, bytes: Bytes) -> Result<Self, ErrorBody> {
        match check(encoding, &bytes, Top::Object) {
            Ok(()) => Ok(Self { encoding, bytes }),
            Err(rule) => Err(ErrorBody::new(ErrorCode::Invalid, format!("the body {rule}"))),
        }
    }

    /// Takes bytes that another process of this installation says to be a value that a client gave, in `encoding`; a
    /// value of any kind. Nothing is copied.
    ///
    /// # Errors
    /// `invalid` where they are not one whole, well-formed value within the depth limit.
    pub fn from_peer(encoding: Encoding, bytes: Bytes) -> Result<Self, ErrorBody> {
        match check(encoding, &bytes, Top::Any) {
            Ok(()) => Ok(Self { encoding, bytes }),
            Err(rule) => Err(ErrorBody::new(ErrorCode::Invalid, format!("the value {rule}"))),
        }
    }

    pub(crate) const fn from_checked(encoding: Encoding, bytes: Bytes) -> Self {
        Self { encoding, bytes }
    }

    /// Reads an object into a type. Unknown fields are ignored. Both encodings read alike: MessagePack goes through
    /// [`serde_json::Value`], so that an enum's number, say, is no more welcome there than in JSON.
    ///
    /// # Errors
    /// `invalid`, with the field and the rule it breaks; never the content. (The errors that a type's own `Deserialize`
    /// makes are shown as they are: they must not repeat the input, as those of this crate's ids do not.)
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ErrorBody> {
        if !self.is_object() {
            return Err(ErrorBody::new(ErrorCode::Invalid, "the parameters must be an object"));
        }
        let parsed = match self.encoding {
            Encoding::Json => {
                let mut json = serde_json::Deserializer::from_slice(&self.bytes);
                serde_path_to_error::deserialize(&mut json)
            }
            Encoding::MsgPack => serde_path_to_error::deserialize(self.json()),
        };
        parsed.map_err(|error| fault::explain(&error))
    }

    /// The same value in `encoding`: a cheap clone where it is in that one already.
    ///
    /// # Panics
    /// Never for bytes from outside. For what [`Payload::encode`] wrote in MessagePack, where it held bytes: a bug in
    /// its type.
    #[must_use]
    pub fn to(&self, encoding: Encoding) -> Self {
        if encoding == self.encoding { self.clone() } else { Self::encode(encoding, &self.json()) }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        match self.encoding {
            Encoding::Json => serde_json::from_slice(&self.bytes).expect("a payload is well-formed"),
            Encoding::MsgPack => rmp_serde::from_slice(&self.bytes).expect("a payload is well-formed"),
        }
    }

    fn is_object(&self) -> bool {
        match self.encoding {
            Encoding::Json => self.bytes.trim_ascii_start().first() == Some(&b'{'),
            Encoding::MsgPack => matches!(self.bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf)),
        }
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
