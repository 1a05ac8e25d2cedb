//! Names of things: checked once at the edge, cheap to clone, safe to use as a key.
//!
//! Every id is a counted string of one word behind a private field with one checked constructor; serde goes through it.
//! Ids are compared byte for byte: no Unicode normalization is applied, so two spellings are two ids.

use std::fmt;
use std::str::FromStr;

use arcstr::ArcStr;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::InvalidId;

/// Longest user or device id, in bytes (`protocol`, "Words").
pub const USER_ID_BYTES_MAX: usize = 128;
/// Longest topic, in bytes (`protocol`, "Words").
pub const TOPIC_ID_BYTES_MAX: usize = 256;
/// Longest conversation, gateway or message id, in bytes.
pub const PLAIN_ID_BYTES_MAX: usize = 64;
/// What the names of canaries begin with, and no other user's: [`UserId::canary`].
const CANARY_PREFIX: &str = "doorbell:canary:";
/// Longest idempotency key, in bytes. A UUIDv7 has 36, a ULID 26.
pub const KEY_BYTES_MAX: usize = 128;

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ArcStr);

        impl $name {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// [`InvalidId`] says which rule the text breaks; it never repeats the text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                $check($what, text)?;
                Ok(Self(ArcStr::from(text)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(IdVisitor(|text| Self::new(text)))
            }
        }
    };
}

/// Checks text where it lies: no copy but the id itself.
struct IdVisitor<T>(fn(&str) -> Result<T, InvalidId>);

impl<T> Visitor<'_> for IdVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.0(text).map_err(E::custom)
    }
}

string_id!(
    /// An identity, a token's `sub`: 1 to 128 bytes of printable UTF-8 that do not begin with `doorbell:canary:`.
    UserId, "user", somebody
);
string_id!(
    /// One of a user's installations, named by the client: 1 to 128 bytes of printable UTF-8.
    DeviceId, "device", printable_user
);
string_id!(
    /// A thing that changes, `kind:key`: at most 256 bytes; the kind is `[a-z][a-z0-9-]*`.
    TopicId, "topic", topic
);
string_id!(
    /// A conversation, named by message-svc: 1 to 64 bytes of `[A-Za-z0-9_-]`.
    ConversationId, "conversation", plain
);
string_id!(
    /// A gateway process: 1 to 64 bytes of `[A-Za-z0-9_-]`.
    GatewayId, "gateway", plain
);
string_id!(
    /// One life of one process of an installation: 1 to 64 bytes of `[A-Za-z0-9_-]`. A gateway's [`GatewayId`] is the
    /// same text.
    InstanceId, "instance", plain
);
string_id!(
    /// A message, named by message-svc: 1 to 64 bytes of `[A-Za-z0-9_-]`.
    MessageId, "message", plain
);
string_id!(
    /// A client's idempotency key: 1 to 128 bytes of `[A-Za-z0-9_.:-]`, a UUIDv7 or ULID by custom.
    IdempotencyKey, "key", key
);

impl UserId {
    /// A user who is nobody: a gateway rings one in each partition to see that rings arrive. `nth` tells those of one
    /// gateway apart. No checked id is one, so that no token, key or call can name it.
    #[must_use]
    pub fn canary(gateway: &GatewayId, nth: u32) -> Self {
        Self(format!("{CANARY_PREFIX}{gateway}:{nth}").into())
    }

    /// Whether it is a canary and not somebody.
    #[must_use]
    pub fn is_canary(&self) -> bool {
        self.0.starts_with(CANARY_PREFIX)
    }

    /// Reads an id that another part of this installation has written: it may be a canary.
    ///
    /// # Errors
    /// As for [`UserId::new`].
    pub fn from_inside(text: impl AsRef<str>) -> Result<Self, InvalidId> {
        let text = text.as_ref();
        printable_user("user", text)?;
        Ok(Self(ArcStr::from(text)))
    }
}

impl TopicId {
    /// The topic of a conversation's log, `conversation:<id>`.
    #[must_use]
    pub fn conversation(conversation: &ConversationId) -> Self {
        Self(format!("conversation:{conversation}").into())
    }

    /// A user's own topic, `inbox:<user>`.
    #[must_use]
    pub fn inbox(user: &UserId) -> Self {
        Self(format!("inbox:{user}").into())
    }

    /// The topic of whether a user is there.
    #[must_use]
    pub fn presence(user: &UserId) -> Self {
        Self(format!("presence:{user}").into())
    }

    /// What stands before the first colon.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or("", |(kind, _)| kind)
    }

    /// What stands after the first colon.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, key)| key)
    }
}

/// One WebSocket of one user; random, unique within an installation for all practical purposes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// Takes 64 random bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits, for sharding.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = InvalidId;
    /// Reads what `Display` writes: one spelling, so that a session has one name.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId { what: "session", rule: "must be 16 hexadecimal digits in lower case" };
        if text.len() != 16 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| invalid)
    }
}

fn within(what: &'static str, text: &str, bytes_max: usize) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId { what, rule: "must not be empty" });
    }
    if text.len() > bytes_max {
        let rule = match bytes_max {
            PLAIN_ID_BYTES_MAX => "must be at most 64 bytes",
            TOPIC_ID_BYTES_MAX => "must be at most 256 bytes",
            _ => "must be at most 128 bytes",
        };
        return Err(InvalidId { what, rule });
    }
    Ok(())
}

