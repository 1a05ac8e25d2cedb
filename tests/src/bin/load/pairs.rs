//! Pairs of users with a direct conversation and a session each.

use std::time::Duration;

use anyhow::{Context, ensure};
use doorbell_protocol::{CallId, ClientFrame, Encoding, Payload};
use doorbell_tests::Doorbell;
use mio::{Events, Poll};
use serde_json::json;

use crate::session::{Heard, Session, client_frame, mask};

/// Added to a send's number in its id and its key, so that all have as many digits: a frame is made once, and only
/// its digits are set for each send.
const NUMBERS_FROM: u64 = 1_000_000_000;
const DIGITS: usize = 10;

/// Two sessions and the conversation between them.
pub struct Pair {
    sender: Side,
    receiver: Side,
    frame: SendFrame,
    /// Sends so far: versions are dense and only `sender` sends, so send number n gets version n.
    pub sent: u64,
}

/// A session, and what it was told.
struct Side {
    session: Session,
    version: u64,
    hints: u64,
}

impl Side {
    const fn new(session: Session) -> Self {
        Self { session, version: 0, hints: 0 }
    }

    /// Answers the send whose reply came, if one did.
    fn hear(&mut self) -> anyhow::Result<Option<u64>> {
        let Self { session, version, hints } = self;
        let mut replied = None;
        session.hear(|heard| {
            match heard {
                Heard::Hint(reached) => {
                    *version = reached.max(*version);
                    *hints += 1;
                }
                Heard::Reply(id) => {
                    let number = id.checked_sub(NUMBERS_FROM).context("a reply to no send")?;
                    ensure!(replied.replace(number).is_none(), "two replies, one send under way");
                }
            }
            Ok(())
        })?;
        Ok(replied)
    }
}

/// What came to a pair.
pub enum News {
    /// The send under way was answered.
    Replied,
    /// The receiver has heard of every version up to here.
    Rung(u64),
    /// Neither: a hint to the sender.
    Other,
}

impl Pair {
    fn open(doorbell: &Doorbell, index: usize, tokens: [String; 2]) -> anyhow::Result<Self> {
        let [ada_token, bob_token] = tokens;
        let bob = format!("bob-{index}");
        let mut conversation = String::new();
        let sender = Session::open(doorbell.address(), ada_token, |opening| {
            let params = json!({"to": bob, "key": "first", "text": "hello"});
            let params = Payload::encode(Encoding::Json, &params);
            let (id, method) = (CallId::Number(0), "messages.send".to_owned());
            opening.send(&ClientFrame::Call { id, method, params })?;
            let sent = opening.reply(0)?;
            sent["conversation"].as_str().context("no conversation")?.clone_into(&mut conversation);
            Ok(format!("conversation:{conversation}"))
        })?;
        let receiver =
            Session::open(doorbell.address(), bob_token, |_| Ok(format!("conversation:{conversation}")))?;
        let frame = SendFrame::new(&conversation);
        Ok(Self { sender: Side::new(sender), receiver: Side::new(receiver), frame, sent: 1 })
    }

    /// Sends the next message.
    pub fn send(&mut self) -> anyhow::Result<()> {
        self.sent += 1;
        self.sender.session.send(self.frame.numbered(self.sent))
    }

    /// Both sides have heard of the last send.
    pub const fn is_rung(&self) -> bool {
        self.sender.version == self.sent && self.receiver.version == self.sent
    }

    /// Hints that came to both sides.
    pub const fn hints(&self) -> u64 {
        self.sender.hints + self.receiver.hints
    }

    fn hear(&mut self, of_sender: bool) -> anyhow::Result<News> {
        if !of_sender {
            self.receiver.hear()?;
            return Ok(News::Rung(self.receiver.version));
        }
        let Some(replied) = self.sender.hear()? else { return Ok(News::Other) };
        ensure!(replied == self.sent, "a reply to send {replied}, and {} is under way", self.sent);
        Ok(News::Replied)
    }
}

/// The frame of a send, ready but for its number.
struct SendFrame {
    bytes: Vec<u8>,
    /// Where the payload begins.
    payload: usize,
    /// Where the number stands, within the payload.
    places: Vec<usize>,
}

impl SendFrame {
    fn new(conversation: &str) -> Self {
        let text = "a hundred bytes of text, more or less, as people write them when they are in a hurry to be elsewhere";
        let key = format!("k-{NUMBERS_FROM}");
        let params = json!({"conversation": conversation, "key": key, "text": text});
        let params = Payload::encode(Encoding::Json, &params);
        let (id, method) = (CallId::Number(NUMBERS_FROM), "messages.send".to_owned());
        let mut bytes = client_frame(&ClientFrame::Call { id, method, params });
        // Two bytes, a length of two more, and the mask: the frame is longer than 125 bytes.
        let payload = 8;
        mask(&mut bytes[payload..], 0);
        let plain = &bytes[payload..];
        let number = NUMBERS_FROM.to_string();
        let places = (0..plain.len()).filter(|at| plain[*at..].starts_with(number.as_bytes())).collect();
        mask(&mut bytes[payload..], 0);
        Self { bytes, payload, places }
    }

    fn numbered(&mut self, number: u64) -> &[u8] {
        let mut digits = [0; DIGITS];
        let mut rest = NUMBERS_FROM + number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit is small");
            rest /= 10;
        }
        for place in &self.places {
            let target = &mut self.bytes[self.payload + place..][..DIGITS];
            target.copy_from_slice(&digits);
            mask(target, *place);
        }
        &self.bytes
    }
}

/// All pairs, and the one place that waits for them.
pub struct Pairs {
    /// The pairs.
    pub all: Vec<Pair>,
    poll: Poll,
    events: Events,
}

impl Pairs {
    /// Opens that many pairs; each has one message already.
    pub async fn open(doorbell: &Doorbell, count: usize) -> anyhow::Result<Self> {
        // Tokens first: that takes a while, and an open session would have to answer pings meanwhile.
        let mut tokens = Vec::with_capacity(count);
        for index in 0..count {
            let ada = doorbell.token(&format!("ada-{index}")).await?;
            tokens.push([ada, doorbell.token(&format!("bob-{index}")).await?]);
        }
        let poll = Poll::new()?;
        let mut all = Vec::with_capacity(count);
        for (index, tokens) in tokens.into_iter().enumerate() {
            let mut pair = Pair::open(doorbell, index, tokens)?;
            pair.sender.session.register(poll.registry(), 2 * index)?;
            pair.receiver.session.register(poll.registry(), 2 * index + 1)?;
            all.push(pair);
        }
        Ok(Self { all, poll, events: Events::with_capacity(1_024) })
    }

    /// Waits for at most `timeout`, and tells `on` what came to which pair.
    pub fn hear(
        &mut self,
        timeout: Duration,
        mut on: impl FnMut(&mut [Pair], usize, News) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        for event in &self.events {
            let mio::Token(token) = event.token();
            let index = token / 2;
            let news = self.all[index].hear(token.is_multiple_of(2))?;
            on(&mut self.all, index, news)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_frame_is_the_frame_of_that_number() {
        let mut frame = SendFrame::new("c");
        let mut numbered = frame.numbered(42).to_vec();
        mask(&mut numbered[8..], 0);
        let text = String::from_utf8(numbered[8..].to_vec()).unwrap();

        let call: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(call["id"], 1_000_000_042);
        assert_eq!(call["params"]["key"], "k-1000000042");
        assert_eq!(frame.numbered(43).len(), numbered.len());
    }
}
