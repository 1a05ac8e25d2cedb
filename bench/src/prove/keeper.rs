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
    away: Away,
}

/// How long who was removed stays out: longer than a hint may come, so that one that must not come is seen.
#[derive(Clone, Copy, Debug)]
pub struct Away {
    /// Where no fault was near.
    pub calm: Duration,
    /// Where a fault was on after the removal, or had ended less than `settle` before: a hint may come for so much longer.
    pub near_fault: Duration,
    /// T.
    pub settle: Duration,
}

impl Away {
    /// How long, for a removal at `since`. `troubled`: when a fault was last on.
    fn of(&self, since: Instant, troubled: Option<Instant>) -> Duration {
        let near = troubled.is_some_and(|at| at + self.settle >= since);
        if near { self.near_fault } else { self.calm }
    }
}

impl Keeper {
    /// One that has not connected yet.
    pub fn new(client: Client, conversation: u32, readers: &[u32], away: Away) -> Self {
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
            if link.is_to_move() {
                let Some(new) = self.client.move_from(link).await else { return };
                link = new;
            }
            let Some((user, method)) = self.choose() else { continue };
            let Some(after) = self.change(link, user, method).await else { return };
            link = after;
        }
        link.leave().await;
    }

    /// Who is let in or removed next.
    fn choose(&mut self) -> Option<(u32, Method)> {
        let troubled = self.client.shared.progress.troubled();
        let over = |since: &Instant| since.elapsed() >= self.away.of(*since, troubled);
        if self.out.front().is_some_and(|(_, since)| over(since)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_removed_near_a_fault_and_only_then_stays_out_longer() {
        let second = Duration::from_secs(1);
        let away = Away { calm: 8 * second, near_fault: 23 * second, settle: 15 * second };
        let fault = Instant::now();
        assert_eq!(away.of(fault, None), 8 * second);
        assert_eq!(away.of(fault + 15 * second, Some(fault)), 23 * second);
        assert_eq!(away.of(fault + 16 * second, Some(fault)), 8 * second);
        assert_eq!(away.of(fault, Some(fault + second)), 23 * second, "it came afterwards");
    }
}