fn plain(what: &'static str, text: &str) -> Result<(), InvalidId> {
    within(what, text, PLAIN_ID_BYTES_MAX)?;
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Ok(());
    }
    Err(InvalidId { what, rule: "may hold only letters, digits, '_' and '-'" })
}

fn key(what: &'static str, text: &str) -> Result<(), InvalidId> {
    within(what, text, KEY_BYTES_MAX)?;
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b)) {
        return Ok(());
    }
    Err(InvalidId { what, rule: "may hold only letters, digits, '_', '-', '.' and ':'" })
}

fn somebody(what: &'static str, text: &str) -> Result<(), InvalidId> {
    if text.starts_with(CANARY_PREFIX) {
        return Err(InvalidId { what, rule: "must not begin with `doorbell:canary:`, which is reserved" });
    }
    printable_user(what, text)
}

fn printable_user(what: &'static str, text: &str) -> Result<(), InvalidId> {
    within(what, text, USER_ID_BYTES_MAX)?;
    printable(what, text)
}

fn topic(what: &'static str, text: &str) -> Result<(), InvalidId> {
    within(what, text, TOPIC_ID_BYTES_MAX)?;
    let Some((kind, key)) = text.split_once(':') else {
        return Err(InvalidId { what, rule: "must be kind:key" });
    };
    let mut bytes = kind.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    if !starts_well || !bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(InvalidId { what, rule: "must have a kind of lower-case letters, digits and '-'" });
    }
    if key.is_empty() {
        return Err(InvalidId { what, rule: "must have a key after the colon" });
    }
    printable(what, key)
}

/// Refuses what a reader cannot see or what changes the order of the text around it: control and format
/// characters, line separators, and white space at either end.
fn printable(what: &'static str, text: &str) -> Result<(), InvalidId> {
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(InvalidId { what, rule: "must hold no control or invisible characters" });
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(InvalidId { what, rule: "must not begin or end with white space" });
    }
    Ok(())
}

/// What Unicode lets a renderer leave out (`Default_Ignorable_Code_Point`: joiners, marks of direction, fillers, selectors,
/// tags), line and paragraph separators, annotations and noncharacters.
fn is_invisible(c: char) -> bool {
    let c = u32::from(c);
    let noncharacter = c & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&c);
    noncharacter
        || matches!(c,
            0x00AD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF
            | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_are_printable_and_bounded() {
        for good in ["a", "alice", "Ada Lovelace", "o'neil", "ß@例え", "{*}:x", &"x".repeat(128)] {
            assert!(UserId::new(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "a\nb",
            "a\0",
            "a\u{202e}b",
            "\u{feff}a",
            "\u{85}",
            "a\u{3164}",
            "\u{10ffff}",
            &"x".repeat(129),
        ] {
            assert!(UserId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_canary_is_read_from_inside_and_from_nowhere_else() {
        let longest = GatewayId::new("g".repeat(PLAIN_ID_BYTES_MAX)).unwrap();
        let canary = UserId::canary(&longest, u32::MAX);
        assert!(canary.is_canary());
        assert_eq!(UserId::from_inside(canary.as_str()).as_ref(), Ok(&canary));
        assert!(UserId::from_inside("doorbell:canary:\u{202e}").is_err());
        let refused = UserId::new(canary.as_str()).unwrap_err().to_string();
        assert!(refused.contains("doorbell:canary:"), "{refused}");
        assert!(serde_json::from_value::<UserId>(canary.as_str().into()).is_err());
        for somebody in ["doorbell:canary", "doorbell:", "canary", "Doorbell:canary:x"] {
            assert!(!UserId::new(somebody).unwrap().is_canary(), "{somebody}");
        }
        assert!(DeviceId::new(canary.as_str()).is_ok(), "a device is no user");
    }

    #[test]
    fn topics_have_a_kind_and_a_key() {
        let topic = TopicId::new("conversation:a:b").unwrap();
        assert_eq!((topic.kind(), topic.key()), ("conversation", "a:b"));
        for bad in ["", "x", ":x", "x:", "X:y", "9:y", "a b:c", &format!("a:{}", "x".repeat(255))] {
            assert!(TopicId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_user_has_an_inbox() {
        let user = UserId::new("x".repeat(USER_ID_BYTES_MAX)).unwrap();
        assert!(TopicId::new(TopicId::inbox(&user).as_str()).is_ok());
    }

    #[test]
    fn a_session_has_one_spelling() {
        let session = SessionId::from_bits(0xab);
        assert_eq!("00000000000000ab".parse(), Ok(session));
        assert_eq!(session.to_string(), "00000000000000ab");
        for bad in ["", "ab", "00000000000000AB", "+0000000000000ab", "0000000000000xab", "00000000000000abc"]
        {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_checked_when_read() {
        assert!(serde_json::from_str::<UserId>("\"a\\u0000\"").is_err());
        assert_eq!(serde_json::from_str::<ConversationId>("\"c-1\"").unwrap().as_str(), "c-1");
        assert!(serde_json::from_str::<ConversationId>("\"../c\"").is_err());
    }
}
