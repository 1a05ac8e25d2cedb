//! Between what travels and what the services speak of, one file a service. What comes in goes through the constructors
//! of the ids: a message that breaks a rule is refused with its place and the rule, whoever sent it.

pub(crate) mod channel;
pub(crate) mod failure;
pub(crate) mod gateway;
pub(crate) mod message;

use doorbell_protocol::{DirtyMap, Encoding, Hint, Payload, TopicId, UserId, Version};

use crate::remote::wire;

/// A request or an answer that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadMessage(String);

impl BadMessage {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// An answer to something else than was asked.
    pub(crate) fn unexpected() -> Self {
        Self("the answer is of another kind than the request".to_owned())
    }

    fn missing(what: &str) -> Self {
        Self(format!("{what} is missing, or of a kind that this version does not know"))
    }
}

impl From<doorbell_protocol::InvalidId> for BadMessage {
    fn from(invalid: doorbell_protocol::InvalidId) -> Self {
        Self(invalid.to_string())
    }
}

pub(crate) type Checked<T> = Result<T, BadMessage>;

/// Converts each, and says where the first bad one stands.
pub(crate) fn each<W, T>(what: &str, list: Vec<W>, convert: impl Fn(W) -> Checked<T>) -> Checked<Vec<T>> {
    let place = |index, error| BadMessage(format!("{what}[{index}]: {error}"));
    let converted = list.into_iter().enumerate();
    converted.map(|(index, one)| convert(one).map_err(|error| place(index, error))).collect()
}

/// An answer that must stand for each of what was asked.
pub(crate) fn as_many<T>(asked: usize, answers: Vec<T>) -> Checked<Vec<T>> {
    if answers.len() == asked {
        return Ok(answers);
    }
    Err(BadMessage(format!("{} answers to {asked} questions", answers.len())))
}

pub(crate) fn version(number: u64) -> Checked<Version> {
    Version::new(number).ok_or_else(|| BadMessage::new("a version is at most 2^53-1"))
}

pub(crate) fn topics_in(topics: Vec<String>) -> Checked<Vec<TopicId>> {
    each("topics", topics, |topic| Ok(TopicId::new(topic)?))
}

pub(crate) fn topics_out(topics: &[TopicId]) -> Vec<String> {
    topics.iter().map(TopicId::to_string).collect()
}

pub(crate) fn hint_out(hint: &Hint) -> wire::Hint {
    wire::Hint { topic: hint.topic.to_string(), version: hint.version.get() }
}

pub(crate) fn hint_in(hint: wire::Hint) -> Checked<Hint> {
    Ok(Hint { topic: TopicId::new(hint.topic)?, version: version(hint.version)? })
}

pub(crate) fn hints_out(hints: &[Hint]) -> Vec<wire::Hint> {
    hints.iter().map(hint_out).collect()
}

pub(crate) fn hints_in(hints: Vec<wire::Hint>) -> Checked<Vec<Hint>> {
    each("hints", hints, hint_in)
}

pub(crate) fn news_out(user: &UserId, news: &DirtyMap) -> wire::UserNews {
    let topics = news.topics().iter();
    let topics =
        topics.map(|(topic, version)| wire::Hint { topic: topic.to_string(), version: version.get() });
    let news = wire::DirtyMap { topics: topics.collect(), resync: news.resync(), refollow: news.refollow() };
    wire::UserNews { user: user.to_string(), news: Some(news) }
}

pub(crate) fn news_in(news: wire::UserNews) -> Checked<(UserId, DirtyMap)> {
    let user = UserId::from_inside(news.user)?;
    let wire::DirtyMap { topics, resync, refollow } = news.news.unwrap_or_default();
    let mut news = DirtyMap::default();
    for hint in topics {
        news.hint(hint_in(hint)?);
    }
    if resync {
        news.mark_resync();
    } else if refollow {
        news.mark_refollow();
    }
    Ok((user, news))
}

pub(crate) fn payload_out(payload: &Payload) -> wire::Payload {
    let encoding = match payload.encoding() {
        Encoding::Json => wire::payload::Encoding::Json,
        Encoding::MsgPack => wire::payload::Encoding::Msgpack,
    };
    wire::Payload { encoding: encoding.into(), value: payload.bytes().clone() }
}

pub(crate) fn payload_in(payload: Option<wire::Payload>) -> Checked<Payload> {
    let payload = payload.ok_or_else(|| BadMessage::missing("a payload"))?;
    let encoding = match payload.encoding() {
        wire::payload::Encoding::Json => Encoding::Json,
        wire::payload::Encoding::Msgpack => Encoding::MsgPack,
        wire::payload::Encoding::Unknown => return Err(BadMessage::missing("a payload's encoding")),
    };
    Payload::from_peer(encoding, payload.value).map_err(|error| BadMessage(error.message))
}
