//! How a user wants to be seen, and how that looks to others. Plain data and pure rules.

use doorbell_protocol::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a user chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Chosen {
    /// As the sockets say: online while there is one.
    #[default]
    Auto,
    /// Online, whatever the sockets say.
    Online,
    /// Away, whatever the sockets say.
    Away,
    /// Busy, whatever the sockets say.
    Busy,
    /// Offline, whatever the sockets say.
    Invisible,
}

/// How a user is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum State {
    /// To oneself alone: as the sockets say.
    Auto,
    /// There.
    Online,
    /// There, and not looking.
    Away,
    /// There, and not to be disturbed.
    Busy,
    /// Not there.
    Offline,
    /// To oneself alone: not there, to the others.
    Invisible,
}

/// What is kept of a user who ever set a status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What the user chose.
    pub chosen: Chosen,
    /// The user's own words.
    pub text: Option<String>,
    /// Of an invisible user: when they were last seen before that, if anybody knew. What came after is nobody's business.
    pub seen_before: Option<Timestamp>,
}

/// What is known of where a user is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// There is a session.
    pub online: bool,
    /// When they were last seen, if anybody knows.
    pub seen: Option<Timestamp>,
}

impl Status {
    /// Whether coming and going may be seen.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.chosen != Chosen::Invisible
    }

    /// How others see it, and since when.
    #[must_use]
    pub fn to_others(&self, whereabouts: Whereabouts, now: Timestamp) -> (State, Option<Timestamp>) {
        let Whereabouts { online, seen } = whereabouts;
        let seen = if online { Some(now) } else { seen };
        // In whole seconds: beside the version of the presence, a time to the millisecond tells who went from who hid.
        let whole = |at: Timestamp| Timestamp::from_millis(at.as_millis() / 1_000 * 1_000);
        let (state, seen) = self.as_chosen(online, seen);
        (state, seen.map(whole))
    }

    fn as_chosen(&self, online: bool, seen: Option<Timestamp>) -> (State, Option<Timestamp>) {
        match self.chosen {
            Chosen::Auto if online => (State::Online, seen),
            Chosen::Auto => (State::Offline, seen),
            Chosen::Online => (State::Online, seen),
            Chosen::Away => (State::Away, seen),
            Chosen::Busy => (State::Busy, seen),
            Chosen::Invisible => (State::Offline, self.seen_before),
        }
    }

    /// How the user sees it: as it was chosen.
    #[must_use]
    pub const fn to_oneself(&self) -> State {
        match self.chosen {
            Chosen::Auto => State::Auto,
            Chosen::Online => State::Online,
            Chosen::Away => State::Away,
            Chosen::Busy => State::Busy,
            Chosen::Invisible => State::Invisible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_see_the_choice_and_of_whoever_hides_what_was_before() {
        let at = |second: u64| Timestamp::from_millis(second * 1_000);
        let within = |second: u64| Timestamp::from_millis(second * 1_000 + 321);
        let now = at(9);
        let cases = [
            (Chosen::Auto, State::Online, State::Offline),
            (Chosen::Online, State::Online, State::Online),
            (Chosen::Away, State::Away, State::Away),
            (Chosen::Busy, State::Busy, State::Busy),
        ];
        for (chosen, there, gone) in cases {
            let status = Status { chosen, seen_before: Some(at(1)), ..Status::default() };
            let whereabouts = |online| Whereabouts { online, seen: Some(within(4)) };
            assert_eq!(status.to_others(whereabouts(true), now), (there, Some(now)), "{chosen:?}");
            assert_eq!(status.to_others(whereabouts(false), now), (gone, Some(at(4))), "{chosen:?}");
            assert_eq!(status.to_others(Whereabouts::default(), now), (gone, None), "{chosen:?}");
        }
        for seen_before in [None, Some(at(1))] {
            let hidden = Status { chosen: Chosen::Invisible, seen_before, ..Status::default() };
            for online in [false, true] {
                let whereabouts = Whereabouts { online, seen: Some(within(4)) };
                assert_eq!(hidden.to_others(whereabouts, now), (State::Offline, seen_before));
            }
        }
    }
}
