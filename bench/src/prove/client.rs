//! A client that comes back: one user, one role, a session after another.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::history::{Phase, Role, What};
use super::link::{Link, NoEntry};
use super::stage::Stage;
use crate::backoff::Backoff;

/// A session that lasted that long shows that the way is open.
const STABLE: Duration = Duration::from_secs(3);

/// Who it is, and how it comes back.
pub struct Client {
    /// Its number.
    pub number: u32,
    /// Its user's.
    pub user: u32,
    /// What it is there for.
    pub role: Role,
    /// What all share.
    pub shared: Arc<Stage>,
    /// Its own draws.
    pub rng: StdRng,
    backoff: Backoff,
    entered: Option<Instant>,
    /// The place of the address that it is at.
    at: usize,
    /// The one that failed last, or asked it to move: the next try goes elsewhere, where there is another.
    shunned: Option<usize>,
}

impl Client {
    /// One that has not connected yet.
    pub fn new(shared: &Arc<Stage>, number: u32, user: u32, role: Role, rng: StdRng) -> Self {
        let shared = Arc::clone(shared);
        Self {
            number,
            user,
            role,
            shared,
            rng,
            backoff: Backoff::default(),
            entered: None,
            at: 0,
            shunned: None,
        }
    }

    /// Connects, again and again where it must, until there is a session; `None` where the run is over.
    pub async fn enter(&mut self) -> Option<Link> {
        if let Some(entered) = self.entered.take() {
            if entered.elapsed() >= STABLE {
                self.backoff.reset();
            }
            sleep(self.backoff.next(&mut self.rng)).await;
        }
        let mut tokens_refused = 0;
        loop {
            if self.shared.phase_now() == Phase::Left || self.shared.broken.lock().is_some() {
                return None;
            }
            match self.try_enter().await {
                Ok(link) => {
                    self.entered = Some(Instant::now());
                    return Some(link);
                }
                Err(NoEntry::Busy(after)) => sleep(after.mul_f64(self.rng.random_range(1.0..2.0))).await,
                Err(NoEntry::Later) => sleep(self.backoff.next(&mut self.rng)).await,
                Err(NoEntry::Token(reason)) => {
                    self.shared.tokens.forget(self.shared.names.user(self.user).as_str());
                    // One bad token may have been an old one; again and again it is the key that is wrong.
                    tokens_refused += 1;
                    if tokens_refused > 1 {
                        self.shared.give_up(format!(
                            "the token of {} is refused ({reason}): is it the server's key?",
                            self.shared.names.user(self.user)
                        ));
                        return None;
                    }
                    sleep(self.backoff.next(&mut self.rng)).await;
                }
                Err(NoEntry::Refused(why)) => {
                    self.shared.give_up(why);
                    return None;
                }
            }
        }
    }

    /// Moves from a gateway that asked it to, or is silent: a new session elsewhere first, then the end of the old one. `None` where
    /// the run is over.
    pub async fn move_from(&mut self, mut old: Link) -> Option<Link> {
        self.shunned = Some(self.at);
        let entering = async {
            match self.try_enter().await {
                Ok(new) => Some(new),
                Err(_) => self.enter().await,
            }
        };
        // Until it is left, what the old one is told, and whether it ends before the new one is there, stands in the history.
        let left = CancellationToken::new();
        let (new, ()) = tokio::join!(
            async {
                let new = entering.await;
                left.cancel();
                new
            },
            old.read_until(&left),
        );
        old.leave().await;
        new
    }

    fn address(&mut self) -> usize {
        let count = self.shared.targets.len();
        let Some(shunned) = self.shunned.filter(|_| count > 1) else {
            return self.rng.random_range(0..count);
        };
        let index = self.rng.random_range(0..count - 1);
        index + usize::from(index >= shunned)
    }

    /// One try, at any of the addresses but the one that failed last.
    pub async fn try_enter(&mut self) -> Result<Link, NoEntry> {
        let index = self.address();
        self.shunned = Some(index);
        let user = self.shared.names.user(self.user).as_str();
        let token =
            self.shared.tokens.of(user).await.map_err(|error| NoEntry::Refused(format!("{error:#}")))?;
        let mut link = Link::enter(&self.shared, &self.shared.targets[index], self.user, token).await?;
        (self.at, self.shunned) = (index, None);
        let session = self.shared.next_session();
        link.number(session);
        let target = u32::try_from(index).unwrap_or(u32::MAX);
        link.leads_to(target);
        let opened = What::Open {
            session,
            client: self.number,
            user: self.user,
            role: self.role,
            target: Some(target),
        };
        self.shared.recorder.record(opened).await;
        self.shared.progress.opened();
        Ok(link)
    }
}
