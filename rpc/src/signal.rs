//! Signals: what passes by, "typing" say. From one member of a small conversation to the others who are online; not
//! stored, not repeated, at most once.

use async_trait::async_trait;
use doorbell_protocol::{ErrorBody, ErrorCode, Payload, TopicId, UserId};

use crate::Error;

/// One signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The conversation.
    pub topic: TopicId,
    /// Who sent it: a token was checked for this user, a membership not yet.
    pub from: UserId,
    /// What it says, in the sender's encoding; at most 1 KiB.
    pub data: Payload,
}

/// A signal at one gateway, for those who are to hear it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRequest {
    /// What to write.
    pub signal: Signal,
    /// To whose sessions.
    pub users: Vec<UserId>,
}

/// What became of a signal. Whether anybody heard it, nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalReply {
    /// Allowed, and handed to each gateway that answered in time.
    Passed,
    /// Somebody on the way was too busy or too slow. The sender is not told: a signal may always be lost.
    Dropped,
    /// Not allowed: the error object for the sender, as it stands.
    Refused(ErrorBody),
}

/// What message-svc serves: it alone knows who may signal whom.
#[async_trait]
pub trait Signals: Send + Sync {
    /// Passes a signal on to the gateways of the other members who are online, once, where the sender is a member of a
    /// small conversation.
    ///
    /// *Ordering*: none, not even between two signals of one sender.
    /// *Cancel safety*: a dropped call may have been heard by some. Never repeat one.
    ///
    /// # Errors
    /// Nobody was there to decide: dropped.
    async fn signal(&self, signal: Signal) -> Result<SignalReply, Error>;
}

/// Where nobody passes signals on: each is refused as `unsupported`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSignals;

#[async_trait]
impl Signals for NoSignals {
    async fn signal(&self, _: Signal) -> Result<SignalReply, Error> {
        let message = "signal: this server passes none on";
        Ok(SignalReply::Refused(ErrorBody::new(ErrorCode::Unsupported, message)))
    }
}
