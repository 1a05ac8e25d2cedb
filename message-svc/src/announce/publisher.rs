//! Publishes what large conversations have come to, and who has another status, beside the announcer: a channel service that is away holds up no
//! hint of a small conversation.
//!
//! The announcer hands over versions while it takes a step, and at the step's end how far it has come. The cursor moves
//! there only when every version that was handed over before is published (MS-4), and not where it went back meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{Raise, TopicId, UserId, Version};
use doorbell_rpc::{Channels, Error};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::persist::Persistence;
use crate::metrics::MoveOutcome;
use crate::writer::cursor::Place;

/// For one attempt. The channel service waits for its store for less.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Raises of one call at most.
const RAISES_MAX: usize = 4_096;

/// What is handed over. One version a conversation, the greatest, and one move a user: it is bounded by the large
/// conversations and by who sets statuses.
#[derive(Debug, Default)]
pub(super) struct Handover {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct State {
    raises: BTreeMap<TopicId, Version>,
    /// Whose presence moves.
    statuses: BTreeSet<UserId>,
    /// All that comes before it has been rung, and is among the raises or was taken from them.
    through: Place,
    /// No more comes.
    ended: bool,
}

impl Handover {
    /// A step comes to these versions.
    pub fn publish(&self, raises: impl IntoIterator<Item = (TopicId, Version)>) {
        let mut state = self.state.lock();
        for (topic, version) in raises {
            let greatest = state.raises.entry(topic).or_default();
            *greatest = version.max(*greatest);
        }
        let any = !state.raises.is_empty();
        drop(state);
        if any {
            self.bell.notify_one();
        }
    }

    /// A step comes to other statuses of these users.
    pub fn publish_statuses(&self, users: &BTreeSet<UserId>) {
        if !users.is_empty() {
            self.state.lock().statuses.extend(users.iter().cloned());
            self.bell.notify_one();
        }
    }

    /// A step has ended: everything up to here is rung, or handed over, in the turn in which the step began.
    pub fn step_ended(&self, through: Place) {
        self.state.lock().through = through;
        self.bell.notify_one();
    }

    /// No step follows.
    pub fn end(&self) {
        self.state.lock().ended = true;
        self.bell.notify_one();
    }
}

/// The other end.
pub(super) struct Publisher {
    pub handover: Arc<Handover>,
    pub channels: Arc<dyn Channels>,
    pub persistence: Persistence,
}

impl Publisher {
    /// Publishes, and moves the cursor, until no more comes and all of it is published.
    pub async fn run(self) {
        loop {
            let State { raises, statuses, through, ended } = {
                let mut state = self.handover.state.lock();
                let (raises, statuses) =
                    (std::mem::take(&mut state.raises), std::mem::take(&mut state.statuses));
                State { raises, statuses, through: state.through, ended: state.ended }
            };
            let handed_over = !raises.is_empty() || !statuses.is_empty();
            let metrics = &self.persistence.metrics;
            self.publish(raises.iter().map(|(topic, version)| (topic.clone(), Raise::To(*version)))).await;
            metrics.published(raises.len());
            self.publish(statuses.iter().map(|user| (TopicId::presence(user), Raise::Next))).await;
            metrics.presence.moved(MoveOutcome::Published, statuses.len());
            // A step of a turn that is over moves nothing: what it rang is rung again.
            let moved = self.persistence.writer.set_announced(through);
            match handed_over || moved {
                true => self.persistence.note_lag(),
                false if ended => return,
                false => self.handover.bell.notified().await,
            }
        }
    }

    async fn publish(&self, raises: impl Iterator<Item = (TopicId, Raise)>) {
        let raises: Vec<_> = raises.collect();
        for some in raises.chunks(RAISES_MAX) {
            let attempt = || async {
                let publish = self.channels.publish(some.to_vec());
                timeout(PUBLISH_TIMEOUT, publish).await.unwrap_or_else(|_| {
                    let reason = format!("no answer within {PUBLISH_TIMEOUT:?}");
                    Err(Error::Unavailable { service: "channel-svc", reason })
                })
            };
            self.persistence.persist("publish", attempt).await;
        }
    }
}
