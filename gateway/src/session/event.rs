//! The words of a session's rules: what can happen, and what is done about it.

use std::time::Duration;

use doorbell_protocol::frames::{Goaway, HintFrame, Token};
use doorbell_protocol::{
    CallId, ClientFrame, DeviceId, ErrorBody, Payload, ServerFrame, Timestamp, TopicId, UserId, Version,
};
use smallvec::SmallVec;

use crate::auth::{AuthError, Verified};
use crate::error::End;
use crate::pull::Answered;
use crate::uptime::Moment;
use crate::ws::Violation;

/// Everything that can happen to a session.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client frame, well-formed.
    Frame(ClientFrame),
    /// A client frame with a fault: answered, and the socket stays.
    Faulty { id: Option<CallId>, error: ErrorBody },
    /// What is no frame of the protocol, or came with the other encoding's opcode.
    NotProtocol(&'static str),
    /// The framing is broken.
    Violation(Violation),
    /// A WebSocket ping.
    Ping,
    /// A WebSocket pong.
    Pong,
    /// The client's close.
    ClientClose(Option<u16>),
    /// The socket ended or broke.
    SocketEnded,
    /// The client goes on sending into a socket that is closing.
    Overrun,
    /// What became of the token that [`Action::Verify`] asked about.
    Verified(Result<Verified, AuthError>),
    /// The registry has confirmed the user's entry.
    Entered,
    /// Hints may have been lost for a while.
    Lost,
    /// Another session of the user takes this one's place.
    Evicted,
    /// The gateway leaves: this is told to the client.
    Draining(Goaway),
    /// The drain's deadline has come.
    Drained,
    /// A call, or a `subscribe` or `unsubscribe`, has its answer.
    CallDone { id: CallId, answered: Answered },
    /// A signal was refused: by message-svc, or because it came too soon after the last.
    SignalRefused(ErrorBody),
    /// The sweep came by.
    Tick { heard: Moment, wall: Timestamp },
    /// The session's task panicked.
    Panicked,
}

/// What the session does about it, in this order.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Write a frame.
    Send(ServerFrame),
    /// Answer a frame with an error: a `reply` where it has an id that replies go by, else an `error`.
    Refuse(Option<CallId>, ErrorBody),
    /// Answer the WebSocket ping at hand.
    Pong,
    /// Write a WebSocket ping.
    Ping,
    /// Write the `welcome`, that long after the `hello`.
    Welcome { waited: Duration },
    /// Hint that anything may have changed, with the pulls spread.
    Resync,
    /// Check a token; answered by [`Event::Verified`].
    Verify(Token),
    /// Put the session into the local index, then send its enter.
    Admit(Admission),
    /// Pass a call on; answered by [`Event::CallDone`].
    Call { id: CallId, method: String, params: Payload },
    /// Follow these topics, each with the version that the client has; answered by [`Event::CallDone`].
    Subscribe { id: CallId, topics: Vec<(TopicId, Version)> },
    /// Follow these no longer; answered by [`Event::CallDone`].
    Unsubscribe { id: CallId, topics: Vec<TopicId> },
    /// Pass a signal on.
    Signal { topic: TopicId, data: Payload },
    /// Hint what of this the session follows.
    Hint(Box<HintFrame>),
    /// Take the session out of the local index. It is over, for this reason.
    Leave(End),
    /// Write a close frame with the end's code and reason.
    Close(End),
    /// Write the answer to the client's close.
    EchoClose(Option<u16>),
    /// End our side of TCP after what was written.
    EndWrites,
    /// Drop the socket.
    Cut,
}

/// What `hello` said, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) user: UserId,
    pub(crate) device: Option<DeviceId>,
    pub(crate) hint_window: Duration,
}

/// At most a reply and what follows; a close takes three.
pub(crate) type Actions = SmallVec<[Action; 2]>;
