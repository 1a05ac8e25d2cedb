//! What a server's message says, told apart by its first bytes; what does not look as expected goes to the protocol's own decoder.

use std::time::Duration;

use doorbell_protocol::codec::{decode_server, encode_hint};
use doorbell_protocol::frames::HintFrame;
use doorbell_protocol::{CallId, Encoding, ServerFrame, TopicId, Version};

use super::answer::WAIT_MAX;
use crate::load::clock::Moment;

/// The id of the one `subscribe` of a session.
pub const SUBSCRIBE: u64 = 1;

/// What a session was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is registered; the server's heartbeat, in milliseconds.
    Welcome(u32),
    /// It follows the topic, which is at that version.
    Followed(Moment),
    /// The topic has reached a version.
    Hint(Moment),
    /// The user is rung by its name: that other topic has reached a version.
    Ring(Moment),
    /// Both at once.
    Both(Moment, Moment),
    /// It is not served; why.
    Refused(String),
    /// Whether it may follow cannot be said now: it asks again after that time.
    Later(Duration, String),
    /// The server is leaving.
    Goaway,
    /// Nothing that matters here.
    Other,
}

/// Reads messages of one encoding, about one topic, and another one where users are rung of that.
pub struct Hearing {
    encoding: Encoding,
    topic: Option<TopicId>,
    ring_topic: Option<TopicId>,
    /// How a hint of one of them alone begins, up to the version: with a delay for the pull, and without.
    hints: Vec<(Told, Vec<u8>)>,
}

/// What a version is said as.
type Told = fn(Moment) -> Heard;

impl Hearing {
    /// For sessions that follow `topic`, and whose users are rung of `ring_topic`.
    pub fn new(encoding: Encoding, topic: Option<TopicId>, ring_topic: Option<TopicId>) -> Self {
        let mut hints = Vec::new();
        for (topic, told) in [(&topic, Heard::Hint as Told), (&ring_topic, Heard::Ring)] {
            let beginnings =
                topic.iter().flat_map(|topic| [None, Some(1)].map(|wait| beginning(encoding, topic, wait)));
            hints.extend(beginnings.map(|beginning| (told, beginning)));
        }
        Self { encoding, topic, ring_topic, hints }
    }

    /// What a message says.
    pub fn hear(&self, payload: &[u8]) -> Heard {
        for (told, beginning) in &self.hints {
            if let Some(version) = payload.strip_prefix(&**beginning).and_then(|rest| self.number(rest)) {
                return told(version);
            }
        }
        match decode_server(self.encoding, payload) {
            Ok(ServerFrame::Welcome(welcome)) => Heard::Welcome(welcome.heartbeat_ms),
            Ok(ServerFrame::Reply { id: CallId::Number(SUBSCRIBE), outcome }) => match outcome {
                // What may not be followed is not in the answer.
                Ok(result) => self.followed(&result),
                Err(error) => {
                    let why = format!("subscribe: {}", error.message);
                    let after = error.retry_after_ms.map(|ms| Duration::from_millis(ms).min(WAIT_MAX));
                    after.map_or(Heard::Refused(why.clone()), |after| Heard::Later(after, why))
                }
            },
            Ok(ServerFrame::Hint(hint)) => {
                let of = |wanted: &Option<TopicId>| {
                    let mut topics = hint.topics.iter();
                    topics.find(|(topic, _)| Some(topic) == wanted.as_ref()).map(|(_, version)| version.get())
                };
                match (of(&self.topic), of(&self.ring_topic)) {
                    (Some(version), Some(rung)) => Heard::Both(version, rung),
                    (Some(version), None) => Heard::Hint(version),
                    (None, Some(rung)) => Heard::Ring(rung),
                    (None, None) => Heard::Other,
                }
            }
            Ok(ServerFrame::Goaway(_)) => Heard::Goaway,
            Ok(ServerFrame::Error(error)) => Heard::Refused(format!("error: {}", error.message)),
            Ok(_) => Heard::Other,
            Err(error) => Heard::Refused(format!("no frame of this protocol: {error}")),
        }
    }

    fn followed(&self, result: &doorbell_protocol::Payload) -> Heard {
        let topics = result.parse::<serde_json::Value>().ok();
        let version = topics.zip(self.topic.as_ref()).and_then(|(result, topic)| {
            let version = &result["topics"][topic.as_str()];
            version.as_u64()
        });
        let refused = || Heard::Refused("subscribe: the token does not grant the topic".to_owned());
        version.map_or_else(refused, Heard::Followed)
    }

    fn number(&self, rest: &[u8]) -> Option<u64> {
        match self.encoding {
            Encoding::Json => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                // Where another topic follows, the decoder finds it.
                (rest.get(digits) == Some(&b'}')).then_some(())?;
                std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
            }
            Encoding::MsgPack => {
                let (width, rest) = match rest {
                    [small @ 0..0x80, ..] => return Some(u64::from(*small)),
                    [mark @ 0xcc..=0xcf, rest @ ..] => (1_usize << (mark - 0xcc), rest),
                    _ => return None,
                };
                let bytes = rest.get(..width)?;
                Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
            }
        }
    }
}

