//! How sessions come, and how they end: connections that are begun when they are due, given up when they are late, and begun again
//! where a session was lost.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::Interest;
use rustix::io::Errno;

use super::{Begun, Engine, stage};
use crate::load::clock::{self, Moment};
use crate::load::orders::Place;
use crate::load::worker::answer::Over;
use crate::load::worker::returning::Verdict;
use crate::load::worker::socket::{Life, Room, Socket, Stage, source};

/// Connections begun between two looks at the others.
const BEGUN_AT_ONCE: u32 = 64;
/// From the beginning of a connection to its session.
pub(super) const SESSION_DEADLINE_US: u64 = 20_000_000;

impl Engine {
    /// Until there is something to do, whether or not anything comes.
    pub(super) fn wait(&self) -> Duration {
        let due = self.next_due().filter(|_| self.in_flight < self.job.in_flight);
        let next = [due, self.returning.next(), self.soaking.next()].into_iter().flatten().min();
        let next = next.map_or(self.next_progress, |next| next.min(self.next_progress));
        Duration::from_micros(next.saturating_sub(clock::now()))
    }

    /// When the next session may begin; `None` where there is none.
    fn next_due(&self) -> Option<Moment> {
        let begun = self.sockets.len();
        if !self.opening || begun == self.job.sessions as usize {
            return None;
        }
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let after = self.job.per_second.map_or(0, |rate| (begun as f64 * 1e6 / rate) as u64);
        Some(self.began + after)
    }

    /// Begins what is due: who comes back, whom nobody holds back, and those who come for the first time.
    pub(super) fn begin_more(&mut self) {
        for _ in 0..BEGUN_AT_ONCE {
            let Some(index) = self.returning.due(clock::now()) else { break };
            self.go_on(index);
        }
        for _ in 0..BEGUN_AT_ONCE {
            let now = clock::now();
            let Some(due) = self.next_due().filter(|due| *due <= now && self.in_flight < self.job.in_flight)
            else {
                return;
            };
            // At a rate, a connection that could not begin in time is late from when it was due.
            self.begin(if self.job.per_second.is_some() { due } else { now });
        }
    }

    /// Begins one more session.
    pub(super) fn begin(&mut self, due: Moment) {
        self.sockets.push(Socket::new(due));
        self.connect(self.sockets.len() - 1);
    }

    /// Does what a session has waited for: comes back, or asks once more.
    fn go_on(&mut self, index: usize) {
        match self.sockets[index].stage {
            Stage::Gone => self.connect(index),
            Stage::Following => {
                if let Err(over) = self.subscribe(index) {
                    self.over(index, over);
                }
            }
            _ => {}
        }
    }

    fn connect(&mut self, index: usize) {
        let number = self.job.first + index as u64;
        let place = self.place(index);
        let nth = number / self.job.places.len() as u64;
        let source = self.job.sources.and_then(|sources| source(sources, nth));
        let room = if number < self.job.slow { Room::Usual } else { Room::Little };
        let socket = &mut self.sockets[index];
        self.tally.returns.tries += u64::from(socket.life > Life::First);
        self.in_flight += 1;
        let address = self.job.places[place].address;
        let security = self.securities[place].as_ref();
        let connected = socket.connect((address, security), (source, room)).and_then(|stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(stream, mio::Token(index), interest)
        });
        let connection = socket.connection;
        match connected {
            Ok(()) => self.undecided.push_back(Begun { index, connection, at: clock::now() }),
            Err(error) => self.over(index, unconnected(&error, (source, address)).into()),
        }
    }

    /// Where the session is.
    pub(super) fn place(&self, index: usize) -> usize {
        Place::nth(self.job.first + index as u64, self.job.places.len())
    }

    /// Ends those whose session does not come.
    pub(super) fn give_up_late(&mut self) {
        let now = clock::now();
        while let Some(&Begun { index, connection, at }) = self.undecided.front() {
            let socket = &self.sockets[index];
            let decided = socket.stage >= Stage::Open || socket.connection != connection;
            if !decided && at + SESSION_DEADLINE_US > now {
                return;
            }
            self.undecided.pop_front();
            if !decided {
                self.over(index, format!("no session within 20 s ({})", stage(socket.stage)).into());
            }
        }
    }

    /// Cuts all sessions where it is time to.
    pub(super) fn lose_due(&mut self) {
        if !self.returning.is_to_cut(clock::now()) {
            return;
        }
        for index in 0..self.sockets.len() {
            let socket = &mut self.sockets[index];
            if socket.stage == Stage::Open {
                socket.cut();
                socket.stage = Stage::Gone;
                self.tally.open -= 1;
                if self.job.first + (index as u64) < self.job.steady {
                    self.lateness.go_away(socket.known);
                }
                self.returning.lost(index, socket, &mut self.tally.returns);
            }
        }
    }

    /// A connection is over, and the session as well where it does not come back.
    pub(super) fn over(&mut self, index: usize, over: Over) {
        let (number, is_steady) = (self.number(index), self.is_steady(index));
        let socket = &mut self.sockets[index];
        let before = std::mem::replace(&mut socket.stage, Stage::Gone);
        (socket.stream, socket.torn) = (None, None);
        match before {
            Stage::Gone => return,
            Stage::Open => self.tally.open -= 1,
            _ => self.in_flight -= 1,
        }
        let verdict = self.returning.over((index, socket), before, &over, &mut self.tally.returns);
        match (before, verdict) {
            (Stage::Open, Verdict::Ended) => {
                if is_steady {
                    self.lateness.leave((number, socket.known));
                    self.ring_lateness.lose((number, socket.ring_known));
                }
                self.tally.ended += 1;
            }
            (Stage::Open, _) if is_steady => self.lateness.go_away(socket.known),
            (_, Verdict::Ended) => self.tally.failed += 1,
            _ => {}
        }
        if verdict != Verdict::Expected {
            self.note(over.why);
        }
    }
}

/// Why a connection was not begun; where this machine has run out of something, what to do.
pub(super) fn unconnected(error: &io::Error, (source, to): (Option<Ipv4Addr>, SocketAddr)) -> String {
    let source = source.map_or_else(|| "this machine".to_owned(), |source| source.to_string());
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRNOTAVAIL) => format!(
            "connect: no free port from {source} to {to}: spread sessions over more gateways (--gateways, --url), or widen \
             net.ipv4.ip_local_port_range"
        ),
        Some(Errno::MFILE) => {
            "connect: no file left for this process: take more of them (--processes), or raise the limit (ulimit -Hn)".to_owned()
        }
        Some(Errno::NFILE) => "connect: no file left on this machine: raise fs.file-max".to_owned(),
        _ => format!("connect: {error}"),
    }
}
