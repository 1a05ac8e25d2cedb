//! One followed topic: its version here, its followers, and where its fan-out stands. Pure: no lock, no clock.

use std::time::Duration;

use doorbell_protocol::{Hint, TopicId, Version};
use tokio::time::Instant;

use super::followers::{Followers, Rows};

/// How often a topic with many followers fans out at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// With more local sessions than that a topic is large.
    pub(crate) followers_large: usize,
    /// Between two starts of a large topic's fan-outs.
    pub(crate) interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FanOut {
    /// Its followers have been told its version.
    Rest,
    /// It waits for its turn.
    Queued,
    /// All of its followers are being told this version or a later one.
    Running(Version),
}

/// What raising a topic's version did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raised {
    /// Nothing: the version was as great already.
    Known,
    /// A fan-out that waits, or will follow the one that runs, takes the new version with it.
    Conflated,
    /// A fan-out is due at that time.
    Due(Instant),
}

/// A fan-out that begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) version: Version,
    pub(crate) sessions: usize,
    pub(super) rows: Rows,
}

/// A topic that somebody here follows.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Topic {
    /// What all sessions that follow it share.
    pub(super) name: TopicId,
    /// Tells this stay in the index from a later one of the same name.
    pub(super) life: u64,
    pub(super) version: Version,
    pub(super) followers: Followers,
    fan_out: FanOut,
    began: Option<Instant>,
}

impl Topic {
    pub(super) fn new(brought: &Hint, life: u64) -> Self {
        Self {
            name: brought.topic.clone(),
            life,
            version: brought.version,
            followers: Followers::default(),
            fan_out: FanOut::Rest,
            began: None,
        }
    }

    pub(super) fn raise(&mut self, version: Version, pace: &Pace, now: Instant) -> Raised {
        if version <= self.version {
            return Raised::Known;
        }
        self.version = version;
        match self.fan_out {
            FanOut::Rest => Raised::Due(self.queue(pace, now)),
            FanOut::Queued | FanOut::Running(_) => Raised::Conflated,
        }
    }

    /// Begins the fan-out that is due: whoever was inserted before is in the rows, and whoever comes later reads the
    /// version (GW-10).
    pub(super) fn begin(&mut self, now: Instant) -> Begun {
        self.fan_out = FanOut::Running(self.version);
        self.began = Some(now);
        Begun { version: self.version, sessions: self.followers.sessions(), rows: self.followers.rows() }
    }

    /// Ends the fan-out that runs; answers when the next is due, if a newer version waits.
    pub(super) fn end(&mut self, pace: &Pace, now: Instant) -> Option<Instant> {
        match self.fan_out {
            FanOut::Running(told) if told < self.version => Some(self.queue(pace, now)),
            _ => {
                self.fan_out = FanOut::Rest;
                None
            }
        }
    }

    fn queue(&mut self, pace: &Pace, now: Instant) -> Instant {
        self.fan_out = FanOut::Queued;
        match self.began {
            Some(began) if self.followers.sessions() > pace.followers_large => now.max(began + pace.interval),
            _ => now,
        }
    }
}
