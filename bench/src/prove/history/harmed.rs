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

    /// Whether the clients of what is harmed go elsewhere at once, where there is another address.
    pub fn sends_clients_away(&self) -> bool {
        self.deed == Deed::Kill && self.parts == [Part::Gateway]
    }

    /// Whether who answers sends is not touched: a gateway passes them on, and a message service answers them. Without Redis a
    /// send is acknowledged all the same, and hinted later.
    pub fn spares_sends(&self) -> bool {
        let answers = |part: &Part| match part {
            Part::All | Part::Message => true,
            Part::Gateway => self.deed != Deed::Cut,
            Part::Notifier | Part::Channel | Part::Redis => false,
        };
        let to_redis = self.deed == Deed::Cut && self.is_redis();
        to_redis || !self.parts.iter().any(answers)
    }
}