/// What the hints of two versions have in common at their beginning.
fn beginning(encoding: Encoding, topic: &TopicId, pull_after_ms: Option<u32>) -> Vec<u8> {
    let [mut one, two] = [1, 2].map(|version| hint(encoding, topic, version, pull_after_ms));
    let same = one.iter().zip(&two).take_while(|(a, b)| a == b).count();
    one.truncate(same);
    one
}

/// A hint of one topic, as a server writes it.
pub fn hint(encoding: Encoding, topic: &TopicId, version: u64, pull_after_ms: Option<u32>) -> Vec<u8> {
    let version = Version::new(version).unwrap_or(Version::MAX);
    let frame =
        HintFrame { topics: vec![(topic.clone(), version)], pull_after_ms, more: false, resync: false };
    let mut bytes = Vec::new();
    encode_hint(encoding, &frame, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_protocol::Payload;
    use doorbell_protocol::codec::encode_server;

    #[test]
    fn what_is_told_apart_by_its_first_bytes_is_what_the_decoder_says() {
        let topic = TopicId::new("bench:1").unwrap();
        for encoding in [Encoding::Json, Encoding::MsgPack] {
            let quick = Hearing::new(encoding, Some(topic.clone()), None);
            let slow = Hearing { hints: Vec::new(), ..Hearing::new(encoding, Some(topic.clone()), None) };
            for version in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, Version::MAX.get()] {
                for wait in [None, Some(0), Some(7), Some(100_000)] {
                    let bytes = hint(encoding, &topic, version, wait);
                    assert_eq!(quick.hear(&bytes), Heard::Hint(version), "{encoding:?} {version} {wait:?}");
                    assert_eq!(slow.hear(&bytes), Heard::Hint(version), "{encoding:?} {version} {wait:?}");
                }
            }
            assert_eq!(
                quick.hear(&hint(encoding, &TopicId::new("bench:12").unwrap(), 1, None)),
                Heard::Other
            );
            assert!(matches!(quick.hear(b"\xff"), Heard::Refused(_)));
        }
    }

    #[test]
    fn two_topics_are_told_apart_and_one_frame_may_tell_of_both() {
        let [topic, rung] = ["bench:1", "bench:1-rung"].map(|topic| TopicId::new(topic).unwrap());
        for encoding in [Encoding::Json, Encoding::MsgPack] {
            let hearing = Hearing::new(encoding, Some(topic.clone()), Some(rung.clone()));
            for version in [1_u64, 300, 1 << 40] {
                assert_eq!(hearing.hear(&hint(encoding, &topic, version, Some(3))), Heard::Hint(version));
                assert_eq!(hearing.hear(&hint(encoding, &rung, version, None)), Heard::Ring(version));
                let versions = [version, version + 1].map(|version| Version::new(version).unwrap());
                for (first, second) in [(0, 1), (1, 0)] {
                    let both = [(topic.clone(), versions[0]), (rung.clone(), versions[1])];
                    let topics = vec![both[first].clone(), both[second].clone()];
                    let mut bytes = Vec::new();
                    encode_hint(encoding, &HintFrame { topics, ..HintFrame::default() }, &mut bytes);
                    assert_eq!(hearing.hear(&bytes), Heard::Both(version, version + 1), "{encoding:?}");
                }
            }
        }
    }

    #[test]
    fn a_topic_is_followed_where_the_answer_has_it() {
        let hearing = Hearing::new(Encoding::Json, Some(TopicId::new("bench:1").unwrap()), None);
        let told = |result: serde_json::Value| {
            let result = Payload::encode(Encoding::Json, &result);
            let reply = ServerFrame::Reply { id: CallId::Number(SUBSCRIBE), outcome: Ok(result) };
            let mut bytes = Vec::new();
            encode_server(Encoding::Json, &reply, &mut bytes);
            hearing.hear(&bytes)
        };

        assert_eq!(told(serde_json::json!({"topics": {"bench:1": 3}})), Heard::Followed(3));
        assert!(matches!(told(serde_json::json!({"topics": {}})), Heard::Refused(_)));
    }

    #[test]
    fn who_may_not_follow_yet_asks_again_after_a_day_at_most() {
        let hearing = Hearing::new(Encoding::Json, Some(TopicId::new("bench:1").unwrap()), None);
        for (ms, wait) in [(250, Duration::from_millis(250)), (u64::MAX, WAIT_MAX)] {
            let error =
                serde_json::json!({"code": "unavailable", "message": "not now", "retry_after_ms": ms});
            let reply = serde_json::json!({"type": "reply", "id": SUBSCRIBE, "error": error}).to_string();
            assert_eq!(hearing.hear(reply.as_bytes()), Heard::Later(wait, "subscribe: not now".to_owned()));
        }
    }
}
