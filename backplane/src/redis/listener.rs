//! Hearing the bell: one connection of its own, from the first wait on.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::dial::Wire;
use super::link::Link;
use crate::Partition;
use crate::bell::Bell;

/// How often it is made sure that all channels are heard: servers of a Cluster come, go and take over.
const RENEW: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Rings of all partitions, for whoever waits.
pub(super) struct Listener {
    bell: Arc<Bell>,
    link: Arc<Link>,
    channels: Arc<HashMap<String, Partition>>,
    /// The task that listens; it ends with this. A gateway never waits, and never listens.
    task: OnceLock<JoinSet<()>>,
}

impl Listener {
    pub(super) fn new(link: Arc<Link>, channels: HashMap<String, Partition>) -> Self {
        let bell = Arc::new(Bell::new(channels.len()));
        Self { bell, link, channels: Arc::new(channels), task: OnceLock::new() }
    }

    /// This process's own bell.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// As [`crate::HintQueue::bell`].
    pub(super) async fn wait(&self) -> Partition {
        self.task.get_or_init(|| {
            let (link, bell, channels) =
                (Arc::clone(&self.link), Arc::clone(&self.bell), Arc::clone(&self.channels));
            let mut task = JoinSet::new();
            task.spawn(listen(link, bell, channels));
            task
        });
        self.bell.wait().await
    }
}

/// Listens for as long as anybody could wait. Whenever it begins to hear, rings may have been missed: all ring.
async fn listen(link: Arc<Link>, bell: Arc<Bell>, channels: Arc<HashMap<String, Partition>>) {
    let names: Vec<String> = channels.keys().cloned().collect();
    loop {
        let lost = Arc::new(Notify::new());
        let ear = {
            let (bell, channels, lost) = (Arc::clone(&bell), Arc::clone(&channels), Arc::clone(&lost));
            Arc::new(move |push: PushInfo| hear(&push, &bell, &channels, &lost))
        };
        if let Ok(mut wire) = link.dial_bell(ear).await {
            while sure(&link, &mut wire, &names).await {
                channels.values().for_each(|partition| bell.ring(*partition));
                // Until a connection is lost, it is enough to make sure now and then.
                while timeout(RENEW, lost.notified()).await.is_err() && sure(&link, &mut wire, &names).await {
                }
                tokio::time::sleep(PAUSE / 5).await;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes sure that every channel is heard.
async fn sure(link: &Link, wire: &mut Wire, names: &[String]) -> bool {
    matches!(timeout(link.call_timeout(), wire.hear(names)).await, Ok(Ok(())))
}

fn hear(push: &PushInfo, bell: &Bell, channels: &HashMap<String, Partition>, lost: &Notify) {
    match push.kind {
        PushKind::Message | PushKind::SMessage => {
            let Some(Value::BulkString(name)) = push.data.first() else { return };
            let partition = std::str::from_utf8(name).ok().and_then(|name| channels.get(name));
            if let Some(partition) = partition {
                bell.ring(*partition);
            }
        }
        PushKind::Disconnection | PushKind::SUnsubscribe | PushKind::Unsubscribe => lost.notify_one(),
        _ => {}
    }
}
