//! What a fault does harm to: what is promised of it depends on that.

use serde::{Deserialize, Serialize};

/// How something is harmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A process is killed, and started at the end.
    Kill,
    /// A process stands still.
    Stop,
    /// A connection lets nothing pass.
    Cut,
    /// A process is asked to end in order, and started at the end.
    End,
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Everything in one process.
    All,
    Gateway,
    Notifier,
    Channel,
    Message,
    Redis,
}

/// One fault's harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Harmed {
    /// What is done.
    pub deed: Deed,
    /// To what; of a connection both of its ends, as far as it has one process there.
    pub parts: Vec<Part>,
    /// Where clients connect to what is harmed: places in [`super::Run::targets`].
    pub targets: Vec<u32>,
}

impl Harmed {
    /// Whether it is Redis, or somebody's way to it.
    pub fn is_redis(&self) -> bool {
        self.parts.contains(&Part::Redis)
    }

    /// Whether a gateway is killed: its clients go elsewhere at once, where there is another address.
    pub fn is_killed_gateway(&self) -> bool {
        self.deed == Deed::Kill && self.parts == [Part::Gateway]
    }

    /// Whether a gateway is asked to end: its clients have a new session elsewhere before they leave it, where there is another address.
    pub fn is_drain(&self) -> bool {
        self.deed == Deed::End && self.parts == [Part::Gateway]
    }

    /// Whether who answers sends is not touched; whoever passes them on may be. Without Redis a send is acknowledged all the same,
    /// and hinted later.
    pub fn spares_sends(&self) -> bool {
        let to_redis = self.deed == Deed::Cut && self.is_redis();
        to_redis || !self.parts.iter().any(|part| matches!(part, Part::All | Part::Message))
    }

    /// Whether sends that go by way of that address may be lost on it: its gateway is dead, or stands still.
    pub fn harms_sends_by(&self, target: u32) -> bool {
        matches!(self.deed, Deed::Kill | Deed::Stop) && self.targets.contains(&target)
    }
}
