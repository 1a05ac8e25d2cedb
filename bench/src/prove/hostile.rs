//! Hostile clients: foreign topics, sockets that are never read, broken frames.

use std::time::Duration;

use doorbell_protocol::{ErrorCode, TopicId};
use futures_util::SinkExt;
use rand::Rng;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::client::Client;
use super::history::{Phase, What};
use super::link::{Ended, Link};

/// How often a foreign conversation is tried.
const EVERY: Duration = Duration::from_secs(1);
/// Calls whose answers are never read.
const UNREAD_CALLS: u32 = 40;

/// One hostile client; its number says which kind.
pub struct Hostile {
    client: Client,
}

impl Hostile {
    /// One that has not connected yet.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Until all clients leave. What it does wrong ends its sessions: it comes back.
    pub async fn run(mut self) {
        while let Some(mut link) = self.client.enter().await {
            let outcome = match self.client.number % 3 {
                0 => self.foreign(&mut link).await,
                1 => self.deaf(&mut link).await,
                _ => self.broken(&mut link).await,
            };
            if outcome.is_ok() {
                link.leave().await;
            }
            if self.client.shared.phase_now() == Phase::Left {
                return;
            }
            sleep(Duration::from_millis(self.client.rng.random_range(500..2_000))).await;
        }
    }

    fn over(&self) -> bool {
        self.client.shared.phase_now() == Phase::Left
    }

    /// Follows, reads and joins conversations of others.
    async fn foreign(&mut self, link: &mut Link) -> Result<(), Ended> {
        let shared = self.client.shared.clone();
        while !self.over() {
            let all = shared.names.conversations().len();
            let conversation = self.client.rng.random_range(0..u32::try_from(all).unwrap_or(u32::MAX));
            let name = shared.names.conversation(conversation).to_owned();
            let session = link.session();
            if let Ok(topic) = TopicId::new(format!("conversation:{name}")) {
                let id = link.subscribe(topic).await?;
                let refused = matches!(&link.reply(id).await?, Err(error) if expected(error.code));
                self.tell(session, conversation, refused, "may follow").await;
            }
            let params = json!({"conversation": name, "after": 0});
            let refused =
                matches!(&link.ask("messages.list", &params).await?, Err(error) if expected(error.code));
            self.tell(session, conversation, refused, "may read").await;
            let users = [shared.names.user(self.client.user)];
            let params = json!({"conversation": name, "users": users});
            let refused =
                matches!(&link.ask("members.add", &params).await?, Err(error) if expected(error.code));
            self.tell(session, conversation, refused, "may join").await;
            self.listen(link, EVERY).await?;
        }
        Ok(())
    }

    async fn tell(&self, session: u32, conversation: u32, refused: bool, what: &str) {
        let what = if refused {
            What::Denied { session, conversation }
        } else {
            let name = self.client.shared.names.conversation(conversation);
            What::Foreign { session, what: format!("{what} the foreign conversation {name}") }
        };
        self.client.shared.recorder.record(what).await;
    }

    /// Asks for much and reads nothing of it.
    async fn deaf(&mut self, link: &mut Link) -> Result<(), Ended> {
        for _ in 0..UNREAD_CALLS {
            link.call("topics.changes", &json!({})).await?;
        }
        let mut phase = self.client.shared.phase.clone();
        let _ = timeout(Duration::from_secs(30), phase.wait_for(|phase| *phase == Phase::Left)).await;
        Ok(())
    }

    /// Says what is no frame.
    async fn broken(&mut self, link: &mut Link) -> Result<(), Ended> {
        let frames = [
            Message::text("{\"type\":"),
            Message::text("[]"),
            Message::text("{\"type\":\"no-such-type\"}"),
            Message::text("{\"type\":\"call\",\"id\":{},\"method\":7}"),
            Message::text("{\"type\":\"hello\"}"),
            Message::Binary(Bytes::from_static(&[0xc1, 0xff])),
            Message::Ping(Bytes::from_static(&[7; 125])),
            Message::text("x".repeat(200_000)),
        ];
        let frame = frames[self.client.rng.random_range(0..frames.len())].clone();
        let _ = timeout(Duration::from_secs(5), link.socket().send(frame)).await;
        self.listen(link, Duration::from_secs(2)).await
    }

    async fn listen(&self, link: &mut Link, time: Duration) -> Result<(), Ended> {
        let until = Instant::now() + time;
        while !self.over() {
            match timeout_at(until, link.next()).await {
                Ok(came) => drop(came?),
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

/// "Absent" and "not yours" answer alike; too much at once, or not now, is no answer at all.
const fn expected(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotFound | ErrorCode::RateLimited | ErrorCode::Unavailable)
}
