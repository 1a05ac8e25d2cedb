//! A back end with one call under way, which publishes by `POST /v1/hints`. A version that comes twice is one.

mod connection;

use std::time::Duration;

use anyhow::ensure;
use tokio_util::sync::CancellationToken;

use super::clock::{self, Moment};
use super::fleet::Interrupted;
use super::orders::Place;
use super::schedule::Schedule;
use super::spread::Spread;
use connection::Connection;

/// What goes on while its connections are made.
pub const BACK_END: &str = "connecting the back end";
/// The longest step of a wait: so soon is an end noticed.
const STEP: Duration = Duration::from_millis(100);

/// Its connections.
pub struct Publisher {
    /// One or, where a place reaches only who is connected to it, one to each of them.
    connections: Vec<Connection>,
    topic: String,
}

/// What became of a schedule.
pub struct Published {
    /// From when a publish was due to its answer.
    pub answered: Spread,
    /// The last version.
    pub last: Moment,
    /// When the last answer was there.
    pub answered_at: Moment,
    /// From when a publish was due to when it was written: the tool's own lateness and the answer to the one before.
    pub behind: Spread,
}

impl Publisher {
    /// Connects to all of these places.
    ///
    /// # Errors
    /// Nobody listens at one of them, its certificate is not trusted, or the tool was asked to end.
    pub fn connect(
        places: &[Place],
        key: &str,
        topic: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let connections = places.iter().map(|place| {
            ensure!(!stop.is_cancelled(), Interrupted);
            Connection::new(place, key)
        });
        let connections = connections.collect::<Result<_, _>>()?;
        Ok(Self { connections, topic: topic.to_owned() })
    }

    /// Connections after the first ones.
    pub fn reconnects(&self) -> u64 {
        self.connections.iter().map(|connection| connection.reconnects).sum()
    }

    /// Publishes one version, everywhere.
    ///
    /// # Errors
    /// It is not taken.
    pub fn publish(&mut self, version: Moment) -> anyhow::Result<()> {
        let body = serde_json::json!({"hints": [{"topic": self.topic, "version": version}]}).to_string();
        self.call(vec![Some(body); self.connections.len()])
    }

    /// Rings the users of these sessions of one version, each of them where its session is.
    ///
    /// # Errors
    /// It is not taken.
    pub fn ring(
        &mut self,
        version: Moment,
        sessions: impl Iterator<Item = u64>,
        name: impl Fn(u64) -> String,
    ) -> anyhow::Result<()> {
        let mut users = vec![Vec::new(); self.connections.len()];
        for session in sessions {
            users[Place::nth(session, self.connections.len())].push(name(session));
        }
        let body = |users: &Vec<String>| {
            let hint = serde_json::json!({"topic": self.topic, "version": version, "users": users});
            (!users.is_empty()).then(|| serde_json::json!({"hints": [hint]}).to_string())
        };
        self.call(users.iter().map(body).collect())
    }

    /// One call, to all for whom there is something: each works while the others do.
    fn call(&mut self, bodies: Vec<Option<String>>) -> anyhow::Result<()> {
        let asking = self.connections.iter_mut().zip(bodies);
        let asking = asking.filter_map(|(connection, body)| Some((connection.ask(&body?), connection)));
        let asked = asking.map(|(asked, connection)| Ok((asked?, connection)));
        let mut asked = asked.collect::<anyhow::Result<Vec<_>>>()?.into_iter();
        asked.try_for_each(|(asked, connection)| connection.answer(asked))
    }

    /// Publishes at a steady rate, whatever comes back: one that is late goes at once.
    ///
    /// # Errors
    /// One is not taken, or the tool was asked to end.
    pub fn follow(&mut self, schedule: Schedule, stop: &CancellationToken) -> anyhow::Result<Published> {
        let (mut answered, mut behind, mut last) = (Spread::default(), Spread::default(), 0);
        for number in 0..schedule.count {
            last = schedule.due(number);
            loop {
                ensure!(!stop.is_cancelled(), Interrupted);
                let left = last.saturating_sub(clock::now());
                if left == 0 {
                    break;
                }
                std::thread::park_timeout(Duration::from_micros(left).min(STEP));
            }
            behind.record(clock::now() - last);
            self.publish(last)?;
            answered.record(clock::now() - last);
        }
        Ok(Published { answered, last, answered_at: clock::now(), behind })
    }
}

#[cfg(test)]
mod tests;
