//! What goes wrong with input, and the error object that clients see.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frames::CallId;

/// An id that breaks its rule. It never repeats the input, which may be hostile or secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {rule}")]
pub struct InvalidId {
    /// Which kind of id.
    pub what: &'static str,
    /// The rule it breaks, as "must …".
    pub rule: &'static str,
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// The `code` of an error object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode { $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+ }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

error_codes! {
    /// The request breaks a rule; the message says which.
    Invalid = "invalid",
    /// No token, or a bad or expired one.
    Unauthorized = "unauthorized",
    /// The caller may see it, but not do this.
    Forbidden = "forbidden",
    /// Absent, or not the caller's: both answer alike.
    NotFound = "not_found",
    /// The same key with other content.
    Conflict = "conflict",
    /// Beyond a limit in size.
    TooLarge = "too_large",
    /// Beyond a limit in rate; `retry_after_ms` says when to come back.
    RateLimited = "rate_limited",
    /// Not now; trying again can help.
    Unavailable = "unavailable",
    /// A frame of a type that this server does not know.
    UnknownType = "unknown_type",
    /// A method that this server does not know.
    UnknownMethod = "unknown_method",
    /// Known, but not offered here.
    Unsupported = "unsupported",
    /// The server's fault.
    Internal = "internal",
}

impl std::str::FromStr for ErrorCode {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let known = Self::ALL.iter().copied().find(|code| code.as_str() == text);
        known.ok_or(InvalidId { what: "code", rule: "must be an error code that this version knows" })
    }
}

/// The error object: in `reply`, in `error`, and over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what, where, and what to do.
    pub message: String,
    /// Present exactly where trying again unchanged can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Where it helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl ErrorBody {
    /// An error that trying again unchanged cannot help.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, details: None }
    }

    /// An error after which the same request may succeed, that much later.
    pub fn retry_after(code: ErrorCode, message: impl Into<String>, retry_after_ms: u64) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new(code, message) }
    }
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not the protocol at all: the socket closes with 4400 and this reason.
    #[error("{0}")]
    NotProtocol(&'static str),
    /// A frame with a fault: it gets an `error`, or the `reply` to its id, and the socket stays.
    #[error("{}", .error.message)]
    Rejected {
        /// The frame's id, where it has a usable one.
        id: Option<CallId>,
        /// What is wrong.
        error: ErrorBody,
    },
}
