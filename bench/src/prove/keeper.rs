//! Keepers: the owners of conversations, who remove readers and let them in again while the load goes on.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use super::client::Client;
use super::history::{Phase, What};
use super::link::{Ended, Link, wait_of};

/// Each keeper's time between two changes: below the throttle of thirty a minute.
const EVERY: Duration = Duration::from_millis(2_500);

/// One keeper.
pub struct Keeper {
    client: Client,
    conversation: u32,
    /// Who may be removed, in turn.
    readers: VecDeque<u32>,
    /// Who is out, and since when.
    out: VecDeque<(u32, Instant)>,
    /// How long they stay out: long enough for a hint that must not come to be seen.
    away: Duration,
}

impl Keeper {
    /// One that has not connected yet.
    pub fn new(client: Client, conversation: u32, readers: &[u32], away: Duration) -> Self {
        Self { client, conversation, readers: readers.iter().copied().collect(), out: VecDeque::new(), away }
    }

    /// While the load lasts.
    pub async fn run(mut self) {
        let Some(mut link) = self.client.enter().await else { return };
        let mut phase = self.client.shared.phase.clone();
        if phase.wait_for(|phase| *phase >= Phase::Load).await.is_err() {
            return;
        }
        while *phase.borrow_and_update() == Phase::Load {
            let until = Instant::now() + EVERY.mul_f64(self.client.rng.random_range(0.8..1.4));
            // Reading meanwhile keeps the socket alive.
            while let Ok(came) = timeout_at(until, link.next()).await {
                if came.is_err() {
                    let Some(new) = self.client.enter().await else { return };
                    link = new;
                }
            }
            if *phase.borrow_and_update() != Phase::Load {
                break;
            }
            let Some((user, method)) = self.choose() else { continue };
            let Some(after) = self.change(link, user, method).await else { return };
            link = after;
        }
        link.leave().await;
    }

    /// Who is let in or removed next.
    fn choose(&mut self) -> Option<(u32, Method)> {
        if self.out.front().is_some_and(|(_, since)| since.elapsed() >= self.away) {
            let (user, _) = self.out.pop_front()?;
            self.readers.push_back(user);
            return Some((user, Method::Add));
        }
        // Half of them stay in all the time.
        if self.out.len() * 2 >= self.readers.len() {
            return None;
        }
        let user = self.readers.pop_front()?;
        self.out.push_back((user, Instant::now()));
        Some((user, Method::Remove))
    }

    /// Asks until it is known to have happened: both can be repeated.
    async fn change(&mut self, link: Link, user: u32, method: Method) -> Option<Link> {
        let conversation = self.conversation;
        let shared = self.client.shared.clone();
        let (begins, done, name) = match method {
            Method::Add => {
                (What::Adding { user, conversation }, What::Added { user, conversation }, "members.add")
            }
            Method::Remove => (
                What::Removing { user, conversation },
                What::Removed { user, conversation },
                "members.remove",
            ),
        };
        let users = [shared.names.user(user)];
        let params = json!({"conversation": shared.names.conversation(conversation), "users": users});
        shared.recorder.record(begins).await;
        let mut link = Some(link);
        loop {
            let mut open = match link.take() {
                Some(open) => open,
                None => self.client.enter().await?,
            };
            match open.ask(name, &params).await {
                Ok(Ok(_)) => {
                    shared.recorder.record(done).await;
                    if let Some(last) = self.out.back_mut().filter(|(of, _)| *of == user) {
                        last.1 = Instant::now();
                    }
                    return Some(open);
                }
                Ok(Err(error)) => {
                    sleep(wait_of(&error).unwrap_or(Duration::from_secs(1))).await;
                    link = Some(open);
                }
                Err(Ended(_)) => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Add,
    Remove,
}
