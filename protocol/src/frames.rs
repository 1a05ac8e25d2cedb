//! The frames between client and gateway, as types. Their bytes are [`crate::codec`]'s business.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{ErrorBody, InvalidId};
use crate::ids::{DeviceId, SessionId, TopicId, UserId};
use crate::payload::Payload;
use crate::time::Timestamp;
use crate::version::Version;

/// Longest `id` of a call as text, in bytes.
pub const CALL_ID_BYTES_MAX: usize = 64;
/// Longest method name, in bytes.
pub const METHOD_BYTES_MAX: usize = 64;
/// Longest `client` in `hello`, in bytes.
pub const CLIENT_BYTES_MAX: usize = 128;
/// Longest token, in bytes; an authenticator refuses a longer one before it parses anything.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest `hint_window_ms` of a `hello`.
pub const HINT_WINDOW_MS_MAX: u32 = 10_000;
/// Most topics in one `subscribe` or `unsubscribe`.
pub const SUBSCRIBE_TOPICS_MAX: usize = 1_000;
/// Largest `data` of a `signal`, in bytes.
pub const SIGNAL_BYTES_MAX: usize = 1024;

/// What a client names a call by, echoed in its reply: text, or a number up to 2^53-1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum CallId {
    /// A number up to 2^53-1.
    Number(u64),
    /// Text of 1 to 64 bytes without control characters.
    Text(String),
}

impl CallId {
    /// What a call's id must be.
    pub const RULE: &'static str =
        "must be text of 1 to 64 bytes without control characters, or a whole number from 0 to 2^53-1";

    /// Checks and keeps a number.
    ///
    /// # Errors
    /// [`InvalidId`] above 2^53-1.
    pub fn number(number: u64) -> Result<Self, InvalidId> {
        if number > Version::MAX.get() { Err(Self::invalid()) } else { Ok(Self::Number(number)) }
    }

    /// Checks and keeps text.
    ///
    /// # Errors
    /// [`InvalidId`] for empty or too long text, or a control character in it.
    pub fn text(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.len() > CALL_ID_BYTES_MAX || text.contains(char::is_control) {
            return Err(Self::invalid());
        }
        Ok(Self::Text(text.to_owned()))
    }

    const fn invalid() -> InvalidId {
        InvalidId { what: "id", rule: Self::RULE }
    }
}

impl<'de> Deserialize<'de> for CallId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CallIdVisitor)
    }
}

/// Takes exactly what [`CallId::RULE`] says, in both encodings.
pub(crate) struct CallIdVisitor;

impl Visitor<'_> for CallIdVisitor {
    type Value = CallId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call's id")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<CallId, E> {
        CallId::number(number).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<CallId, E> {
        self.visit_u64(u64::try_from(number).map_err(E::custom)?)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CallId, E> {
        CallId::text(text).map_err(E::custom)
    }
}

/// A bearer token. Its `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// The first frame, within 10 s of the upgrade.
    Hello(Hello),
    /// A fresh token for the same user, before the old one expires.
    Token(Token),
    /// Follow topics beside the user's own conversations.
    Subscribe {
        /// Echoed in the reply.
        id: CallId,
        /// Each topic with the version the client has, 0 for none. A topic may stand here twice.
        topics: Vec<(TopicId, Version)>,
    },
    /// Follow no longer.
    Unsubscribe {
        /// Echoed in the reply.
        id: CallId,
        /// What to let go.
        topics: Vec<TopicId>,
    },
    /// Pull or act: answered by exactly one reply.
    Call {
        /// Echoed in the reply.
        id: CallId,
        /// For example `messages.send`.
        method: String,
        /// An object; `{}` where the frame has none.
        params: Payload,
    },
    /// Ephemeral, not stored, at most once.
    Signal {
        /// A small conversation of the sender's.
        topic: TopicId,
        /// At most 1 KiB.
        data: Payload,
    },
    /// An application-level ping, for browsers.
    Ping {
        /// Echoed in the pong.
        id: Option<CallId>,
    },
}

/// The first frame's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Not needed where one came with the upgrade.
    pub token: Option<Token>,
    /// Which of the user's installations.
    pub device: Option<DeviceId>,
    /// Name and version of the client, for logs.
    pub client: Option<String>,
    /// Gather hints for that long, in milliseconds: 0 by default, 10,000 at most.
    pub hint_window_ms: u32,
}

/// What a gateway sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame {
    /// The session is registered: every later change is hinted.
    Welcome(Welcome),
    /// Pull these.
    Hint(HintFrame),
    /// The answer to one call, subscribe or unsubscribe.
    Reply {
        /// The call's id.
        id: CallId,
        /// `result` or `error`.
        outcome: Result<Payload, ErrorBody>,
    },
    /// Somebody's signal.
    Signal {
        /// The conversation.
        topic: TopicId,
        /// Who sent it.
        from: UserId,
        /// What.
        data: Payload,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's id.
        id: Option<CallId>,
    },
    /// This gateway is leaving.
    Goaway(Goaway),
    /// About a frame that has no id.
    Error(ErrorBody),
}

/// The session is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// This session's name, for logs and support.
    pub session: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// Which installation, where the client named one.
    pub device: Option<DeviceId>,
    /// The server's clock.
    pub server_time_ms: Timestamp,
    /// How often a silent socket is pinged, in milliseconds.
    pub heartbeat_ms: u32,
    /// What the gateway allows.
    pub limits: Limits,
}

/// What the gateway allows a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest client frame, in bytes.
    pub frame_bytes: u32,
    /// Most topics followed by `subscribe`.
    pub subscriptions: u32,
    /// Sustained calls a second.
    pub calls_per_second: u32,
}

/// What to pull.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HintFrame {
    /// Each topic with the version it has reached.
    pub topics: Vec<(TopicId, Version)>,
    /// Wait that long before the pull; already jittered for this session.
    pub pull_after_ms: Option<u32>,
    /// There are others: ask `topics.changes`.
    pub more: bool,
    /// Anything may have changed: ask `topics.changes`.
    pub resync: bool,
}

/// This gateway is leaving: open a new socket, then leave the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goaway {
    /// For people.
    pub reason: String,
    /// When to open the new socket; already jittered.
    pub reconnect_after_ms: u32,
    /// How long the old socket works.
    pub deadline_ms: u32,
    /// Where to, if not to the same address.
    pub url: Option<String>,
}
