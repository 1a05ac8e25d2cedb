//! One field's value, read as what the frame expects there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::{ErrorBody, ErrorCode, InvalidId};
use crate::frames::{CallId, CallIdVisitor, SIGNAL_BYTES_MAX, SUBSCRIBE_TOPICS_MAX};
use crate::ids::TopicId;
use crate::payload::{Encoding, Payload, Top};
use crate::version::Version;

/// What is wrong with one field: the rule it breaks, never its content.
pub(super) struct Fault {
    pub(super) code: ErrorCode,
    pub(super) rule: Cow<'static, str>,
}

impl Fault {
    pub(super) const fn rule(rule: &'static str) -> Self {
        Self { code: ErrorCode::Invalid, rule: Cow::Borrowed(rule) }
    }

    const fn too_large(rule: &'static str) -> Self {
        Self { code: ErrorCode::TooLarge, rule: Cow::Borrowed(rule) }
    }

    /// What is wrong inside an object of the frame.
    pub(super) fn nested(error: &ErrorBody) -> Self {
        Self { code: error.code, rule: format!("must be right: {}", error.message).into() }
    }

    fn topic(invalid: InvalidId) -> Self {
        Self { code: ErrorCode::Invalid, rule: format!("has a topic that {}", invalid.rule).into() }
    }
}

impl From<InvalidId> for Fault {
    fn from(invalid: InvalidId) -> Self {
        Self::rule(invalid.rule)
    }
}

/// The bytes of one whole value, which the split found well-formed.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    encoding: Encoding,
    bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    pub(super) const fn new(encoding: Encoding, bytes: &'a [u8]) -> Self {
        Self { encoding, bytes }
    }

    pub(super) fn is_null(self) -> bool {
        match self.encoding {
            Encoding::Json => self.bytes == b"null",
            Encoding::MsgPack => self.bytes == [0xc0],
        }
    }

    pub(super) fn text(self) -> Result<Cow<'a, str>, Fault> {
        self.visit(TextVisitor).ok_or(Fault::rule("must be a string"))
    }

    /// Text for people or logs: bounded, without control characters.
    pub(super) fn plain_text(self, bytes_max: usize, rule: &'static str) -> Result<String, Fault> {
        let text = self.text()?;
        if text.is_empty() || text.len() > bytes_max || text.contains(char::is_control) {
            return Err(Fault::rule(rule));
        }
        Ok(text.into_owned())
    }

    /// A checked id.
    pub(super) fn id<T: FromStr<Err = InvalidId>>(self) -> Result<T, Fault> {
        Ok(self.text()?.parse()?)
    }

    pub(super) fn call_id(self) -> Result<CallId, Fault> {
        self.visit(CallIdVisitor).ok_or(Fault::rule(CallId::RULE))
    }

    /// A whole number that is not negative.
    pub(super) fn number(self) -> Result<u64, Fault> {
        self.visit(NumberVisitor).ok_or(Fault::rule("must be a whole number, not negative"))
    }

    /// A number of milliseconds and the like.
    pub(super) fn number_u32(self) -> Result<u32, Fault> {
        u32::try_from(self.number()?).map_err(|_| Fault::rule("must be at most 4294967295"))
    }

    pub(super) fn flag(self) -> Result<bool, Fault> {
        self.visit(FlagVisitor).ok_or(Fault::rule("must be true or false"))
    }

    /// `{topic: version}`.
    pub(super) fn versions(self) -> Result<Vec<(TopicId, Version)>, Fault> {
        let mut fault = Fault::rule("must be an object of topics and their versions");
        self.visit(VersionsVisitor(&mut fault)).ok_or(fault)
    }

    /// `[topic]`.
    pub(super) fn topics(self) -> Result<Vec<TopicId>, Fault> {
        let mut fault = Fault::rule("must be an array of topics");
        self.visit(TopicsVisitor(&mut fault)).ok_or(fault)
    }

    /// An opaque object.
    pub(super) fn object(self) -> Result<Payload, Fault> {
        self.checked(Top::Object)
    }

    /// An opaque value.
    pub(super) fn value(self) -> Result<Payload, Fault> {
        self.checked(Top::Any)
    }

    /// The opaque value of a signal.
    pub(super) fn signal_data(self) -> Result<Payload, Fault> {
        if self.bytes.len() > SIGNAL_BYTES_MAX {
            return Err(Fault::too_large("must be at most 1024 bytes"));
        }
        self.value()
    }

    fn checked(self, top: Top) -> Result<Payload, Fault> {
        // The check comes first: a refused value is not copied.
        crate::payload::check_value(self.encoding, self.bytes, top).map_err(Fault::rule)?;
        Ok(Payload::from_checked(self.encoding, Bytes::copy_from_slice(self.bytes)))
    }

    fn visit<V: Visitor<'a>>(self, visitor: V) -> Option<V::Value> {
        match self.encoding {
            Encoding::Json => serde_json::Deserializer::from_slice(self.bytes).deserialize_any(visitor).ok(),
            Encoding::MsgPack => {
                rmp_serde::Deserializer::from_read_ref(self.bytes).deserialize_any(visitor).ok()
            }
        }
    }
}

/// Text only: serde's own would take a MessagePack bin for a str.
struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(E::custom)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<bool, E> {
        Ok(flag)
    }
}

/// Says in the fault what a serde error could only say as text.
struct VersionsVisitor<'f>(&'f mut Fault);

impl<'de> Visitor<'de> for VersionsVisitor<'_> {
    type Value = Vec<(TopicId, Version)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut versions = Vec::new();
        while let Some(topic) = map.next_key_seed(TopicSeed(self.0))? {
            if versions.len() == SUBSCRIBE_TOPICS_MAX {
                return Err(too_many(self.0));
            }
            versions.push((topic, map.next_value_seed(VersionSeed(self.0))?));
        }
        Ok(versions)
    }
}

struct TopicsVisitor<'f>(&'f mut Fault);

impl<'de> Visitor<'de> for TopicsVisitor<'_> {
    type Value = Vec<TopicId>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut topics = Vec::new();
        while let Some(topic) = seq.next_element_seed(TopicSeed(self.0))? {
            if topics.len() == SUBSCRIBE_TOPICS_MAX {
                return Err(too_many(self.0));
            }
            topics.push(topic);
        }
        Ok(topics)
    }
}

fn too_many<E: Error>(fault: &mut Fault) -> E {
    *fault = Fault::rule("must have at most 1000 topics");
    E::custom("too many topics")
}

struct TopicSeed<'f>(&'f mut Fault);

impl<'de> DeserializeSeed<'de> for TopicSeed<'_> {
    type Value = TopicId;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<TopicId, D::Error> {
        let text = deserializer.deserialize_any(TextVisitor)?;
        TopicId::new(text).map_err(|invalid| {
            *self.0 = Fault::topic(invalid);
            D::Error::custom(invalid)
        })
    }
}

struct VersionSeed<'f>(&'f mut Fault);

impl<'de> DeserializeSeed<'de> for VersionSeed<'_> {
    type Value = Version;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Version, D::Error> {
        let number = deserializer.deserialize_any(NumberVisitor).ok().and_then(Version::new);
        number.ok_or_else(|| {
            *self.0 = Fault::rule("must have whole numbers from 0 to 2^53-1 as versions");
            D::Error::custom("no version")
        })
    }
}
