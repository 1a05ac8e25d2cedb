//! Which sessions go when a user has too many (protocol, "Close codes", 4409).

use std::sync::Arc;
use std::time::Duration;

use super::SessionsOfUser;
use super::held::Held;
use crate::Config;
use crate::session::Session;
use crate::uptime::Moment;

/// The rule: one of the same device goes first, then one with no recent sign of life, then the oldest. A session that
/// was told `goaway` is not counted: it is on its way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eviction {
    sessions_max: usize,
    /// A live client answers each ping, so it is heard once a heartbeat; a fifth more is for the network.
    recent: Duration,
}

impl Eviction {
    pub(crate) fn new(config: &Config) -> Self {
        Self { sessions_max: config.sessions_per_user_max.get(), recent: config.heartbeat * 6 / 5 }
    }

    /// Takes out of `sessions` what must go for `newcomer`.
    pub(super) fn evict(self, sessions: &mut Held, newcomer: &Arc<Session>, now: Moment) -> SessionsOfUser {
        let mut evicted = SessionsOfUser::new();
        let device = newcomer.identity().and_then(|identity| identity.device.as_ref());
        while sessions.as_slice().iter().filter(|session| !session.was_told_goaway()).count()
            > self.sessions_max
        {
            let rank = |session: &Session| {
                let theirs = session.identity().and_then(|identity| identity.device.as_ref());
                let same_device = device.is_some() && theirs == device;
                let quiet = now.since(session.heard()) > self.recent;
                (!same_device, !quiet)
            };
            let candidates = sessions.as_slice().iter().enumerate();
            let first = candidates
                .filter(|(_, session)| session.id() != newcomer.id() && !session.was_told_goaway())
                .min_by_key(|(place, session)| (rank(session), *place));
            match first {
                Some((place, _)) => evicted.push(sessions.remove(place)),
                None => break,
            }
        }
        evicted
    }
}
