//! When to ping a silent socket, and when to give it up.

use std::time::Duration;

use doorbell_protocol::SessionId;

use crate::Config;
use crate::uptime::Moment;

/// What silence calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing yet.
    Rest,
    /// A WebSocket ping.
    Ping,
    /// The end: no sign of life.
    Dead,
}

/// One session's heartbeat: up to a fifth early, by the session's random id, so that pings spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    every: Duration,
    silence_max: Duration,
}

impl Heartbeat {
    pub(crate) fn of(session: SessionId, config: &Config) -> Self {
        let fifth = u64::try_from(config.heartbeat.as_micros() / 5).unwrap_or(u64::MAX);
        let early = Duration::from_micros(session.bits() % fifth.max(1));
        Self { every: config.heartbeat.saturating_sub(early), silence_max: config.silence_max }
    }

    /// What is due, given the last sign of life and the last ping.
    pub(crate) fn beat(self, heard: Moment, pinged: Moment, now: Moment) -> Beat {
        if now.since(heard) >= self.silence_max {
            Beat::Dead
        } else if now.since(heard.max(pinged)) >= self.every {
            Beat::Ping
        } else {
            Beat::Rest
        }
    }

    /// When to look next.
    pub(crate) fn due(self, heard: Moment, pinged: Moment) -> Moment {
        heard.max(pinged).plus(self.every).min(heard.plus(self.silence_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_socket_is_pinged_each_heartbeat_and_dies_after_the_longest_silence() {
        let config = Config::default();
        let beat = Heartbeat::of(SessionId::from_bits(0), &config);
        let at = Moment::from_secs;
        for (heard, pinged, now, expected) in [
            (100, 0, 124, Beat::Rest),
            (100, 0, 125, Beat::Ping),
            (100, 125, 126, Beat::Rest),
            (100, 125, 150, Beat::Ping),
            (100, 150, 159, Beat::Rest),
            (100, 150, 160, Beat::Dead),
            (151, 150, 160, Beat::Rest),
        ] {
            assert_eq!(beat.beat(at(heard), at(pinged), at(now)), expected, "{heard} {pinged} {now}");
        }
        assert_eq!(beat.due(at(100), at(0)), at(125));
        assert_eq!(beat.due(at(100), at(150)), at(160));
    }

    #[test]
    fn pings_spread_over_a_fifth() {
        let config = Config::default();
        let heard = Moment::from_secs(0);
        let dues: Vec<_> = (0..50)
            .map(|n| {
                Heartbeat::of(SessionId::from_bits(u64::wrapping_mul(n, 0x9e37_79b9_7f4a_7c15)), &config)
                    .due(heard, heard)
            })
            .map(Moment::second)
            .collect();
        assert!(dues.iter().all(|due| (20..=25).contains(due)), "{dues:?}");
        assert!(dues.iter().any(|due| *due < 22) && dues.iter().any(|due| *due > 23), "{dues:?}");
    }
}
