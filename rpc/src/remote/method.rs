//! The calls by name.

/// One method of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Deliver,
    Publish,
    Signal,
    ChannelPublish,
    ChannelSubscribe,
    ChannelFollowers,
    Call,
    LargeTopics,
    Authorize,
    PassSignal,
    Moved,
    Unmuted,
}

/// What a lane is for: its calls share a connection, a stream and its bounds. What is slow in one lane holds up nothing in
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Deliver,
    Publish,
    Signal,
    Call,
    Ask,
}

impl Purpose {
    pub(crate) const ALL: [Self; 5] = [Self::Deliver, Self::Publish, Self::Signal, Self::Call, Self::Ask];
}

impl Method {
    pub(crate) const fn purpose(self) -> Purpose {
        match self {
            Self::Deliver => Purpose::Deliver,
            Self::Publish => Purpose::Publish,
            Self::Signal | Self::PassSignal => Purpose::Signal,
            Self::Call => Purpose::Call,
            Self::ChannelPublish
            | Self::ChannelSubscribe
            | Self::ChannelFollowers
            | Self::LargeTopics
            | Self::Authorize
            | Self::Moved
            | Self::Unmuted => Purpose::Ask,
        }
    }

    /// Who serves it.
    pub(crate) const fn service(self) -> &'static str {
        match self {
            Self::Deliver | Self::Publish | Self::Signal => "gateway",
            Self::ChannelPublish | Self::ChannelSubscribe | Self::ChannelFollowers => "channel-svc",
            Self::Call
            | Self::LargeTopics
            | Self::Authorize
            | Self::PassSignal
            | Self::Moved
            | Self::Unmuted => "message-svc",
        }
    }

    /// For the metric, with the service.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Publish | Self::ChannelPublish => "publish",
            Self::Signal | Self::PassSignal => "signal",
            Self::ChannelSubscribe => "subscribe",
            Self::ChannelFollowers => "followers",
            Self::Call => "call",
            Self::LargeTopics => "large_topics",
            Self::Authorize => "authorize",
            Self::Moved => "moved",
            Self::Unmuted => "unmuted",
        }
    }
}
