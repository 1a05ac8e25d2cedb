//! What sessions do beside following, for soaking: some leave and come back in turn, some read nothing for a while.

use mio::Interest;

use super::Engine;
use crate::load::clock::{self, Moment};
use crate::load::orders::Churn;
use crate::load::outbound;
use crate::load::worker::socket::Stage;

/// Who does it.
#[derive(Default)]
pub(super) struct Soaking {
    churn: Option<Churn>,
    /// How many of its schedule have been looked at.
    gone: u64,
    /// From which number on sessions read nothing.
    mute: Option<u64>,
    /// When they give a sign of life next.
    next_sign: Moment,
}

impl Soaking {
    /// Sessions leave and come back from now on.
    pub(super) const fn begin(&mut self, churn: Churn) {
        (self.churn, self.gone) = (Some(churn), 0);
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Moment> {
        let churn = self.churn.filter(|churn| self.gone < churn.schedule.count);
        let leaves = churn.map(|churn| churn.schedule.due(self.gone));
        leaves.into_iter().chain(self.mute.map(|_| self.next_sign)).min()
    }

    /// Who leaves now, by its number among all; one after the other.
    fn leaves(&mut self, now: Moment) -> Option<u64> {
        let churn = self.churn.filter(|churn| self.gone < churn.schedule.due_by(now))?;
        self.gone += 1;
        Some(churn.first + (self.gone - 1) % churn.sessions)
    }
}

impl Engine {
    /// Does what is due.
    pub(super) fn soak(&mut self) {
        let now = clock::now();
        while let Some(number) = self.soaking.leaves(now) {
            // Others are held by other processes.
            if let Some(index) =
                number.checked_sub(self.job.first).and_then(|index| usize::try_from(index).ok())
                && self.sockets.get(index).is_some_and(|socket| socket.stage == Stage::Open)
            {
                self.go_and_come_back(index);
            }
        }
        if self.soaking.mute.is_some() && self.soaking.next_sign <= now {
            self.soaking.next_sign = now + u64::from(self.heartbeat_ms) * 1_000 / 2;
            self.live();
        }
    }

    /// A session leaves in order, and comes back as one that was lost.
    fn go_and_come_back(&mut self, index: usize) {
        let is_steady = self.is_steady(index);
        let socket = &mut self.sockets[index];
        socket.leave();
        (socket.stream, socket.torn, socket.stage) = (None, None, Stage::Gone);
        self.tally.open -= 1;
        if is_steady {
            self.lateness.go_away(socket.known);
        }
        self.returning.lost(index, socket, &mut self.tally.returns);
    }

    /// From now on sessions from that number on read nothing.
    pub(super) fn mute(&mut self, from: u64) {
        (self.soaking.mute, self.soaking.next_sign) = (Some(from), 0);
        for index in self.those_from(from) {
            if let Some(stream) = &mut self.sockets[index].stream {
                // A socket that wakes us all the same is read from no more than others.
                let _ = self.poll.registry().deregister(stream.socket_mut());
            }
        }
    }

    /// They read again.
    pub(super) fn unmute(&mut self) {
        let Some(from) = self.soaking.mute.take() else { return };
        for index in self.those_from(from) {
            let token = mio::Token(index);
            let Some(stream) = &mut self.sockets[index].stream else { continue };
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().register(stream.socket_mut(), token, interest) {
                self.over(index, format!("reading again: {error}").into());
            }
        }
    }

    /// Who reads nothing answers no ping: it says that it lives all the same, as a client does that is busy with itself.
    fn live(&mut self) {
        let Some(from) = self.soaking.mute else { return };
        for index in self.those_from(from) {
            let socket = &mut self.sockets[index];
            if socket.stage == Stage::Open
                && let Err(error) = socket.write(&outbound::pong(&[]))
            {
                self.over(index, format!("a sign of life: {error}").into());
            }
        }
    }

    /// Places of sessions from a number on.
    fn those_from(&self, number: u64) -> std::ops::Range<usize> {
        let first = usize::try_from(number.saturating_sub(self.job.first)).unwrap_or(usize::MAX);
        first.min(self.sockets.len())..self.sockets.len()
    }
}
