//! Sessions that come back: those that were lost, and those that a server turned away at its door. docs/protocol.md says how: after
//! backoff with full jitter, and no sooner than a server says that turned them away.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::answer::{Over, Then};
use super::socket::{Life, Socket, Stage};
use crate::load::clock::{self, Moment};
use crate::load::orders::{Job, Losing, Loss, Lost, Returns};
use crate::load::spread::{Counts, Spread};

/// Of all sessions in this process.
pub struct Returning {
    lost: Lost,
    /// The loss of all of them, from when it was told of.
    loss: Option<Loss>,
    /// Whether who holds the sockets has cut them, where that is how they are lost.
    is_cut: bool,
    /// Whether there is a server.
    is_served: bool,
    rng: StdRng,
    /// Who goes on when, the soonest first.
    waits: BinaryHeap<Reverse<(Moment, usize)>>,
    back: Spread,
    current: Spread,
}

/// What an end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The end of the session.
    Ended,
    /// A failure; the session comes back.
    Failed,
    /// What had to be expected; the session comes back.
    Expected,
}

impl Returning {
    /// Nobody is lost yet.
    pub fn new(job: &Job) -> Self {
        Self {
            lost: job.lost,
            loss: None,
            is_cut: false,
            is_served: true,
            // Each process draws other waits, or sessions would come in groups.
            rng: StdRng::seed_from_u64(job.seed ^ job.first.rotate_left(32)),
            waits: BinaryHeap::new(),
            back: Spread::default(),
            current: Spread::default(),
        }
    }

    /// All will be lost.
    pub fn lose(&mut self, loss: Loss) {
        self.is_served = loss.how == Losing::Cut;
        self.loss = Some(loss);
    }

    /// There is a server again.
    pub const fn served(&mut self) {
        self.is_served = true;
    }

    /// Whether all sockets are to be cut now; said once.
    pub fn is_to_cut(&mut self, now: Moment) -> bool {
        let due = !self.is_cut && self.loss.is_some_and(|loss| loss.how == Losing::Cut && loss.at <= now);
        self.is_cut |= due;
        due
    }

    /// When there is something to do next.
    pub fn next(&self) -> Option<Moment> {
        let loss = self.loss.filter(|loss| loss.how == Losing::Cut && !self.is_cut).map(|loss| loss.at);
        self.waits.peek().map(|Reverse((at, _))| *at).into_iter().chain(loss).min()
    }

    /// Whether somebody waits.
    pub fn is_waiting(&self) -> bool {
        !self.waits.is_empty()
    }

    /// Who is to go on, one after the other.
    pub fn due(&mut self, now: Moment) -> Option<usize> {
        let Reverse((at, index)) = *self.waits.peek()?;
        (at <= now).then(|| {
            self.waits.pop();
            index
        })
    }

    /// A session is lost; it is to be there again.
    pub fn lost(&mut self, index: usize, socket: &mut Socket, returns: &mut Returns) {
        let now = clock::now();
        // All have been lost at the same moment, whenever each of them is told.
        (socket.life, socket.due) = (Life::Lost, self.loss.map_or(now, |loss| loss.at));
        socket.backoff.reset();
        returns.lost += 1;
        self.wait(index, socket, Duration::ZERO);
    }

    /// It goes on after its backoff, and that much later.
    fn wait(&mut self, index: usize, socket: &mut Socket, least: Duration) {
        let wait = least.saturating_add(socket.backoff.next(&mut self.rng));
        self.waits.push(Reverse((clock::now().saturating_add(micros(wait)), index)));
    }

    /// It asks once more over the same connection; answers whether it does, as those do that were lost.
    pub fn ask_again(
        &mut self,
        (index, life): (usize, Life),
        after: Duration,
        returns: &mut Returns,
    ) -> bool {
        let is_on = life > Life::First;
        if is_on {
            returns.failures += 1;
            self.waits.push(Reverse((clock::now().saturating_add(micros(after)), index)));
        }
        is_on
    }

    /// What the end of a connection means that was at `before` then.
    pub fn over(
        &mut self,
        (index, socket): (usize, &mut Socket),
        before: Stage,
        over: &Over,
        returns: &mut Returns,
    ) -> Verdict {
        if self.lost == Lost::Gone {
            return Verdict::Ended;
        }
        if socket.life == Life::First {
            let is_killed = |loss: Loss| loss.how == Losing::Killed && loss.at <= clock::now();
            if before == Stage::Open && self.loss.is_some_and(is_killed) {
                self.lost(index, socket, returns);
                return Verdict::Expected;
            }
            // It was not lost: who is held back at the door comes all the same.
            let least = match over.then {
                Then::After(least) => least,
                // In TLS a door has no words.
                Then::Unanswered => Duration::ZERO,
                Then::Backoff | Then::Never => return Verdict::Ended,
            };
            self.wait(index, socket, least);
            return Verdict::Expected;
        }
        if socket.life == Life::Current {
            (socket.life, returns.current) = (Life::Back, returns.current - 1);
        }
        let (verdict, count) = match over.then {
            // A server that is starting says so with 503 as well.
            _ if !self.is_served => (Verdict::Expected, &mut returns.unserved),
            Then::After(_) => (Verdict::Expected, &mut returns.turned_away),
            // Where many are turned away, a server has no time for words.
            Then::Unanswered => (Verdict::Expected, &mut returns.unanswered),
            Then::Backoff => (Verdict::Failed, &mut returns.failures),
            Then::Never => {
                returns.refused += 1;
                (Verdict::Ended, &mut returns.failures)
            }
        };
        *count += 1;
        if verdict != Verdict::Ended {
            self.wait(index, socket, if let Then::After(least) = over.then { least } else { Duration::ZERO });
        }
        verdict
    }

    /// It has its `welcome`; answers whether it was lost before.
    pub fn welcomed(&mut self, socket: &mut Socket, now: Moment, returns: &mut Returns) -> bool {
        if socket.life == Life::Lost {
            socket.life = Life::Back;
            returns.back += 1;
            returns.tries_most = returns.tries_most.max(u64::from(socket.backoff.tries()));
            self.back.record(now.saturating_sub(socket.due));
        }
        socket.life > Life::First
    }

    /// It follows, or knows more than before, by what came at `now`.
    pub fn knows(&mut self, socket: &mut Socket, now: Moment, returns: &mut Returns) {
        let last = self.loss.map_or(0, |loss| loss.version);
        if socket.life == Life::Back && socket.stage == Stage::Open && socket.known >= last {
            socket.life = Life::Current;
            returns.current += 1;
            self.current.record(now.saturating_sub(socket.due));
        }
    }

    /// How long it took to be back, and to be current. Who is not counts with the time up to now, or all would look the better the
    /// fewer come.
    pub fn counts<'a>(&self, sockets: impl Iterator<Item = &'a Socket>) -> (Counts, Counts) {
        let (now, mut back, mut current) = (clock::now(), self.back.clone(), self.current.clone());
        for socket in sockets {
            let late = [(Life::Lost, &mut back), (Life::Back, &mut current)];
            for (last, spread) in late {
                if socket.life > Life::First && socket.life <= last {
                    spread.record(now.saturating_sub(socket.due));
                }
            }
        }
        (back.counts(), current.counts())
    }
}

fn micros(time: Duration) -> Moment {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
